//! Movable names for the versions of a service, with the whole history of where they pointed.
//!
//! Each change is a record of its own, one sled write; the last one says what the alias stands for now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Catalog, Item, Kind, Outcome, Registry, open, rollout};
use crate::canary::Canary;
use crate::error::{Error, Result};
use crate::schema::check_name;
use crate::shadow::Shadow;

/// The alias that a service's bare name means, where there is one.
pub const STABLE: &str = "stable";

pub(super) const PREFIX: &str = "alias/";

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AliasSettings {
    /// The version it points at.
    pub version: u32,
    /// Versions that run on its requests once they are answered, for the feature log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<Shadow>,
    /// A version that answers a share of the entities in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// One move of an alias.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AliasChange {
    /// Counts the alias' changes, from 1.
    pub change: u32,
    pub at: jiff::Timestamp,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it stood for before; none where it was not there.
    #[schema(required)]
    pub from: Option<AliasSettings>,
    /// What it stands for since; none where it was removed.
    #[schema(required)]
    pub to: Option<AliasSettings>,
    /// The change that a rollback from here goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

/// Who moves an alias, and why.
#[derive(Clone, Copy, Debug)]
pub struct Mover<'a> {
    pub by: &'a str,
    pub reason: Option<&'a str>,
}

impl Registry {
    /// Points an alias at a version, or gives it other settings. Requests in flight finish on what they began with; the
    /// next ones see the new settings. The version is made ready first, so that no request waits for it or fails.
    pub fn move_alias(
        &self,
        service: &str,
        alias: &str,
        to: AliasSettings,
        mover: Mover<'_>,
    ) -> Result<(AliasChange, Outcome)> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        catalog.service_name(service)?;
        check_alias(alias)?;
        let last = self.last_change(service, alias)?;
        let from = current(&catalog, service, alias);
        if let (Some(last), true) = (&last, from.as_deref() == Some(&to)) {
            return Ok((last.clone(), Outcome::Unchanged));
        }
        rollout::check(&catalog, service, &to)?;
        let change = AliasChange {
            change: last.as_ref().map_or(0, |last| last.change) + 1,
            at: jiff::Timestamp::now(),
            by: mover.by.to_owned(),
            reason: mover.reason.map(str::to_owned),
            back_to: from.as_ref().and(last.as_ref()).map(|last| last.change),
            from: from.as_deref().cloned(),
            to: Some(to),
            rollback: false,
        };
        self.changed(&catalog, service, alias, &change)?;
        Ok((change, Outcome::Created))
    }

    /// Gives an alias the settings it had before its last change. Twice goes further back, not back and forth.
    pub fn roll_back_alias(
        &self,
        service: &str,
        alias: &str,
        mover: Mover<'_>,
    ) -> Result<AliasChange> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let from = catalog.alias(service, alias)?.clone();
        let nothing = || {
            Error::Conflict(format!(
                "alias {alias} of service {service} has no earlier settings to go back to; it points at {service}@{} \
                 since it was made",
                from.version
            ))
        };
        let last = self.last_change(service, alias)?.ok_or_else(nothing)?;
        let back = match last.back_to {
            Some(back) => self.change(service, alias, back)?,
            None => None,
        };
        let Some((Some(to), back_to)) = back.map(|back| (back.to, back.back_to)) else {
            return Err(nothing());
        };
        rollout::check(&catalog, service, &to)?;
        let change = AliasChange {
            change: last.change + 1,
            at: jiff::Timestamp::now(),
            by: mover.by.to_owned(),
            reason: mover.reason.map(str::to_owned),
            from: Some(AliasSettings::clone(&from)),
            to: Some(to),
            back_to,
            rollback: true,
        };
        self.changed(&catalog, service, alias, &change)?;
        Ok(change)
    }

    /// Takes an alias away. Its history stays.
    pub fn remove_alias(
        &self,
        service: &str,
        alias: &str,
        mover: Mover<'_>,
    ) -> Result<AliasChange> {
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let from = catalog.alias(service, alias)?;
        let last = self.last_change(service, alias)?;
        let change = AliasChange {
            change: last.map_or(0, |last| last.change) + 1,
            at: jiff::Timestamp::now(),
            by: mover.by.to_owned(),
            reason: mover.reason.map(str::to_owned),
            from: Some(AliasSettings::clone(from)),
            to: None,
            back_to: None,
            rollback: false,
        };
        self.changed(&catalog, service, alias, &change)?;
        Ok(change)
    }

    /// All changes of an alias, oldest first. Empty if there never was such an alias.
    pub fn alias_history(&self, service: &str, alias: &str) -> Result<Vec<AliasChange>> {
        let records = open::scan(&self.records, &format!("{PREFIX}{service}/{alias}/"))?;
        let changes = records.iter().filter_map(|(key, value)| {
            let unknown = || number_of(key.as_bytes()).map(AliasChange::unknown);
            read(value).ok().or_else(unknown)
        });
        Ok(changes.collect())
    }

    fn changed(
        &self,
        catalog: &Catalog,
        service: &str,
        alias: &str,
        change: &AliasChange,
    ) -> Result<()> {
        let mut next = catalog.clone();
        let aliases = next.aliases.entry(service.to_owned()).or_default();
        match &change.to {
            Some(settings) => aliases.insert(alias.to_owned(), Arc::new(settings.clone())),
            None => aliases.remove(alias),
        };
        next.broken
            .remove(&Item::new(Kind::Service, service, alias));
        let mut batch = sled::Batch::default();
        batch.insert(
            key(service, alias, change.change).as_bytes(),
            super::json(change)?,
        );
        self.write(batch)?;
        self.publish(next);
        Ok(())
    }

    fn last_change(&self, service: &str, alias: &str) -> Result<Option<AliasChange>> {
        let mut changes = self
            .records
            .scan_prefix(format!("{PREFIX}{service}/{alias}/"));
        match changes.next_back() {
            None => Ok(None),
            Some(item) => {
                let (key, value) = item.map_err(|error| Error::Store(error.to_string()))?;
                // What cannot be read still counts: the next change must not be written over it.
                read(&value)
                    .map(Some)
                    .or_else(|error| match number_of(&key) {
                        Some(change) => Ok(Some(AliasChange::unknown(change))),
                        None => Err(error),
                    })
            }
        }
    }

    fn change(&self, service: &str, alias: &str, change: u32) -> Result<Option<AliasChange>> {
        let value = self.records.get(key(service, alias, change));
        let value = value.map_err(|error| Error::Store(error.to_string()))?;
        value.map(|value| read(&value)).transpose()
    }
}

