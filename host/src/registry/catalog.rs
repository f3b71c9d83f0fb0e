//! A snapshot of everything registered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::Artifacts;
use crate::admission;
use crate::error::{Error, Result};
use crate::model::parity::Report;
use crate::model::{self, Facts, LoadedModel, Manifest};
use crate::service::{Definition, Pins, Service};
use crate::transform::{Description, Engine, Transform};
use crate::view::View;

/// Names to versions, oldest first.
#[derive(Clone, Default)]
pub struct Catalog {
    pub transforms: BTreeMap<String, BTreeMap<Version, Arc<TransformEntry>>>,
    pub views: BTreeMap<String, Arc<View>>,
    pub models: BTreeMap<String, Vec<Arc<ModelEntry>>>,
    pub services: BTreeMap<String, Vec<Arc<Service>>>,
    /// Of each service, its aliases.
    pub aliases: BTreeMap<String, BTreeMap<String, Arc<AliasSettings>>>,
    /// Every way to name a service: `name`, `name@3`, `name@alias`.
    ids: HashMap<String, Arc<Service>>,
}

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasSettings {
    /// The version it points at.
    pub version: u32,
}

/// The alias that a service's bare name means, where there is one.
pub const STABLE: &str = "stable";

#[derive(Clone, Serialize, Deserialize)]
pub struct TransformRecord {
    #[serde(flatten)]
    pub description: Description,
    pub digest: String,
    /// Bytes of the component.
    pub size: usize,
    pub admission: admission::Report,
    pub registered_at: jiff::Timestamp,
}

/// A transform, compiled when first needed.
pub struct TransformEntry {
    pub record: TransformRecord,
    pub(super) loaded: OnceLock<Transform>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct ModelRecord {
    pub number: u32,
    pub digest: String,
    pub manifest: Manifest,
    pub facts: Facts,
    /// What its test vectors showed, if it came with any.
    #[serde(default)]
    pub parity: Option<Report>,
    pub registered_at: jiff::Timestamp,
}

/// A model, loaded when first needed.
pub struct ModelEntry {
    pub record: ModelRecord,
    pub(super) loaded: OnceLock<Arc<LoadedModel>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceRecord {
    pub number: u32,
    pub definition: Definition,
    pub pins: Pins,
    pub registered_at: jiff::Timestamp,
}

impl TransformEntry {
    pub(super) fn new(record: TransformRecord) -> TransformEntry {
        TransformEntry {
            record,
            loaded: OnceLock::new(),
        }
    }

    /// `name@version`.
    pub fn id(&self) -> String {
        format!(
            "{}@{}",
            self.record.description.name, self.record.description.version
        )
    }

    pub(super) fn load(&self, engine: &Engine, artifacts: &Artifacts) -> Result<Transform> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded.clone());
        }
        let loaded = engine.load(&artifacts.get(&self.record.digest)?)?;
        Ok(self.loaded.get_or_init(|| loaded).clone())
    }
}

impl ModelEntry {
    pub(super) fn new(record: ModelRecord) -> ModelEntry {
        ModelEntry {
            record,
            loaded: OnceLock::new(),
        }
    }

    /// `name@number`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.record.manifest.name, self.record.number)
    }

    pub(super) fn load(&self, artifacts: &Artifacts) -> Result<Arc<LoadedModel>> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded.clone());
        }
        let record = &self.record;
        let onnx = artifacts.get(&record.digest)?;
        let loaded = model::load(
            &record.manifest.name,
            record.number,
            &onnx,
            record.manifest.clone(),
        )?;
        Ok(self.loaded.get_or_init(|| Arc::new(loaded)).clone())
    }
}

impl Catalog {
    pub(super) fn add_transform(&mut self, entry: TransformEntry) -> Arc<TransformEntry> {
        let entry = Arc::new(entry);
        let description = &entry.record.description;
        let versions = self.transforms.entry(description.name.clone()).or_default();
        versions.insert(description.version.clone(), entry.clone());
        entry
    }

    pub(super) fn add_view(&mut self, view: View) -> Arc<View> {
        let view = Arc::new(view);
        self.views.insert(view.name.clone(), view.clone());
        view
    }

