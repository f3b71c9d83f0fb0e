//! Versions of a transform beside each other, and what can be had of one.

use std::sync::Arc;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Catalog, Registry, TransformEntry};
use crate::admission::diff::{self, Diff, Side};
use crate::admission::{Report, Turns};
use crate::error::{Error, Result, TransformName};
use crate::transform::Transform;
use crate::transform::sections::Sections;

/// Registrations and comparisons that work at once, those that may wait, and for how long. Each takes seconds at most.
const AT_ONCE: usize = 1;
const WAITING: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn turns() -> Turns {
    Turns::new(AT_ONCE, WAITING, PATIENCE)
}

/// Half of the cores.
pub(super) fn compilers() -> Result<ThreadPool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ThreadPoolBuilder::new()
        .num_threads((cores / 2).max(1))
        .thread_name(|at| format!("tidemill-compile-{at}"))
        .build()
        .map_err(|error| Error::Internal(format!("no threads to compile on: {error}")))
}

impl Registry {
    /// Loads a component that may have to be compiled.
    pub(super) fn compiled(&self, component: &[u8]) -> Result<Transform> {
        self.compilers
            .install(|| self.workshop.engine.load(component))
    }

    /// From the version before it, in the order of versions, to one that is about to be registered. None for a first one,
    /// and where the other cannot be read: that is no reason to refuse this one.
    pub(super) fn diff_with_previous(&self, new: &Transform, report: &Report) -> Option<Diff> {
        let catalog = self.catalog();
        let previous = previous(&catalog, new.name())?;
        let diff = self.diff(
            previous,
            Side {
                transform: new,
                report,
            },
        );
        diff.inspect_err(|error| {
            tracing::warn!(against = previous.id(), %error, "a new version could not be compared with the one before it")
        })
        .ok()
    }

    /// From `against` to `id`, any two that are registered; from the version before it where `against` is absent.
    pub fn diff_transforms(&self, id: &str, against: Option<&str>) -> Result<Diff> {
        let catalog = self.catalog();
        let new = catalog.transform(id)?;
        let old = match against {
            Some(against) => catalog.transform(against)?,
            None => {
                let description = &new.record.description;
                let versions = catalog.transforms.get(&description.name);
                before(versions, &description.version).ok_or_else(|| {
                    Error::invalid(
                        "against",
                        format!(
                            "no version of {} is before it: name one to compare with",
                            new.id()
                        ),
                    )
                })?
            }
        };
        let _turn = self.turns.take()?;
        let loaded = self.compiled(&self.artifact(&new.record.digest)?)?;
        self.diff(
            old,
            Side {
                transform: &loaded,
                report: &new.record.admission,
            },
        )
    }

    fn diff(&self, old: &TransformEntry, new: Side<'_>) -> Result<Diff> {
        let loaded = self.compiled(&self.artifact(&old.record.digest)?)?;
        diff::between(
            Side {
                transform: &loaded,
                report: &old.record.admission,
            },
            new,
        )
    }

    /// The bytes of a transform, with the entry they are of.
    pub fn component(&self, id: &str) -> Result<(Arc<TransformEntry>, Vec<u8>)> {
        let entry = self.catalog().transform(id)?.clone();
        let bytes = self.artifact(&entry.record.digest)?;
        Ok((entry, bytes))
    }

    /// The archive of a transform's source. [`Error::NotFound`] where it was built without.
    pub fn source(&self, id: &str) -> Result<(Arc<TransformEntry>, Vec<u8>)> {
        let (entry, bytes) = self.component(id)?;
        let sections = Sections::of(&bytes).map_err(Error::Internal)?;
        match sections.source() {
            Some(archive) => Ok((entry, archive.to_vec())),
            None => {
                let catalog = self.catalog();
                let all = catalog.transforms.values().flat_map(|all| all.values());
                Err(Error::NotFound {
                    kind: "source archive",
                    name: entry.id(),
                    known: all
                        .filter(|entry| entry.record.source_bytes.is_some())
                        .map(|entry| entry.id())
                        .collect(),
                })
            }
        }
    }
}

fn previous<'a>(catalog: &'a Catalog, name: &TransformName) -> Option<&'a Arc<TransformEntry>> {
    before(catalog.transforms.get(&name.name), &name.version)
}

type Versions = std::collections::BTreeMap<semver::Version, Arc<TransformEntry>>;

fn before<'a>(
    versions: Option<&'a Versions>,
    version: &semver::Version,
) -> Option<&'a Arc<TransformEntry>> {
    Some(versions?.range(..version).next_back()?.1)
}
