//! Retiring: a version goes on serving those who have it, and is not given to anything new.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::aliases::Mover;
use super::{Catalog, Item, Outcome, Registry};
use crate::error::{Error, Result};

pub(super) const PREFIX: &str = "retired/";

/// When, by whom and why a version was retired.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Retirement {
    pub at: jiff::Timestamp,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Registry {
    /// Retires a version. An alias that points at a service's version keeps it; move it first.
    pub fn retire(&self, item: &Item, mover: Mover<'_>) -> Result<(Arc<Retirement>, Outcome)> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        catalog.find(item.kind, &item.id())?;
        if let Some(known) = catalog.retired.get(item) {
            return Ok((known.clone(), Outcome::Unchanged));
        }
        let retirement = Arc::new(Retirement {
            at: jiff::Timestamp::now(),
            by: mover.by.to_owned(),
            reason: mover.reason.map(str::to_owned),
        });
        let mut batch = sled::Batch::default();
        batch.insert(key(item).as_bytes(), super::json(&*retirement)?);
        self.write(batch)?;
        let mut next = Catalog::clone(&catalog);
        next.retired.insert(item.clone(), retirement.clone());
        self.publish(next);
        Ok((retirement, Outcome::Created))
    }

    /// Takes a retirement back. A version that is not retired stays so.
    pub fn restore(&self, item: &Item) -> Result<Outcome> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        catalog.find(item.kind, &item.id())?;
        if !catalog.retired.contains_key(item) {
            return Ok(Outcome::Unchanged);
        }
        let mut batch = sled::Batch::default();
        batch.remove(key(item).as_bytes());
        self.write(batch)?;
        let mut next = Catalog::clone(&catalog);
        next.retired.remove(item);
        self.publish(next);
        Ok(Outcome::Created)
    }
}

impl Retirement {
    /// Why the version is not given to something new.
    pub(super) fn refusal(&self, item: &Item) -> Error {
        let reason = self.reason.as_ref();
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        Error::Conflict(format!(
            "{item} was retired by {} at {}{reason}; use another version, or restore it first",
            self.by, self.at
        ))
    }
}

pub(super) fn key(item: &Item) -> String {
    format!("{PREFIX}{}", item.key())
}
