//! What has been registered: transforms, views, models, services, training sets. A version never changes.
//!
//! Records are JSON in sled, artifacts are files named by their digest. Everything a request needs is in the
//! [`Catalog`], a snapshot that requests read without a lock; a registration makes the next one. What is acknowledged
//! was written in one sled write and is on disk; what is on disk half (an artifact without its record) is nothing.

mod aliases;
mod artifacts;
pub mod bundle;
mod catalog;
mod delete;
mod entry;
mod item;
pub mod lineage;
mod models;
mod open;
mod retire;
mod rollout;
mod services;
#[cfg(test)]
mod tests;
mod trained;
mod training_sets;
mod versions;
mod views;

pub use aliases::{AliasChange, AliasSettings, Mover, STABLE};
pub use artifacts::Artifacts;
pub use catalog::{Catalog, Numbered};
pub use delete::Tombstone;
pub use entry::{
    ModelEntry, ModelRecord, ServiceEntry, ServiceRecord, TrainingSetRecord, TransformEntry,
    TransformRecord, ViewEntry, ViewRecord,
};
pub use item::{Item, Kind};
pub use retire::Retirement;
pub use rollout::{Asked, Rollout};
pub use services::Workshop;
pub use trained::{Force, Forced};

use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use serde::Serialize;

use crate::admission::{self, Turns};
use crate::error::{Error, Result, TransformName};
use crate::metrics::Metrics;
use crate::store::OnlineStore;
use crate::transform::{self, Engine};

pub struct Registry {
    records: sled::Tree,
    workshop: Arc<Workshop>,
    catalog: ArcSwap<Catalog>,
    /// Held by whoever registers: one at a time.
    registering: Mutex<()>,
    /// Who compiles and proves transforms, and on which threads: never on all cores, so that requests have the others.
    turns: Turns,
    compilers: rayon::ThreadPool,
}

/// Whether a registration added something, or found the same there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Unchanged,
}

impl Registry {
    /// Opens what is kept in `db` and under `dir`, and makes the services ready that a name or an alias means. What
    /// cannot be read or made ready is said in the log and by [`Catalog::troubles`], and hides nothing else.
    pub fn open(
        db: &sled::Db,
        dir: &Path,
        engine: Engine,
        store: Arc<dyn OnlineStore>,
        metrics: Arc<Metrics>,
    ) -> Result<Registry> {
        let records = db
            .open_tree("registry")
            .map_err(|error| Error::Store(error.to_string()))?;
        let workshop = Arc::new(Workshop {
            engine,
            artifacts: Artifacts::open(&dir.join("artifacts"))?,
            store,
            metrics,
        });
        let catalog = open::catalog(&records, workshop.clone())?;
        Ok(Registry {
            records,
            workshop,
            catalog: ArcSwap::from_pointee(catalog),
            registering: Mutex::new(()),
            turns: versions::turns(),
            compilers: versions::compilers()?,
        })
    }

    /// What there is now.
    pub fn catalog(&self) -> Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// Admits a raw core module or a component, proven by [`admission`] and compared with the version before it. What is
    /// refused comes with a report. [`Error::Busy`] where too many others are at it.
    pub fn register_transform(&self, bytes: &[u8]) -> Result<(Arc<TransformEntry>, Outcome)> {
        self.workshop.engine.limits().check_size(bytes)?;
        let _turn = self.turns.take()?;
        let unproven = |error| admission::unproven(error, bytes.len());
        let component = transform::componentize(bytes).map_err(unproven)?;
        let loaded = self.compiled(&component).map_err(unproven)?;
        let name = loaded.name().clone();
        if let Some(entry) = self.registered(&self.catalog.load(), &name)? {
            return Ok((entry, Outcome::Unchanged));
        }
        // Takes a while, so nobody else who registers waits for it.
        let admission =
            admission::admit(&loaded).inspect_err(|_| self.workshop.engine.forget(&loaded))?;
        let diff = self.diff_with_previous(&loaded, &admission);
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        if let Some(entry) = self.registered(&catalog, &name)? {
            return Ok((entry, Outcome::Unchanged));
        }
        let record = TransformRecord {
            description: loaded.description().clone(),
            digest: name.digest.clone(),
            size: component.len(),
            source_bytes: transform::sections::Sections::of(&component)
                .ok()
                .and_then(|sections| sections.source().map(<[u8]>::len)),
            admission,
            diff,
            registered_at: jiff::Timestamp::now(),
        };
        self.workshop.artifacts.put(&name.digest, &component)?;
        let item = Item::new(Kind::Transform, &name.name, &name.version);
        self.keep_new(&item, &record)?;
        // Not what was proven: its instances are warm, and memory should grow with what is used.
        let entry = TransformEntry::new(record);
        let mut next = Catalog::clone(&catalog);
        next.gone.remove(&item);
        let entry = next.add_transform(entry);
        self.publish(next);
        Ok((entry, Outcome::Created))
    }

    /// The transform of that name, version and digest, if it is there; another digest is a conflict, also with one that
    /// was deleted.
    fn registered(
        &self,
        catalog: &Catalog,
        name: &TransformName,
    ) -> Result<Option<Arc<TransformEntry>>> {
        let item = Item::new(Kind::Transform, &name.name, &name.version);
        if let Some(reason) = catalog.broken.get(&item) {
            return Err(Error::Conflict(format!(
                "{item} is registered, but its record cannot be read ({reason}); raise the version in Cargo.toml"
            )));
        }
        let versions = catalog.transforms.get(&name.name);
        let known = versions.and_then(|versions| versions.get(&name.version));
        let (was, digest) = match (known, catalog.gone.get(&item)) {
            (Some(entry), _) => ("is registered", &entry.record.digest),
            (None, Some(tombstone)) => ("was registered and deleted", &tombstone.digest),
            (None, None) => return Ok(None),
        };
        if *digest == name.digest {
            return Ok(known.cloned());
        }
        Err(Error::Conflict(format!(
            "transform {name} {was} with digest sha256:{digest}, and this one has sha256:{}; a version never changes: \
             raise the version in Cargo.toml",
            name.digest
        )))
    }

    /// The component or model file of that digest.
    pub fn artifact(&self, digest: &str) -> Result<Vec<u8>> {
        self.workshop.artifacts.get(digest)
    }

    /// Waits until a record is on disk, and the tombstone that was in its place is not.
    fn keep_new(&self, item: &Item, record: &impl Serialize) -> Result<()> {
        let mut batch = sled::Batch::default();
        batch.insert(item.key().as_bytes(), json(record)?);
        batch.remove(delete::key(item).as_bytes());
        self.write(batch)
    }

    /// Writes all of it or nothing, and waits until it is on disk: what is acknowledged is kept.
    fn write(&self, batch: sled::Batch) -> Result<()> {
        self.records
            .apply_batch(batch)
            .and_then(|()| self.records.flush())
            .map(drop)
            .map_err(|error| Error::Store(error.to_string()))
    }

    /// Makes it what requests see.
    fn publish(&self, mut next: Catalog) {
        next.settle();
        self.catalog.store(Arc::new(next));
    }
}

fn json(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| Error::Internal(error.to_string()))
}