impl Catalog {
    /// What an alias stands for now.
    pub fn alias(&self, service: &str, alias: &str) -> Result<&Arc<AliasSettings>> {
        self.service_name(service)?;
        let aliases = self.aliases.get(service);
        aliases
            .and_then(|all| all.get(alias))
            .ok_or_else(|| Error::NotFound {
                kind: "alias",
                name: format!("{service}@{alias}"),
                known: aliases
                    .into_iter()
                    .flatten()
                    .map(|(alias, _)| format!("{service}@{alias}"))
                    .collect(),
            })
    }
}

impl AliasChange {
    fn unknown(change: u32) -> AliasChange {
        AliasChange {
            change,
            at: jiff::Timestamp::default(),
            by: String::new(),
            reason: Some("the record of this change cannot be read".to_owned()),
            from: None,
            to: None,
            back_to: None,
            rollback: false,
        }
    }
}

fn current(catalog: &Catalog, service: &str, alias: &str) -> Option<Arc<AliasSettings>> {
    catalog.aliases.get(service)?.get(alias).cloned()
}

fn check_alias(alias: &str) -> Result<()> {
    if alias.parse::<u64>().is_ok() {
        let message =
            format!("\"{alias}\" is a number, and numbers are versions; give the alias a name");
        return Err(Error::invalid("alias", message));
    }
    check_name(alias).map_err(|reason| Error::invalid("alias", reason))
}

fn key(service: &str, alias: &str, change: u32) -> String {
    format!("{PREFIX}{service}/{alias}/{change:010}")
}

/// The service and the alias of a change's key.
pub(super) fn of_key(key: &str) -> Option<(String, String)> {
    let mut parts = key.strip_prefix(PREFIX)?.split('/');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn number_of(key: &[u8]) -> Option<u32> {
    let key = std::str::from_utf8(key).ok()?;
    key.rsplit('/').next()?.parse().ok()
}

fn read(value: &[u8]) -> Result<AliasChange> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("a change of an alias cannot be read: {error}")))
}
