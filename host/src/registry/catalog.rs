//! A snapshot of everything registered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use semver::{Version, VersionReq};

use super::entry::{ModelEntry, ServiceEntry, TrainingSetRecord, TransformEntry, ViewEntry};
use super::{AliasSettings, Asked, Item, Kind, Retirement, Rollout, STABLE, Tombstone, Workshop};
use crate::error::{Error, Result};
use crate::labels::{Declared, LabelsDefinition};
use crate::service::{Definition, Service};

/// Names to versions, oldest first.
pub type Numbered<T> = BTreeMap<String, BTreeMap<u32, Arc<T>>>;

#[derive(Clone)]
pub struct Catalog {
    pub transforms: BTreeMap<String, BTreeMap<Version, Arc<TransformEntry>>>,
    pub views: Numbered<ViewEntry>,
    pub models: Numbered<ModelEntry>,
    pub services: Numbered<ServiceEntry>,
    pub training_sets: Numbered<TrainingSetRecord>,
    /// Of each service, its aliases.
    pub aliases: BTreeMap<String, BTreeMap<String, Arc<AliasSettings>>>,
    pub retired: BTreeMap<Item, Arc<Retirement>>,
    /// What was deleted: its version is never given to anything else.
    pub gone: BTreeMap<Item, Arc<Tombstone>>,
    /// Records that cannot be read, and why. An alias stands here as a version of its service.
    pub broken: BTreeMap<Item, String>,
    /// Every way to name a service: `name`, `name@3`, `name@alias`.
    ids: HashMap<String, Target>,
    pub(super) workshop: Arc<Workshop>,
}

/// What an id of a service means.
#[derive(Clone)]
struct Target {
    entry: Arc<ServiceEntry>,
    /// Where it is an alias', or a bare name that means one.
    rollout: Option<Arc<Rollout>>,
}

impl Catalog {
    pub(super) fn new(workshop: Arc<Workshop>) -> Catalog {
        Catalog {
            transforms: BTreeMap::new(),
            views: BTreeMap::new(),
            models: BTreeMap::new(),
            services: BTreeMap::new(),
            training_sets: BTreeMap::new(),
            aliases: BTreeMap::new(),
            retired: BTreeMap::new(),
            gone: BTreeMap::new(),
            broken: BTreeMap::new(),
            ids: HashMap::new(),
            workshop,
        }
    }

    pub(super) fn add_transform(&mut self, entry: TransformEntry) -> Arc<TransformEntry> {
        let entry = Arc::new(entry);
        let description = &entry.record.description;
        let versions = self.transforms.entry(description.name.clone()).or_default();
        versions.insert(description.version.clone(), entry.clone());
        entry
    }

    /// Writes down what every id of a service means, so that a request finds its service at once; and lets go of what was
    /// made ready for services that nobody asks for.
    pub(super) fn settle(&mut self) {
        self.index();
        let idle: Vec<_> = (self.services.values())
            .flat_map(|versions| versions.values())
            .filter(|entry| entry.is_ready() && !self.is_pointed(entry))
            .filter_map(|entry| entry.rested())
            .collect();
        for entry in idle {
            let definition = &entry.record.definition;
            if let Some(versions) = self.services.get_mut(&definition.name) {
                versions.insert(entry.record.number, Arc::new(entry));
            }
        }
        self.index();
    }

    fn index(&mut self) {
        let mut ids = HashMap::new();
        for (name, versions) in &self.services {
            for entry in versions.values() {
                ids.insert(entry.id(), entry.clone().into());
            }
            let mut stable = None;
            for (alias, settings) in self.aliases.get(name).into_iter().flatten() {
                if let Some(entry) = versions.get(&settings.version) {
                    let target = Target {
                        entry: entry.clone(),
                        rollout: Rollout::of(settings, |version| versions.get(&version).cloned()),
                    };
                    if alias == STABLE {
                        stable = target.rollout.clone();
                    }
                    ids.insert(format!("{name}@{alias}"), target);
                }
            }
            // Of what cannot be read nothing else takes the place: a name never quietly means another version.
            let meant = self
                .meant(name)
                .ok()
                .and_then(|number| versions.get(&number));
            if let Some(entry) = meant {
                let target = Target {
                    entry: entry.clone(),
                    rollout: stable,
                };
                ids.insert(name.clone(), target);
            }
        }
        self.ids = ids;
    }

    /// Whether a service's bare name or an alias means this version, or an alias has it as canary or shadow.
    pub(super) fn is_pointed(&self, entry: &ServiceEntry) -> bool {
        let (name, number) = (&entry.record.definition.name, entry.record.number);
        let aliases = self.aliases.get(name).into_iter().flatten();
        self.meant(name).is_ok_and(|meant| meant == number)
            || aliases
                .into_iter()
                .any(|(_, settings)| settings.versions().any(|version| version == number))
    }

