//! A service version with all that it is made of, in one file that runs anywhere: a tar of `service.json`, `views/*.json`,
//! `transforms/*.wasm` and `model/`.

use std::io::Read;
use std::sync::Arc;

use super::{Registry, ServiceRecord};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::model::{self, Manifest};
use crate::service::{self, Parts, Service};
use crate::store::{MemoryStore, OnlineStore};
use crate::transform::Engine;
use crate::view::View;

const SERVICE: &str = "service.json";
const MODEL: &str = "model/model.onnx";
const MANIFEST: &str = "model/manifest.json";

impl Registry {
    /// The bundle of `name`, `name@3` or `name@alias`.
    pub fn bundle(&self, id: &str) -> Result<Vec<u8>> {
        let catalog = self.catalog().clone();
        let record = catalog.service_entry(id)?.record.clone();
        let mut tar = tar::Builder::new(Vec::new());
        let json = |value: serde_json::Result<Vec<u8>>| value.map_err(failed);
        add(
            &mut tar,
            SERVICE,
            &json(serde_json::to_vec_pretty(&record))?,
        )?;
        for pin in &record.pins.views {
            let view = &catalog.view(&pin.id)?.view;
            let name = format!("views/{}.json", pin.id);
            add(&mut tar, &name, &json(serde_json::to_vec_pretty(&**view))?)?;
        }
        for pin in &record.pins.transforms {
            let name = format!("transforms/{}.wasm", pin.id);
            add(&mut tar, &name, &self.artifact(&pin.digest)?)?;
        }
        if let Some(pin) = &record.pins.model {
            let manifest = &catalog.model_by_id(&pin.id)?.record.manifest;
            add(&mut tar, MODEL, &self.artifact(&pin.digest)?)?;
            add(
                &mut tar,
                MANIFEST,
                &json(serde_json::to_vec_pretty(manifest))?,
            )?;
        }
        tar.into_inner().map_err(failed)
    }
}

/// Makes the service of a bundle ready, on `engine` and a store without rows. Components and model must have the digests
/// that the service pins.
pub fn open(bytes: &[u8], engine: &Engine) -> Result<Service> {
    let mut files = std::collections::HashMap::new();
    let mut archive = tar::Archive::new(bytes);
    let broken = |error: std::io::Error| Error::refused("the bundle", error.to_string());
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        files.insert(name, content);
    }
    let file = |name: &str| {
        files
            .get(name)
            .ok_or_else(|| Error::refused("the bundle", format!("it has no {name}")))
    };
    let parsed = |name: &str, error: serde_json::Error| {
        Error::refused("the bundle", format!("{name}: {error}"))
    };
    let pinned = |id: &str, wanted: &str, bytes: &[u8]| match digest(bytes) {
        found if found == wanted => Ok(()),
        found => Err(Error::refused(
            "the bundle",
            format!("{id} has digest sha256:{found}, and sha256:{wanted} is pinned"),
        )),
    };
    let record: ServiceRecord =
        serde_json::from_slice(file(SERVICE)?).map_err(|error| parsed(SERVICE, error))?;

    let store = MemoryStore::new();
    let mut views = Vec::new();
    for pin in &record.pins.views {
        let name = format!("views/{}.json", pin.id);
        let view: View =
            serde_json::from_slice(file(&name)?).map_err(|error| parsed(&name, error))?;
        let rows = store.view(&view.name)?;
        views.push((Arc::new(view), rows));
    }
    let mut transforms = Vec::new();
    for pin in &record.pins.transforms {
        let bytes = file(&format!("transforms/{}.wasm", pin.id))?;
        pinned(&pin.id, &pin.digest, bytes)?;
        transforms.push(engine.load(bytes)?);
    }
    let model = match &record.pins.model {
        None => None,
        Some(pin) => {
            let onnx = file(MODEL)?;
            pinned(&pin.id, &pin.digest, onnx)?;
            let manifest: Manifest =
                serde_json::from_slice(file(MANIFEST)?).map_err(|error| parsed(MANIFEST, error))?;
            let number = pin.id.rsplit('@').next().and_then(|text| text.parse().ok());
            let name = manifest.name.clone();
            let loaded = model::load(&name, number.unwrap_or(0), onnx, manifest)?;
            Some(Arc::new(loaded))
        }
    };
    let parts = Parts {
        views,
        transforms,
        model,
    };
    let plan = service::resolve(record.definition, record.number, parts)?;
    Ok(Service::new(
        plan,
        record.pins,
        record.registered_at,
        &Metrics::new()?,
    ))
}

fn add(tar: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, name, bytes).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the bundle cannot be made: {error}"))
}
