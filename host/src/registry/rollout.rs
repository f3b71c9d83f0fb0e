//! What an alias does with a request beside answering it with its version: its canary and its shadows, resolved.

use std::sync::Arc;

use super::{AliasSettings, Catalog, Item, Kind, ServiceEntry};
use crate::block::Block;
use crate::canary::{Canary, check_share};
use crate::error::{Error, Result};
use crate::service::Service;
use crate::shadow::Shadow;

/// The other versions that see requests of an alias.
pub struct Rollout {
    pub canary: Option<(Canary, Arc<ServiceEntry>)>,
    pub shadows: Vec<(Shadow, Arc<ServiceEntry>)>,
}

/// What a request is for: the version that its id means, and what else the alias says if it came by one.
#[derive(Clone)]
pub struct Asked {
    pub service: Arc<Service>,
    pub rollout: Option<Arc<Rollout>>,
}

impl Asked {
    /// The canary, where the request is its to answer; `rows` are those of the request as the alias' version reads it.
    /// A canary that cannot be made ready answers nothing: [`Catalog::troubles`] names it.
    pub fn canary(&self, rows: &Block) -> Option<&Arc<Service>> {
        let (canary, entry) = self.rollout.as_ref()?.canary.as_ref()?;
        let chosen = canary.answers(self.service.name(), &self.service.plan.request, rows);
        chosen.then(|| entry.if_ready()).flatten()
    }
}

impl Rollout {
    /// None where there is nothing beside the version.
    pub(super) fn of(
        settings: &AliasSettings,
        version: impl Fn(u32) -> Option<Arc<ServiceEntry>>,
    ) -> Option<Arc<Rollout>> {
        let rollout = Rollout {
            canary: settings
                .canary
                .as_ref()
                .and_then(|canary| Some((canary.clone(), version(canary.version)?))),
            shadows: (settings.shadow.iter())
                .filter_map(|shadow| Some((shadow.clone(), version(shadow.version)?)))
                .collect(),
        };
        let empty = rollout.canary.is_none() && rollout.shadows.is_empty();
        (!empty).then(|| Arc::new(rollout))
    }
}

impl AliasSettings {
    /// All versions that they name.
    pub fn versions(&self) -> impl Iterator<Item = u32> {
        let canary = self.canary.iter().map(|canary| canary.version);
        let shadows = self.shadow.iter().map(|shadow| shadow.version);
        std::iter::once(self.version).chain(canary).chain(shadows)
    }
}

/// Whether an alias may stand for this: every version is there, is not retired, and can be made ready; shares are shares;
/// and a canary knows the fields of its key and answers what the alias' version does.
pub(super) fn check(catalog: &Catalog, service: &str, to: &AliasSettings) -> Result<()> {
    let stable = usable(catalog, service, to.version)?;
    for (at, shadow) in to.shadow.iter().enumerate() {
        let path = |field| format!("shadow[{at}].{field}");
        check_share(path("share"), shadow.share)?;
        other(path("version"), shadow.version, to)?;
        if to.shadow[..at]
            .iter()
            .any(|before| before.version == shadow.version)
        {
            let message = format!("{service}@{} is a shadow already", shadow.version);
            return Err(Error::invalid(path("version"), message));
        }
        usable(catalog, service, shadow.version)?;
    }
    let Some(canary) = &to.canary else {
        return Ok(());
    };
    check_share("canary.share".to_owned(), canary.share)?;
    other("canary.version".to_owned(), canary.version, to)?;
    let ready = usable(catalog, service, canary.version)?;
    for (version, service) in [(to.version, stable), (canary.version, ready)] {
        let id = format!("{}@{version}", service.name());
        canary.check_key(&id, &service.plan.request)?;
    }
    if stable.plan.is_scored() && !ready.plan.is_scored() {
        let message = format!(
            "{service}@{} has neither a model nor an [output], so it cannot answer what {service}@{} answers",
            canary.version, to.version
        );
        return Err(Error::invalid("canary.version", message));
    }
    Ok(())
}

fn other(path: String, version: u32, to: &AliasSettings) -> Result<()> {
    match version == to.version {
        false => Ok(()),
        true => {
            let message =
                format!("{version} is the version that the alias points at itself; name another");
            Err(Error::invalid(path, message))
        }
    }
}

fn usable<'a>(catalog: &'a Catalog, service: &str, version: u32) -> Result<&'a Arc<Service>> {
    let item = Item::new(Kind::Service, service, version);
    let entry = catalog.service_entry(&item.id())?;
    match catalog.retired.get(&item) {
        Some(retirement) => Err(retirement.refusal(&item)),
        None => entry.ready(catalog),
    }
}