    /// The version that a service's bare name means: that of `stable`, else the newest that is not retired, else the
    /// newest.
    fn meant(&self, name: &str) -> Result<u32, Option<&String>> {
        if let Some(reason) = self.broken.get(&Item::new(Kind::Service, name, STABLE)) {
            return Err(Some(reason));
        }
        if let Some(stable) = self.aliases.get(name).and_then(|all| all.get(STABLE)) {
            return Ok(stable.version);
        }
        let live = self.services.get(name).into_iter().flatten();
        let broken = self
            .broken
            .keys()
            .filter(|item| item.kind == Kind::Service && item.name == name);
        let all: Vec<u32> = live
            .map(|(number, _)| *number)
            .chain(broken.filter_map(Item::number))
            .collect();
        let offered = all.iter().filter(|number| {
            !self
                .retired
                .contains_key(&Item::new(Kind::Service, name, number))
        });
        offered.max().or(all.iter().max()).copied().ok_or(None)
    }

    /// `name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest that is
    /// not retired.
    pub fn service_by_id(&self, id: &str) -> Result<&Arc<Service>> {
        self.service_entry(id)?.asked(self)
    }

    /// As [`Catalog::service_by_id`], with what else an alias says of its requests.
    pub fn asked(&self, id: &str) -> Result<Asked> {
        let target = self.ids.get(id).ok_or_else(|| self.no_service(id))?;
        Ok(Asked {
            service: target.entry.asked(self)?.clone(),
            rollout: target.rollout.clone(),
        })
    }

    /// As [`Catalog::service_by_id`], of what is registered: nothing is made ready.
    pub fn service_entry(&self, id: &str) -> Result<&Arc<ServiceEntry>> {
        let target = self.ids.get(id).ok_or_else(|| self.no_service(id))?;
        Ok(&target.entry)
    }

    fn no_service(&self, id: &str) -> Error {
        let (name, version) = id.split_once('@').unwrap_or((id, STABLE));
        if let Some(reason) = self.broken.get(&Item::new(Kind::Service, name, version)) {
            return Error::Internal(format!("service {name}@{version} cannot be read: {reason}"));
        }
        let Some(versions) = self.services.get(name) else {
            return not_found("service", name, self.services.keys().cloned());
        };
        if id == name {
            let number = self.meant(name).unwrap_or_default();
            return Error::Internal(format!(
                "service {name} means {name}@{number}, which cannot be read; name another version"
            ));
        }
        let aliases = self.aliases.get(name).into_iter().flatten();
        let aliases = aliases.map(|(alias, _)| format!("{name}@{alias}"));
        let known = versions.values().map(|entry| entry.id());
        not_found(Kind::Service.version(), id, known.chain(aliases))
    }

