//! Training sets: registered only if what they say made them is what is registered.

use std::sync::Arc;

use super::entry::digest_of;
use super::{Catalog, Item, Kind, Outcome, Registry, TrainingSetRecord};
use crate::error::{Error, Result, listed};
use crate::training_set::{Manifest, Used};

impl Registry {
    /// Keeps a manifest whose service, versions and digests are those registered. The same again is the number it has
    /// already.
    pub fn register_training_set(
        &self,
        manifest: Manifest,
    ) -> Result<(Arc<TrainingSetRecord>, Outcome)> {
        let refused =
            |reason| Error::refused(format!("training set \"{}\"", manifest.name), reason);
        manifest.check().map_err(refused)?;
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let versions = catalog.training_sets.get(&manifest.name);
        let same = |record: &&Arc<TrainingSetRecord>| record.manifest == manifest;
        let known = versions.and_then(|versions| versions.values().find(same));
        if let Some(record) = known {
            return Ok((record.clone(), Outcome::Unchanged));
        }
        fits(&catalog, &manifest).map_err(refused)?;
        let digest = digest_of(&manifest)?;
        let (item, number) = catalog.place(Kind::TrainingSet, &manifest.name, &digest);
        let record = Arc::new(TrainingSetRecord {
            number,
            digest,
            manifest,
            registered_at: jiff::Timestamp::now(),
        });
        self.keep_new(&item, &*record)?;
        let mut next = Catalog::clone(&catalog);
        next.gone.remove(&item);
        let versions = next.training_sets.entry(item.name).or_default();
        versions.insert(number, record.clone());
        self.publish(next);
        Ok((record, Outcome::Created))
    }
}

/// Whether the manifest speaks of what is registered; else the difference.
fn fits(catalog: &Catalog, manifest: &Manifest) -> Result<(), String> {
    let words = |error: Error| error.to_string();
    let item = Item::exact(Kind::Service, &manifest.service)
        .map_err(|error| format!("its service: {error}"))?;
    let entry = catalog.service_entry(&item.id()).map_err(words)?;
    let pins = &entry.record.pins;
    let pinned = |id: &str, digest: &str| format!("{id} sha256:{digest}");
    let theirs: Vec<String> = (pins.transforms.iter())
        .map(|pin| pinned(&pin.id, &pin.digest))
        .collect();
    let used = |used: &Used| pinned(&used.id, used.hex());
    let mine: Vec<String> = manifest.transforms.iter().map(used).collect();
    if let Some(other) = mine.iter().find(|one| !theirs.contains(one)) {
        let there = listed("transform", &theirs);
        return Err(format!(
            "it was made with {other}, which {item} does not pin; {there}"
        ));
    }
    if let Some(missing) = theirs.iter().find(|one| !mine.contains(one)) {
        return Err(format!(
            "{item} pins {missing}, which its transforms do not name"
        ));
    }
    if let Some(model) = &manifest.model {
        let entry = catalog.model_by_id(&model.id).map_err(words)?;
        let there = pinned(&entry.id(), &entry.record.digest);
        if used(model) != there {
            let mine = used(model);
            return Err(format!("its model is {mine}, and registered is {there}"));
        }
    }
    for span in &manifest.views {
        if !pins.views.iter().any(|pin| pin.id == span.view) {
            let ids: Vec<String> = pins.views.iter().map(|pin| pin.id.clone()).collect();
            let there = listed("view", &ids);
            return Err(format!(
                "{item} does not look up view {}; {there}",
                span.view
            ));
        }
    }
    let vector = entry
        .ready(catalog)
        .map_err(words)?
        .plan
        .vector
        .schema
        .names();
    let differs = |(at, name): (usize, &String)| vector.get(at) != Some(name);
    if let Some(at) = manifest.features.iter().enumerate().position(differs) {
        let wanted = vector.get(at).map_or("no more", String::as_str);
        let found = &manifest.features[at];
        return Err(format!(
            "its feature {at} is {found}, and the vector of {item} has {wanted} there"
        ));
    }
    if let Some(missing) = vector.get(manifest.features.len()) {
        return Err(format!(
            "its {} features end before {missing}, which the vector of {item} has next",
            manifest.features.len()
        ));
    }
    Ok(())
}
