//! What a service's names mean at the moment of its registration, and for ever after.

use std::sync::Arc;

use super::entry::digest_of;
use super::{
    Artifacts, Catalog, Force, Forced, Kind, Outcome, Registry, ServiceEntry, ServiceRecord,
    trained,
};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::service::{self, Definition, Parts, Pin, Pins, Service};
use crate::store::OnlineStore;
use crate::transform::Engine;

/// What a service is made ready with.
pub struct Workshop {
    pub(super) engine: Engine,
    pub(super) artifacts: Artifacts,
    pub(super) store: Arc<dyn OnlineStore>,
    pub(super) metrics: Arc<Metrics>,
}

impl Registry {
    /// Plans a service and makes it ready. The same definition that comes to the same pins is the number it has already.
    pub fn register_service(&self, definition: Definition) -> Result<(Arc<Service>, Outcome)> {
        self.register_service_forced(definition, None)
    }

    /// As [`Registry::register_service`]; a service that differs from what its model was trained on is refused without
    /// `force`.
    pub fn register_service_forced(
        &self,
        definition: Definition,
        force: Option<Force>,
    ) -> Result<(Arc<Service>, Outcome)> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let pins = pinned(&catalog, &definition)?;
        let versions = catalog.services.get(&definition.name);
        let same = |entry: &&Arc<ServiceEntry>| {
            entry.record.definition == definition && entry.record.pins == pins
        };
        let known = versions.and_then(|versions| versions.values().find(same));
        if let Some(entry) = known {
            return Ok((entry.ready(&catalog)?.clone(), Outcome::Unchanged));
        }
        let digest = digest_of(&(&definition, &pins))?;
        let (item, number) = catalog.place(Kind::Service, &definition.name, &digest);
        let mut record = ServiceRecord {
            number,
            definition,
            pins,
            forced: None,
            registered_at: jiff::Timestamp::now(),
        };
        let service = Arc::new(catalog.workshop.service(&catalog, &record)?);
        if let Some(labels) = &record.definition.labels {
            catalog.check_labels(&record.definition, labels)?;
        }
        if let Some((training_set, differences)) = trained::differences(&catalog, &service)?
            && !differences.is_empty()
        {
            let Some(Force { reason, by }) = force else {
                return Err(trained::refusal(&service, &training_set, &differences));
            };
            record.forced = Some(Forced {
                reason,
                by,
                at: record.registered_at,
                training_set,
                differences,
            });
        }
        let entry = ServiceEntry::new(record, Some(service.clone()))?;
        self.keep_new(&item, &entry.record)?;
        let mut next = Catalog::clone(&catalog);
        next.gone.remove(&item);
        next.services
            .entry(item.name)
            .or_default()
            .insert(number, Arc::new(entry));
        self.publish(next);
        Ok((service, Outcome::Created))
    }
}

/// Finds each name of the definition in the catalog.
fn pinned(catalog: &Catalog, definition: &Definition) -> Result<Pins> {
    let missing = |error: Error| {
        Error::refused(
            format!("service \"{}\"", definition.name),
            error.to_string(),
        )
    };
    let views = definition.lookups.iter().map(|lookup| {
        let entry = catalog.offered_view(&lookup.view).map_err(missing)?;
        Ok(Pin {
            id: entry.id(),
            digest: entry.record.digest.clone(),
        })
    });
    let views = views.collect::<Result<_>>()?;
    let transforms = definition.transforms.iter().map(|transform| {
        let entry = catalog
            .offered_transform(&transform.uses)
            .map_err(missing)?;
        Ok(Pin {
            id: entry.id(),
            digest: entry.record.digest.clone(),
        })
    });
    let transforms = transforms.collect::<Result<_>>()?;
    let model = match &definition.model {
        None => None,
        Some(model) => {
            let entry = catalog.offered_model(&model.uses).map_err(missing)?;
            Some(Pin {
                id: entry.id(),
                digest: entry.record.digest.clone(),
            })
        }
    };
    Ok(Pins {
        views,
        transforms,
        model,
    })
}

impl Workshop {
    /// Makes a service ready from its record: loads what it pins and plans it.
    pub(super) fn service(&self, catalog: &Catalog, record: &ServiceRecord) -> Result<Service> {
        let views = record.pins.views.iter().map(|pin| {
            let entry = catalog.view(&pin.id)?;
            same(pin, &entry.record.digest)?;
            Ok((entry.view.clone(), self.store.view(&entry.view.name)?))
        });
        let views = views.collect::<Result<_>>()?;
        let transforms = record.pins.transforms.iter().map(|pin| {
            let entry = catalog.transform(&pin.id)?;
            same(pin, &entry.record.digest)?;
            entry.load(&self.engine, &self.artifacts)
        });
        let transforms = transforms.collect::<Result<_>>()?;
        let model = record.pins.model.as_ref().map(|pin| {
            let entry = catalog.model_by_id(&pin.id)?;
            same(pin, &entry.record.digest)?;
            entry.load(&self.artifacts)
        });
        let parts = Parts {
            views,
            transforms,
            model: model.transpose()?,
        };
        let plan = service::resolve(record.definition.clone(), record.number, parts)?;
        Ok(Service::new(
            plan,
            record.pins.clone(),
            record.registered_at,
            &self.metrics,
        ))
    }

    /// Whether all that is pinned is there, with its files. Nothing is loaded.
    pub(super) fn there(&self, catalog: &Catalog, pins: &Pins) -> Result<()> {
        for pin in &pins.views {
            same(pin, &catalog.view(&pin.id)?.record.digest)?;
        }
        for pin in &pins.transforms {
            same(pin, &catalog.transform(&pin.id)?.record.digest)?;
            self.artifacts.there(&pin.digest)?;
        }
        if let Some(pin) = &pins.model {
            same(pin, &catalog.model_by_id(&pin.id)?.record.digest)?;
            self.artifacts.there(&pin.digest)?;
        }
        Ok(())
    }
}

/// What has another digest than was pinned is not run in its place.
fn same(pin: &Pin, digest: &str) -> Result<()> {
    if pin.digest == digest {
        return Ok(());
    }
    let Pin { id, digest: pinned } = pin;
    Err(Error::Internal(format!(
        "{id} was pinned with digest sha256:{pinned}, and has sha256:{digest} here; register the service anew"
    )))
}