    /// That there is a service of that name.
    pub fn service_name<'a>(&self, name: &'a str) -> Result<&'a str> {
        match self.services.contains_key(name) {
            true => Ok(name),
            false => Err(not_found("service", name, self.services.keys().cloned())),
        }
    }

    /// The labels of a service, as its newest version that has any declares them: they are of all versions. So is their key:
    /// where that version leaves it out, it is that of the newest that has one, and what was reported by it goes on counting.
    pub fn labels(&self, name: &str) -> Result<Declared> {
        if let Some((name, _)) = name.split_once('@') {
            self.service_name(name)?;
            let message = format!("labels are of all versions: name the service alone, {name}");
            return Err(Error::invalid("service", message));
        }
        let mut all = self.declared_labels(self.service_name(name)?).rev();
        let declared = all.next().map(|mut newest| {
            if newest.key.is_empty() {
                let keyed = all.find(|earlier| !earlier.key.is_empty());
                newest.key = keyed.map_or(newest.key, |keyed| keyed.key);
            }
            newest
        });
        declared.ok_or_else(|| {
            Error::invalid(
                "service",
                format!(
                    "no version of {name} declares labels; say in its service file what they are, under [labels] the key \
                     and under [labels.fields] their types, and register it"
                ),
            )
        })
    }

    /// Labels are kept for all versions, so what a new one declares must agree with them.
    pub(super) fn check_labels(
        &self,
        definition: &Definition,
        labels: &LabelsDefinition,
    ) -> Result<()> {
        let refused = |reason| Error::refused(format!("service \"{}\"", definition.name), reason);
        let new = Declared::of(&definition.name, 0, &definition.request, labels);
        let mut there = self.declared_labels(&definition.name);
        there
            .try_for_each(|there| there.check(&new))
            .map_err(refused)
    }

    fn declared_labels(&self, name: &str) -> impl DoubleEndedIterator<Item = Declared> {
        let versions = self.services.get(name).into_iter().flatten();
        versions.filter_map(|(number, entry)| {
            let definition = &entry.record.definition;
            let labels = definition.labels.as_ref()?;
            let request = &definition.request;
            Some(Declared::of(&definition.name, *number, request, labels))
        })
    }

    /// Since when a version is retired, if it is.
    pub fn retirement(&self, item: &Item) -> Option<Retirement> {
        self.retired
            .get(item)
            .map(|retired| Retirement::clone(retired))
    }

    /// The aliases of a service that point at its version `number`.
    pub fn aliases_of(&self, name: &str, number: u32) -> Vec<String> {
        let aliases = self.aliases.get(name).into_iter().flatten();
        let mine = aliases.filter(|(_, settings)| settings.version == number);
        mine.map(|(alias, _)| alias.clone()).collect()
    }

    /// The aliases of a service that name its version `number` at all, and as what: `stable (canary)`.
    pub(super) fn alias_users(&self, name: &str, number: u32) -> Vec<String> {
        let aliases = self.aliases.get(name).into_iter().flatten();
        let user = |(alias, settings): (&String, &Arc<AliasSettings>)| {
            let canary = settings.canary.as_ref();
            let is_canary = canary.is_some_and(|canary| canary.version == number);
            match (settings.version == number, is_canary) {
                (true, _) => Some(alias.clone()),
                (_, true) => Some(format!("{alias} (canary)")),
                _ if settings.versions().any(|version| version == number) => {
                    Some(format!("{alias} (shadow)"))
                }
                _ => None,
            }
        };
        aliases.filter_map(user).collect()
    }

    /// `name@number`, or `name` for the newest.
    pub fn view(&self, id: &str) -> Result<&Arc<ViewEntry>> {
        self.numbered(Kind::View, &self.views, id, false)
    }

    /// `name@number`, or `name` for the newest.
    pub fn model_by_id(&self, id: &str) -> Result<&Arc<ModelEntry>> {
        self.numbered(Kind::Model, &self.models, id, false)
    }

    /// `name@number`, or `name` for the newest.
    pub fn training_set(&self, id: &str) -> Result<&Arc<TrainingSetRecord>> {
        self.numbered(Kind::TrainingSet, &self.training_sets, id, false)
    }

    /// As [`Catalog::view`], for something new: the newest is the newest that is not retired, and a retired one is refused.
    pub(super) fn offered_view(&self, id: &str) -> Result<&Arc<ViewEntry>> {
        self.numbered(Kind::View, &self.views, id, true)
    }

    /// As [`Catalog::model_by_id`], for something new.
    pub(super) fn offered_model(&self, id: &str) -> Result<&Arc<ModelEntry>> {
        self.numbered(Kind::Model, &self.models, id, true)
    }

    fn numbered<'a, T>(
        &self,
        kind: Kind,
        all: &'a Numbered<T>,
        id: &str,
        offered: bool,
    ) -> Result<&'a Arc<T>> {
        let (name, version) = match id.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (id, None),
        };
        let Some(versions) = all.get(name) else {
            return Err(not_found(kind.name(), name, all.keys().cloned()));
        };
        let matching: Vec<_> = match version {
            None => versions.iter().rev().collect(),
            Some(version) => {
                let number = version.parse::<u32>().ok();
                number
                    .and_then(|number| versions.get_key_value(&number))
                    .into_iter()
                    .collect()
            }
        };
        let matching = matching
            .into_iter()
            .map(|(number, entry)| (Item::new(kind, name, number), entry));
        self.chosen(matching, offered).unwrap_or_else(|| {
            let broken =
                version.and_then(|version| self.broken.get(&Item::new(kind, name, version)));
            Err(match broken {
                Some(reason) => Error::Internal(format!("{kind} {id} cannot be read: {reason}")),
                None => {
                    let known = versions.keys().map(|number| format!("{name}@{number}"));
                    not_found(kind.version(), id, known)
                }
            })
        })
    }

    /// `name@version`: of a whole version that one, of a part of it the newest that begins so, without one the newest.
    pub fn transform(&self, id: &str) -> Result<&Arc<TransformEntry>> {
        self.transform_where(id, false)
    }

    /// As [`Catalog::transform`], for something new.
    pub(super) fn offered_transform(&self, id: &str) -> Result<&Arc<TransformEntry>> {
        self.transform_where(id, true)
    }

    fn transform_where(&self, id: &str, offered: bool) -> Result<&Arc<TransformEntry>> {
        let (name, version) = id.split_once('@').unwrap_or((id, "*"));
        let versions = self
            .transforms
            .get(name)
            .ok_or_else(|| not_found("transform", name, self.transforms.keys().cloned()))?;
        let wanted = if Version::parse(version).is_ok() {
            format!("={version}")
        } else {
            partial(version)
        };
        let unknown = || {
            let item = Item::new(Kind::Transform, name, version);
            if let Some(reason) = self.broken.get(&item) {
                return Error::Internal(format!("{item} cannot be read: {reason}"));
            }
            let known = versions.keys().map(|version| format!("{name}@{version}"));
            not_found(Kind::Transform.version(), id, known)
        };
        let wanted = VersionReq::parse(&wanted).map_err(|_| unknown())?;
        let matching = versions
            .iter()
            .rev()
            .filter(|(version, _)| wanted.matches(version))
            .map(|(version, entry)| (Item::new(Kind::Transform, name, version), entry));
        self.chosen(matching, offered)
            .unwrap_or_else(|| Err(unknown()))
    }

    /// Of the versions that an id can mean, newest first, the one it means. None if there is none.
    fn chosen<'a, T>(
        &self,
        matching: impl Iterator<Item = (Item, &'a Arc<T>)>,
        offered: bool,
    ) -> Option<Result<&'a Arc<T>>> {
        let mut refused = None;
        for (item, entry) in matching {
            match self.retired.get(&item) {
                Some(retirement) if offered => {
                    refused.get_or_insert_with(|| retirement.refusal(&item));
                }
                _ => return Some(Ok(entry)),
            }
        }
        refused.map(Err)
    }

    /// The version that an id of that kind means.
    pub fn find(&self, kind: Kind, id: &str) -> Result<Item> {
        let id = match kind {
            Kind::Transform => self.transform(id)?.id(),
            Kind::View => self.view(id)?.id(),
            Kind::Model => self.model_by_id(id)?.id(),
            Kind::Service => self.service_entry(id)?.id(),
            Kind::TrainingSet => self.training_set(id)?.id(),
        };
        Item::exact(kind, &id)
    }

    /// The next version of that name. A number is never given twice, so what is gone or cannot be read counts too.
    fn next_number(&self, kind: Kind, name: &str) -> u32 {
        fn newest<T>(all: &Numbered<T>, name: &str) -> u32 {
            let last = all.get(name).and_then(|versions| versions.keys().last());
            last.copied().unwrap_or(0)
        }
        let live = match kind {
            Kind::Transform => 0,
            Kind::View => newest(&self.views, name),
            Kind::Model => newest(&self.models, name),
            Kind::Service => newest(&self.services, name),
            Kind::TrainingSet => newest(&self.training_sets, name),
        };
        let gone = self.gone.keys().chain(self.broken.keys());
        gone.filter(|item| item.kind == kind && item.name == name)
            .filter_map(Item::number)
            .fold(live, u32::max)
            + 1
    }

    /// The version that had this digest and was deleted: the same may come back under its number.
    fn returning(&self, kind: Kind, name: &str, digest: &str) -> Option<u32> {
        let mine = |item: &&Item| item.kind == kind && item.name == name;
        let gone = self.gone.iter().filter(|(item, _)| mine(item));
        let mut same = gone.filter(|(_, tombstone)| tombstone.digest == digest);
        same.next().and_then(|(item, _)| item.number())
    }

    /// Where something new goes: the number that the same had before it was deleted, or the next.
    pub(super) fn place(&self, kind: Kind, name: &str, digest: &str) -> (Item, u32) {
        let returning = self.returning(kind, name, digest);
        let number = returning.unwrap_or_else(|| self.next_number(kind, name));
        (Item::new(kind, name, number), number)
    }

    /// What is wrong with what is registered, in sentences.
    pub fn troubles(&self) -> Vec<String> {
        let broken = self
            .broken
            .iter()
            .map(|(item, reason)| format!("{item} cannot be read: {reason}"));
        let entries = self
            .services
            .values()
            .flat_map(|versions| versions.values());
        broken
            .chain(entries.filter_map(|entry| entry.trouble()))
            .collect()
    }
}

impl From<Arc<ServiceEntry>> for Target {
    fn from(entry: Arc<ServiceEntry>) -> Target {
        Target {
            entry,
            rollout: None,
        }
    }
}

/// `1` and `1.2` as semver ranges that end with the part they name.
fn partial(version: &str) -> String {
    let part = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if part {
        format!("~{version}")
    } else {
        version.to_owned()
    }
}

pub(super) fn not_found(
    kind: &'static str,
    name: &str,
    known: impl Iterator<Item = String>,
) -> Error {
    Error::NotFound {
        kind,
        name: name.to_owned(),
        known: known.collect(),
    }
}
