//! Reading back what is kept. A record that cannot be read is named, and does not hide the others.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{
    AliasChange, Catalog, Item, Kind, ModelEntry, ServiceEntry, TransformEntry, ViewEntry,
    Workshop, aliases, delete, retire,
};
use crate::error::{Error, Result};

/// All that is registered, the services that a name or an alias means made ready.
pub(super) fn catalog(records: &sled::Tree, workshop: Arc<Workshop>) -> Result<Catalog> {
    let mut catalog = Catalog::new(workshop);
    for kind in Kind::ALL {
        for (key, value) in scan(records, &format!("{kind}/"))? {
            let read = match Item::of_key(&key) {
                Some(item) => add(&mut catalog, &item, &value).map_err(|reason| (item, reason)),
                None => Err((Item::new(kind, &key, "?"), "its key is none".to_owned())),
            };
            if let Err((item, reason)) = read {
                catalog.broken.insert(item, reason);
            }
        }
    }
    for (item, retirement) in marks(records, retire::PREFIX)? {
        catalog.retired.insert(item, Arc::new(retirement));
    }
    for (item, tombstone) in marks(records, delete::PREFIX)? {
        catalog.gone.insert(item, Arc::new(tombstone));
    }
    // The last change of each alias says what it stands for now; those before it are read when somebody asks.
    let mut last = std::collections::BTreeMap::new();
    for (key, value) in scan(records, aliases::PREFIX)? {
        if let Some((service, alias)) = aliases::of_key(&key) {
            last.insert((service, alias), value);
        }
    }
    for ((service, alias), value) in last {
        match parsed::<AliasChange>(&value) {
            Ok(change) => {
                if let Some(settings) = change.to {
                    let aliases = catalog.aliases.entry(service).or_default();
                    aliases.insert(alias, Arc::new(settings));
                }
            }
            Err(reason) => {
                let item = Item::new(Kind::Service, &service, &alias);
                catalog.broken.insert(item, reason);
            }
        }
    }
    catalog.settle();
    for entry in catalog.services.values().flat_map(|all| all.values()) {
        match catalog.is_pointed(entry) {
            // What went wrong is kept by the entry.
            true => drop(entry.ready(&catalog)),
            false => entry.check(&catalog),
        }
    }
    for trouble in catalog.troubles() {
        tracing::error!("{trouble}");
    }
    Ok(catalog)
}

/// Puts what a record says into the catalog; or the reason why it cannot be read.
fn add(catalog: &mut Catalog, item: &Item, value: &[u8]) -> Result<(), String> {
    let (name, number) = (item.name.clone(), item.number().unwrap_or(0));
    match item.kind {
        Kind::Transform => {
            catalog.add_transform(TransformEntry::new(parsed(value)?));
        }
        Kind::View => {
            let entry = Arc::new(ViewEntry::new(parsed(value)?));
            catalog.views.entry(name).or_default().insert(number, entry);
        }
        Kind::Model => {
            let entry = Arc::new(ModelEntry::new(parsed(value)?));
            catalog
                .models
                .entry(name)
                .or_default()
                .insert(number, entry);
        }
        Kind::Service => {
            let entry =
                ServiceEntry::new(parsed(value)?, None).map_err(|error| error.to_string())?;
            let versions = catalog.services.entry(name).or_default();
            versions.insert(number, Arc::new(entry));
        }
        Kind::TrainingSet => {
            let record = Arc::new(parsed(value)?);
            let versions = catalog.training_sets.entry(name).or_default();
            versions.insert(number, record);
        }
    }
    Ok(())
}

/// What is kept about versions under a prefix. A mark that cannot be read still marks; the log says so.
fn marks<T: DeserializeOwned + Default>(
    records: &sled::Tree,
    prefix: &str,
) -> Result<Vec<(Item, T)>> {
    let mut marks = Vec::new();
    for (key, value) in scan(records, prefix)? {
        let item = key.strip_prefix(prefix).and_then(Item::of_key);
        let mark = parsed(&value).unwrap_or_else(|reason| {
            tracing::error!(key, reason, "a mark of the registry cannot be read");
            T::default()
        });
        marks.extend(item.map(|item| (item, mark)));
    }
    Ok(marks)
}

fn parsed<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

/// Keys and values under a prefix, in order.
pub(super) fn scan(records: &sled::Tree, prefix: &str) -> Result<Vec<(String, sled::IVec)>> {
    let items = records.scan_prefix(prefix).map(|item| {
        let (key, value) = item.map_err(|error| Error::Store(error.to_string()))?;
        Ok((String::from_utf8_lossy(&key).into_owned(), value))
    });
    items.collect()
}
