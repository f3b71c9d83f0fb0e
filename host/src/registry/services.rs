//! What a service's names mean at the moment of its registration, and for ever after.

use super::{Catalog, Registry, ServiceRecord};
use crate::error::{Error, Result};
use crate::service::{self, Definition, Parts, Pins, Service};

impl Registry {
    /// Finds each name of the definition in the catalog.
    pub(super) fn pinned(&self, catalog: &Catalog, definition: &Definition) -> Result<Pins> {
        let missing = |error: Error| {
            Error::refused(
                format!("service \"{}\"", definition.name),
                error.to_string(),
            )
        };
        for lookup in &definition.lookups {
            catalog.view(&lookup.view).map_err(missing)?;
        }
        let transforms = definition
            .transforms
            .iter()
            .map(|transform| {
                let entry = catalog.transform(&transform.uses).map_err(missing)?;
                Ok(service::Pin {
                    id: entry.id(),
                    digest: entry.record.digest.clone(),
                })
            })
            .collect::<Result<_>>()?;
        let model = match &definition.model {
            None => None,
            Some(model) => {
                let entry = catalog.model_by_id(&model.uses).map_err(missing)?;
                Some(service::Pin {
                    id: entry.id(),
                    digest: entry.record.digest.clone(),
                })
            }
        };
        Ok(Pins { transforms, model })
    }

    /// Makes a service ready from its record: loads what it pins and plans it.
    pub(super) fn restored(&self, catalog: &Catalog, record: ServiceRecord) -> Result<Service> {
        let views = record.definition.lookups.iter().map(|lookup| {
            let view = catalog.view(&lookup.view)?;
            Ok((view.clone(), self.store.view(&view.name)?))
        });
        let views = views.collect::<Result<_>>()?;
        let transforms = record.pins.transforms.iter().map(|pin| {
            catalog
                .transform(&pin.id)?
                .load(&self.engine, &self.artifacts)
        });
        let transforms = transforms.collect::<Result<_>>()?;
        let model = record
            .pins
            .model
            .as_ref()
            .map(|pin| catalog.model_by_id(&pin.id)?.load(&self.artifacts));
        let parts = Parts {
            views,
            transforms,
            model: model.transpose()?,
        };
        let plan = service::resolve(record.definition, record.number, parts)?;
        Ok(Service::new(
            plan,
            record.pins,
            record.registered_at,
            &self.metrics,
        ))
    }
}