    pub(super) fn add_model(&mut self, entry: ModelEntry) -> Arc<ModelEntry> {
        let entry = Arc::new(entry);
        self.models
            .entry(entry.record.manifest.name.clone())
            .or_default()
            .push(entry.clone());
        entry
    }

    pub(super) fn add_service(&mut self, service: Service) -> Arc<Service> {
        let service = Arc::new(service);
        self.services
            .entry(service.plan.definition.name.clone())
            .or_default()
            .push(service.clone());
        self.index();
        service
    }

    /// Writes down what every id of a service means, so that a request finds its service at once.
    fn index(&mut self) {
        let mut ids = HashMap::new();
        for (name, versions) in &self.services {
            for service in versions {
                ids.insert(format!("{name}@{}", service.plan.number), service.clone());
            }
            for (alias, settings) in self.aliases.get(name).into_iter().flatten() {
                if let Some(service) = numbered(versions, Some(settings.version)) {
                    ids.insert(format!("{name}@{alias}"), service.clone());
                }
            }
            let stable = ids.get(&format!("{name}@{STABLE}"));
            if let Some(service) = stable.or(versions.last()) {
                ids.insert(name.clone(), service.clone());
            }
        }
        self.ids = ids;
    }

    pub fn view(&self, name: &str) -> Result<&Arc<View>> {
        self.views
            .get(name)
            .ok_or_else(|| not_found("view", name, self.views.keys().cloned()))
    }

    /// `name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest.
    pub fn service_by_id(&self, id: &str) -> Result<&Arc<Service>> {
        self.ids.get(id).ok_or_else(|| {
            let name = id.split_once('@').map_or(id, |(name, _)| name);
            let Some(versions) = self.services.get(name) else {
                return not_found("service", name, self.services.keys().cloned());
            };
            let numbers = versions
                .iter()
                .map(|service| format!("{name}@{}", service.plan.number));
            let aliases = self.aliases.get(name).into_iter().flatten();
            let aliases = aliases.map(|(alias, _)| format!("{name}@{alias}"));
            not_found("service version", id, numbers.chain(aliases))
        })
    }

    /// The model's version `number`, or its newest.
    pub fn model(&self, name: &str, number: Option<u32>) -> Result<&Arc<ModelEntry>> {
        let versions = self
            .models
            .get(name)
            .ok_or_else(|| not_found("model", name, self.models.keys().cloned()))?;
        numbered(versions, number).ok_or_else(|| {
            let wanted = format!("{name}@{}", number.unwrap_or(0));
            not_found(
                "model version",
                &wanted,
                (1..=versions.len()).map(|number| format!("{name}@{number}")),
            )
        })
    }

    /// `name@number` or `name`.
    pub fn model_by_id(&self, id: &str) -> Result<&Arc<ModelEntry>> {
        let (name, number) = match id.split_once('@') {
            None => (id, None),
            Some((name, number)) => match number.parse() {
                Ok(number) => (name, Some(number)),
                Err(_) => {
                    return Err(not_found(
                        "model version",
                        id,
                        self.models.values().flatten().map(|m| m.id()),
                    ));
                }
            },
        };
        self.model(name, number)
    }

    /// `name@version`: of a whole version that one, of a part of it the newest that begins so, without one the newest.
    pub fn transform(&self, id: &str) -> Result<&Arc<TransformEntry>> {
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
        let known = || versions.keys().map(|version| format!("{name}@{version}"));
        let wanted =
            VersionReq::parse(&wanted).map_err(|_| not_found("transform version", id, known()))?;
        let found = versions
            .iter()
            .rev()
            .find(|(version, _)| wanted.matches(version));
        found
            .map(|(_, entry)| entry)
            .ok_or_else(|| not_found("transform version", id, known()))
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

fn numbered<T>(versions: &[T], number: Option<u32>) -> Option<&T> {
    match number {
        None => versions.last(),
        Some(number) => versions.get(usize::try_from(number).ok()?.checked_sub(1)?),
    }
}

fn not_found(kind: &'static str, name: &str, known: impl Iterator<Item = String>) -> Error {
    Error::NotFound {
        kind,
        name: name.to_owned(),
        known: known.collect(),
    }
}
