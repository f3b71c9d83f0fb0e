//! Deleting what nothing refers to. Its version is never given to anything else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::aliases::Mover;
use super::{Catalog, Item, Kind, Registry, lineage, models, open, retire};
use crate::error::{Error, Result, listed};
use crate::view::View;

pub(super) const PREFIX: &str = "gone/";

/// What is remembered of a deleted version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Of what it was: the same may come back, under the same version. Empty where its record could not be read.
    pub digest: String,
    pub at: jiff::Timestamp,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a view, its definition: rows written in its columns may still be there, and the next version must fit them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

impl Registry {
    /// Deletes a version that nothing refers to, and its artifact if nothing else has the same. The last version of a
    /// view goes only with its rows: where it has some, `rows` must say so.
    pub fn delete(&self, item: &Item, rows: bool, mover: Mover<'_>) -> Result<Arc<Tombstone>> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        if !catalog.broken.contains_key(item) {
            catalog.find(item.kind, &item.id())?;
        }
        let users = users(&catalog, item);
        if !users.is_empty() {
            return Err(Error::Conflict(format!(
                "{item} is used by {}, and stays; let go of that first, or retire it",
                users.join(", ")
            )));
        }
        if item.kind == Kind::View {
            self.let_rows_go(&catalog, item, rows)?;
        } else if rows {
            return Err(Error::invalid("rows", "only views have rows"));
        }

        let tombstone = Arc::new(Tombstone {
            digest: identity(&catalog, item)?,
            at: jiff::Timestamp::now(),
            by: mover.by.to_owned(),
            reason: mover.reason.map(str::to_owned),
            view: match item.kind {
                Kind::View => catalog
                    .view(&item.id())
                    .ok()
                    .map(|entry| View::clone(&entry.view)),
                _ => None,
            },
        });
        let record = self.records.get(item.key());
        let record = record.map_err(|error| Error::Store(error.to_string()))?;
        let mut batch = sled::Batch::default();
        batch.remove(item.key().as_bytes());
        batch.remove(retire::key(item).as_bytes());
        batch.insert(key(item).as_bytes(), super::json(&*tombstone)?);
        self.write(batch)?;
        let mut next = Catalog::clone(&catalog);
        next.forget(item);
        next.gone.insert(item.clone(), tombstone.clone());
        self.publish(next);
        // Only now: a crash leaves a file that nobody knows, never a record without its file.
        self.remove_artifacts(&record.unwrap_or_default())?;
        Ok(tombstone)
    }

    /// Rows belong to all versions of a view, so they stay until the last goes.
    fn let_rows_go(&self, catalog: &Catalog, item: &Item, rows: bool) -> Result<()> {
        let others = catalog.views.get(&item.name).into_iter().flatten();
        let others = others.map(|(number, _)| Item::new(Kind::View, &item.name, number));
        let others: Vec<String> = others
            .filter(|other| other != item)
            .map(|other| other.id())
            .collect();
        if !others.is_empty() {
            return match rows {
                false => Ok(()),
                true => Err(Error::Conflict(format!(
                    "the rows of view {} belong to all its versions and go with the last; {} besides",
                    item.name,
                    listed("version", &others)
                ))),
            };
        }
        let stored = self.workshop.store.view(&item.name)?;
        let count = stored.count()?;
        if count > 0 && !rows {
            return Err(Error::Conflict(format!(
                "{item} is the last version of its view, which holds the rows of {count} entities; say rows=true to \
                 delete them too"
            )));
        }
        stored.clear()
    }

    /// Removes the files that a record named and no record names any more: whatever stands in it as a digest.
    fn remove_artifacts(&self, record: &[u8]) -> Result<()> {
        let mut digests = digests(record);
        for kind in Kind::ALL {
            for (_, other) in open::scan(&self.records, &format!("{kind}/"))? {
                if digests.is_empty() {
                    return Ok(());
                }
                let still = self::digests(&other);
                digests.retain(|digest| !still.contains(digest));
            }
        }
        let mut removed = digests
            .iter()
            .map(|digest| self.workshop.artifacts.remove(digest));
        removed.try_for_each(|outcome| outcome)
    }
}

impl Catalog {
    fn forget(&mut self, item: &Item) {
        fn take<T>(all: &mut super::Numbered<T>, item: &Item) {
            if let (Some(versions), Some(number)) = (all.get_mut(&item.name), item.number()) {
                versions.remove(&number);
                if versions.is_empty() {
                    all.remove(&item.name);
                }
            }
        }
        match item.kind {
            Kind::View => take(&mut self.views, item),
            Kind::Model => take(&mut self.models, item),
            Kind::Service => take(&mut self.services, item),
            Kind::TrainingSet => take(&mut self.training_sets, item),
            Kind::Transform => {
                if let Some(versions) = self.transforms.get_mut(&item.name) {
                    versions.retain(|version, _| version.to_string() != item.version);
                    if versions.is_empty() {
                        self.transforms.remove(&item.name);
                    }
                }
            }
        }
        self.retired.remove(item);
        self.broken.remove(item);
    }
}

/// What refers to a version, in words.
fn users(catalog: &Catalog, item: &Item) -> Vec<String> {
    let aliases = match (item.kind, item.number()) {
        (Kind::Service, Some(number)) => catalog.alias_users(&item.name, number),
        _ => Vec::new(),
    };
    let aliases = aliases.iter().map(|alias| format!("alias {alias}"));
    let users = lineage::users(catalog, item);
    aliases.chain(users.iter().map(Item::to_string)).collect()
}

/// The digest that says whether something is the same as what was deleted.
fn identity(catalog: &Catalog, item: &Item) -> Result<String> {
    let id = item.id();
    if catalog.broken.contains_key(item) {
        return Ok(String::new());
    }
    Ok(match item.kind {
        Kind::Transform => catalog.transform(&id)?.record.digest.clone(),
        Kind::View => catalog.view(&id)?.record.digest.clone(),
        Kind::Model => {
            let record = &catalog.model_by_id(&id)?.record;
            models::identity(&record.digest, &record.manifest)?
        }
        Kind::Service => catalog.service_entry(&id)?.digest.clone(),
        Kind::TrainingSet => catalog.training_set(&id)?.digest.clone(),
    })
}

/// Everything in a record that could name an artifact: 64 hexadecimal digits that stand alone.
fn digests(record: &[u8]) -> Vec<String> {
    record
        .split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|word| word.len() == 64 && word.iter().all(u8::is_ascii_hexdigit))
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

pub(super) fn key(item: &Item) -> String {
    format!("{PREFIX}{}", item.key())
}
