//! What has been registered: transforms, views, models, services. A version never changes.
//!
//! Records are JSON in sled, artifacts are files named by their digest. Everything a request needs is in the
//! [`Catalog`], a snapshot that requests read without a lock; a registration makes the next one.

mod artifacts;
mod catalog;
mod services;

pub use artifacts::{Artifacts, digest};
pub use catalog::{
    AliasSettings, Catalog, ModelEntry, ModelRecord, STABLE, ServiceRecord, TransformEntry,
    TransformRecord,
};

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use crate::admission;
use crate::error::{Error, Result, TransformName};
use crate::metrics::Metrics;
use crate::model::parity::Vectors;
use crate::model::{self, Manifest};
use crate::service::{Definition, Service};
use crate::store::OnlineStore;
use crate::transform::{self, Engine};
use crate::view::View;

pub struct Registry {
    records: sled::Tree,
    artifacts: Artifacts,
    engine: Engine,
    store: Arc<dyn OnlineStore>,
    metrics: Arc<Metrics>,
    catalog: ArcSwap<Catalog>,
    /// Held by whoever registers: one at a time.
    registering: Mutex<()>,
}

/// Whether a registration added something, or found the same there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Unchanged,
}

impl Registry {
    /// Opens what is kept in `db` and under `dir`, and makes every service ready.
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
        let registry = Registry {
            records,
            artifacts: Artifacts::open(&dir.join("artifacts"))?,
            engine,
            store,
            metrics,
            catalog: ArcSwap::default(),
            registering: Mutex::new(()),
        };
        let mut catalog = Catalog::default();
        for (_, record) in registry.scan::<TransformRecord>("transform/")? {
            catalog.add_transform(TransformEntry::new(record));
        }
        for (_, view) in registry.scan::<View>("view/")? {
            catalog.add_view(view);
        }
        for (_, record) in registry.scan::<ModelRecord>("model/")? {
            catalog.add_model(ModelEntry::new(record));
        }
        for (key, record) in registry.scan::<ServiceRecord>("service/")? {
            let service = registry
                .restored(&catalog, record)
                .map_err(|error| Error::Internal(format!("{key} cannot be restored: {error}")))?;
            catalog.add_service(service);
        }
        registry.catalog.store(Arc::new(catalog));
        Ok(registry)
    }

    /// What there is now.
    pub fn catalog(&self) -> Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// Admits a raw core module or a component, proven by [`admission`].
    pub fn register_transform(&self, bytes: &[u8]) -> Result<(Arc<TransformEntry>, Outcome)> {
        let component = transform::componentize(bytes)?;
        let loaded = self.engine.load(&component)?;
        let name = loaded.name().clone();
        if let Some(entry) = self.registered(&self.catalog.load(), &name)? {
            return Ok((entry, Outcome::Unchanged));
        }
        // Takes a while, so nobody else who registers waits for it.
        let admission = admission::admit(&loaded)?;
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        if let Some(entry) = self.registered(&catalog, &name)? {
            return Ok((entry, Outcome::Unchanged));
        }
        let record = TransformRecord {
            description: loaded.description().clone(),
            digest: name.digest.clone(),
            size: component.len(),
            admission,
            registered_at: jiff::Timestamp::now(),
        };
        self.artifacts.put(&name.digest, &component)?;
        self.keep(
            &format!("transform/{}/{}", name.name, name.version),
            &record,
        )?;
        // Not what was proven: its instances are warm, and memory should grow with what is used.
        let entry = TransformEntry::new(record);
        let mut next = Catalog::clone(&catalog);
        let entry = next.add_transform(entry);
        self.catalog.store(Arc::new(next));
        Ok((entry, Outcome::Created))
    }

    /// The transform of that name, version and digest, if it is there; another digest is a conflict.
    fn registered(
        &self,
        catalog: &Catalog,
        name: &TransformName,
    ) -> Result<Option<Arc<TransformEntry>>> {
        let versions = catalog.transforms.get(&name.name);
        let Some(entry) = versions.and_then(|versions| versions.get(&name.version)) else {
            return Ok(None);
        };
        if entry.record.digest == name.digest {
            return Ok(Some(entry.clone()));
        }
        Err(Error::Conflict(format!(
            "transform {name} is registered with digest sha256:{}, and this one has sha256:{}; a version never \
             changes: raise the version in Cargo.toml",
            entry.record.digest, name.digest
        )))
    }

    pub fn register_view(&self, view: View) -> Result<(Arc<View>, Outcome)> {
        view.check()?;
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        if let Some(known) = catalog.views.get(&view.name) {
            if **known == view {
                return Ok((known.clone(), Outcome::Unchanged));
            }
            return Err(Error::Conflict(format!(
                "view \"{}\" is there with another definition; a view never changes: give this one another name",
                view.name
            )));
        }
        self.keep(&format!("view/{}", view.name), &view)?;
        let mut next = Catalog::clone(&catalog);
        let view = next.add_view(view);
        self.catalog.store(Arc::new(next));
        Ok((view, Outcome::Created))
    }

    /// Admits an ONNX file, if it scores its test vectors as they say. The same file with the same manifest is the number
    /// it has already.
    pub fn register_model(
        &self,
        onnx: &[u8],
        manifest: Manifest,
        vectors: Option<&Vectors>,
    ) -> Result<(Arc<ModelEntry>, Outcome)> {
        crate::schema::check_name(&manifest.name)
            .map_err(|reason| Error::refused(format!("model \"{}\"", manifest.name), reason))?;
        let digest = digest(onnx);
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let versions = catalog
            .models
            .get(&manifest.name)
            .map_or(&[][..], Vec::as_slice);
        let same = |entry: &&Arc<ModelEntry>| {
            entry.record.digest == digest && entry.record.manifest == manifest
        };
        if let Some(entry) = versions.iter().find(same) {
            return Ok((entry.clone(), Outcome::Unchanged));
        }
        let number = versions.len() as u32 + 1;
        let name = manifest.name.clone();
        let loaded = model::load(&name, number, onnx, manifest.clone())?;
        let engine = loaded.engine.as_ref();
        let facts = model::facts(onnx, engine)?;
        let parity = vectors
            .map(|vectors| vectors.compare(engine))
            .transpose()
            .map_err(|reason| Error::refused(format!("model \"{name}\""), reason))?;
        let record = ModelRecord {
            number,
            digest,
            manifest,
            facts,
            parity,
            registered_at: jiff::Timestamp::now(),
        };
        self.artifacts.put(&record.digest, onnx)?;
        self.keep(&format!("model/{name}/{number:010}"), &record)?;
        let entry = ModelEntry {
            record,
            loaded: OnceLock::from(Arc::new(loaded)),
        };
        let mut next = Catalog::clone(&catalog);
        let entry = next.add_model(entry);
        self.catalog.store(Arc::new(next));
        Ok((entry, Outcome::Created))
    }

    /// Plans a service and makes it ready. The same definition that comes to the same pins is the number it has already.
    pub fn register_service(&self, definition: Definition) -> Result<(Arc<Service>, Outcome)> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let pins = self.pinned(&catalog, &definition)?;
        let versions = catalog
            .services
            .get(&definition.name)
            .map_or(&[][..], Vec::as_slice);
        let same =
            |service: &&Arc<Service>| service.plan.definition == definition && service.pins == pins;
        if let Some(service) = versions.iter().find(same) {
            return Ok((service.clone(), Outcome::Unchanged));
        }
        let number = versions.len() as u32 + 1;
        let record = ServiceRecord {
            number,
            definition,
            pins,
            registered_at: jiff::Timestamp::now(),
        };
        let service = self.restored(&catalog, record.clone())?;
        self.keep(
            &format!("service/{}/{number:010}", record.definition.name),
            &record,
        )?;
        let mut next = Catalog::clone(&catalog);
        let service = next.add_service(service);
        self.catalog.store(Arc::new(next));
        Ok((service, Outcome::Created))
    }

    /// The component or model file of that digest.
    pub fn artifact(&self, digest: &str) -> Result<Vec<u8>> {
        self.artifacts.get(digest)
    }

    /// Writes a record and waits until it is on disk: what is acknowledged is kept.
    fn keep(&self, key: &str, record: &impl Serialize) -> Result<()> {
        let bytes =
            serde_json::to_vec(record).map_err(|error| Error::Internal(error.to_string()))?;
        self.records
            .insert(key, bytes)
            .and_then(|_| self.records.flush())
            .map(|_| ())
            .map_err(|error| Error::Store(error.to_string()))
    }

    fn scan<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>> {
        self.records
            .scan_prefix(prefix)
            .map(|item| {
                let (key, value) = item.map_err(|error| Error::Store(error.to_string()))?;
                let key = String::from_utf8_lossy(&key).into_owned();
                let record = serde_json::from_slice(&value).map_err(|error| {
                    Error::Internal(format!("registry record {key} cannot be read: {error}"))
                })?;
                Ok((key, record))
            })
            .collect()
    }
}
