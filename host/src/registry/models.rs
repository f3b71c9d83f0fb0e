//! Models: an ONNX file and its manifest.

use std::sync::Arc;

use super::entry::digest_of;
use super::{Catalog, Item, Kind, ModelEntry, ModelRecord, Outcome, Registry};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::model::parity::Vectors;
use crate::model::{self, Manifest};

impl Registry {
    /// Admits an ONNX file, if it scores its test vectors as they say. The same file with the same manifest is the number
    /// it has already.
    pub fn register_model(
        &self,
        onnx: &[u8],
        manifest: Manifest,
        vectors: Option<&Vectors>,
    ) -> Result<(Arc<ModelEntry>, Outcome)> {
        let refused = |reason| Error::refused(format!("model \"{}\"", manifest.name), reason);
        crate::schema::check_name(&manifest.name).map_err(refused)?;
        let digest = digest(onnx);
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let versions = catalog.models.get(&manifest.name).into_iter().flatten();
        let same = |(_, entry): &(&u32, &Arc<ModelEntry>)| {
            entry.record.digest == digest && entry.record.manifest == manifest
        };
        if let Some((_, entry)) = versions.into_iter().find(same) {
            return Ok((entry.clone(), Outcome::Unchanged));
        }
        if let Some(id) = &manifest.training_set {
            Item::exact(Kind::TrainingSet, id)
                .and_then(|_| catalog.training_set(id).map(drop))
                .map_err(|error| refused(format!("its manifest's training_set: {error}")))?;
        }
        let (item, number) =
            catalog.place(Kind::Model, &manifest.name, &identity(&digest, &manifest)?);
        let loaded = model::load(&manifest.name, number, onnx, manifest.clone())?;
        let engine = loaded.engine.as_ref();
        let facts = model::facts(onnx, engine)?;
        let parity = vectors
            .map(|vectors| vectors.compare(engine))
            .transpose()
            .map_err(refused)?;
        let record = ModelRecord {
            number,
            digest,
            manifest,
            facts,
            parity,
            registered_at: jiff::Timestamp::now(),
        };
        self.workshop.artifacts.put(&record.digest, onnx)?;
        self.keep_new(&item, &record)?;
        let entry = Arc::new(ModelEntry::new(record));
        let mut next = Catalog::clone(&catalog);
        next.gone.remove(&item);
        let versions = next.models.entry(item.name).or_default();
        versions.insert(number, entry.clone());
        self.publish(next);
        Ok((entry, Outcome::Created))
    }
}

/// What makes two models the same: the file and the manifest.
pub(super) fn identity(digest: &str, manifest: &Manifest) -> Result<String> {
    digest_of(&(digest, manifest))
}
