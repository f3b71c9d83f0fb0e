//! What is kept of each version, and what is made of it when it is first needed.
//!
//! Compiled code and loaded models live as long as a service that uses them does: memory grows with what is used, not
//! with what is registered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Artifacts, Catalog, Forced};
use crate::admission;
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::model::parity::Report;
use crate::model::{self, Facts, LoadedModel, Manifest};
use crate::service::{Definition, Pins, Service};
use crate::training_set;
use crate::transform::{Description, Engine, Transform, WeakTransform};
use crate::view::View;

#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TransformRecord {
    #[serde(flatten)]
    pub description: Description,
    pub digest: String,
    /// Bytes of the component.
    pub size: usize,
    /// Bytes of its source archive, if it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_bytes: Option<usize>,
    pub admission: admission::Report,
    /// From the version before it to this one, as they were when this one was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<admission::diff::Diff>,
    pub registered_at: jiff::Timestamp,
}

/// A transform, compiled when first needed.
pub struct TransformEntry {
    pub record: TransformRecord,
    /// Kept by the services that use it. Whoever loads it makes the others wait, so that it is loaded once.
    loaded: Mutex<WeakTransform>,
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
    loaded: Mutex<Weak<LoadedModel>>,
}

/// A view's version.
#[derive(Clone, Serialize, Deserialize)]
pub struct ViewRecord {
    pub number: u32,
    /// Of the definition.
    pub digest: String,
    pub definition: View,
    pub registered_at: jiff::Timestamp,
}

pub struct ViewEntry {
    pub record: ViewRecord,
    pub view: Arc<View>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceRecord {
    pub number: u32,
    pub definition: Definition,
    pub pins: Pins,
    /// Present where its model was trained on something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    pub registered_at: jiff::Timestamp,
}

/// A service's version, made ready when first needed.
pub struct ServiceEntry {
    pub record: ServiceRecord,
    /// Of the definition and what it pins.
    pub digest: String,
    ready: OnceLock<Arc<Service>>,
    /// Whether anybody has asked for it.
    asked: AtomicBool,
    /// Held by whoever makes it ready; why that went wrong the last time.
    trouble: Mutex<Option<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct TrainingSetRecord {
    pub number: u32,
    /// Of the manifest.
    pub digest: String,
    pub manifest: training_set::Manifest,
    pub registered_at: jiff::Timestamp,
}

/// SHA-256 of something as JSON.
pub(super) fn digest_of(value: &impl Serialize) -> Result<String> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(digest(&bytes))
}

impl TransformEntry {
    pub(super) fn new(record: TransformRecord) -> TransformEntry {
        TransformEntry {
            record,
            loaded: Mutex::default(),
        }
    }

    /// `name@version`.
    pub fn id(&self) -> String {
        format!(
            "{}@{}",
            self.record.description.name, self.record.description.version
        )
    }

    /// Whether its code is in memory.
    pub fn is_loaded(&self) -> bool {
        self.loaded.lock().upgrade().is_some()
    }

    pub(super) fn load(&self, engine: &Engine, artifacts: &Artifacts) -> Result<Transform> {
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = loaded.upgrade() {
            return Ok(loaded);
        }
        let made = engine.load(&artifacts.get(&self.record.digest)?)?;
        *loaded = made.downgrade();
        Ok(made)
    }
}

impl ModelEntry {
    pub(super) fn new(record: ModelRecord) -> ModelEntry {
        ModelEntry {
            record,
            loaded: Mutex::default(),
        }
    }

    /// `name@number`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.record.manifest.name, self.record.number)
    }

    /// Whether it is in memory.
    pub fn is_loaded(&self) -> bool {
        self.loaded.lock().upgrade().is_some()
    }

    pub(super) fn load(&self, artifacts: &Artifacts) -> Result<Arc<LoadedModel>> {
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = loaded.upgrade() {
            return Ok(loaded);
        }
        let record = &self.record;
        let onnx = artifacts.get(&record.digest)?;
        let made = Arc::new(model::load(
            &record.manifest.name,
            record.number,
            &onnx,
            record.manifest.clone(),
        )?);
        *loaded = Arc::downgrade(&made);
        Ok(made)
    }
}

impl ViewEntry {
    pub(super) fn new(record: ViewRecord) -> ViewEntry {
        let view = Arc::new(record.definition.clone());
        ViewEntry { record, view }
    }

    /// `name@number`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.view.name, self.record.number)
    }
}

impl ServiceEntry {
    pub(super) fn new(record: ServiceRecord, ready: Option<Arc<Service>>) -> Result<ServiceEntry> {
        Ok(ServiceEntry {
            digest: digest_of(&(&record.definition, &record.pins))?,
            record,
            ready: ready.map_or_else(OnceLock::new, OnceLock::from),
            asked: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }

    /// `name@number`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.record.definition.name, self.record.number)
    }

    pub fn is_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// What requests need, where it has been made already.
    pub fn if_ready(&self) -> Option<&Arc<Service>> {
        self.ready.get()
    }

    /// Why it could not be made ready, if it could not.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// For a request: made ready, if nobody has asked before.
    pub(super) fn asked(&self, catalog: &Catalog) -> Result<&Arc<Service>> {
        // Read first: a flag that every request writes would go from core to core.
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        self.ready(catalog)
    }

    /// Loads what it pins and plans it. What went wrong is tried again the next time: a file may have been put back.
    pub fn ready(&self, catalog: &Catalog) -> Result<&Arc<Service>> {
        if let Some(service) = self.ready.get() {
            return Ok(service);
        }
        let mut trouble = self.trouble.lock();
        if let Some(service) = self.ready.get() {
            return Ok(service);
        }
        match catalog.workshop.service(catalog, &self.record) {
            Ok(service) => {
                *trouble = None;
                Ok(self.ready.get_or_init(|| Arc::new(service)))
            }
            Err(error) => {
                let words = format!("service {} cannot be made ready: {error}", self.id());
                *trouble = Some(words.clone());
                Err(Error::Internal(words))
            }
        }
    }

    /// What can be seen without loading anything: whether all it pins is there.
    pub(super) fn check(&self, catalog: &Catalog) {
        if let Err(error) = catalog.workshop.there(catalog, &self.record.pins) {
            *self.trouble.lock() = Some(format!("service {} cannot be used: {error}", self.id()));
        }
    }

    /// The same without what a request needs, if nobody has asked for it.
    pub(super) fn rested(&self) -> Option<ServiceEntry> {
        let idle = self.is_ready() && !self.asked.load(Ordering::Relaxed);
        idle.then(|| ServiceEntry {
            record: self.record.clone(),
            digest: self.digest.clone(),
            ready: OnceLock::new(),
            asked: AtomicBool::new(false),
            trouble: Mutex::default(),
        })
    }
}

impl TrainingSetRecord {
    /// `name@number`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.manifest.name, self.number)
    }
}
