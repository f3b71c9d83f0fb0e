//! What a model was trained on, and whether a service gives it the same.
//!
//! A model remembers its training set by name; the set's manifest says which transforms made its rows and in which order
//! the features stood. A service that computes them otherwise would score numbers the model has never seen, without an
//! error anywhere: so it is refused with the difference, or carries for ever that somebody wanted it so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Catalog;
use crate::error::{Error, Result};
use crate::service::{Plan, Service, StepKind};
use crate::training_set::Manifest;

/// Vector positions that a difference names one by one.
const NAMED: usize = 3;
/// Characters of a reason.
const LONGEST: usize = 500;

/// That a service was registered although its model was trained on something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forced {
    /// In the words of whoever did it.
    pub reason: String,
    pub by: String,
    pub at: Timestamp,
    /// The training set that it differs from.
    pub training_set: String,
    pub differences: Vec<String>,
}

/// The wish to register a service in any case.
#[derive(Clone, Debug)]
pub struct Force {
    pub reason: String,
    pub by: String,
}

impl Force {
    /// Refuses a reason that is none.
    pub fn new(reason: &str, by: String) -> Result<Force> {
        let reason = reason.trim();
        let bad = |message: &str| Err(Error::invalid("forced", message));
        if reason.is_empty() {
            return bad("say why: it stands in the service's version for ever");
        }
        if reason.chars().count() > LONGEST || reason.chars().any(char::is_control) {
            return bad("a reason is one line of at most 500 characters");
        }
        Ok(Force {
            reason: reason.to_owned(),
            by,
        })
    }
}

/// The training set of a service's model, and in what the service differs from it. None where the model has none, or there
/// is no model: then nothing is known, and nothing refused.
pub(super) fn differences(
    catalog: &Catalog,
    service: &Service,
) -> Result<Option<(String, Vec<String>)>> {
    let Some(pin) = &service.pins.model else {
        return Ok(None);
    };
    let Some(id) = &catalog.model_by_id(&pin.id)?.record.manifest.training_set else {
        return Ok(None);
    };
    let set = catalog.training_set(id).map_err(|error| {
        Error::refused(
            format!("service \"{}\"", service.name()),
            format!("its model {} was trained on {id}: {error}", pin.id),
        )
    })?;
    let mut found = of_transforms(&service.plan, &set.manifest);
    found.extend(of_vector(&service.plan, &set.manifest));
    Ok(Some((set.id(), found)))
}

/// The refusal of a service that differs.
pub(super) fn refusal(service: &Service, set: &str, differences: &[String]) -> Error {
    let model = service.pins.model.as_ref().map_or("", |pin| &pin.id);
    Error::refused(
        format!("service \"{}\"", service.name()),
        format!(
            "its model {model} was trained on {set}, and the service gives it something else: {}; pin what it was trained \
             with, or train it on a set of this service, or register in any case with --force REASON (over HTTP \
             ?forced=REASON)",
            differences.join("; ")
        ),
    )
}

/// The transforms that have a part in the vector; a service may have others behind its model or for its gate.
fn of_transforms(plan: &Plan, set: &Manifest) -> Vec<String> {
    let mut found = Vec::new();
    for (step, _) in (plan.steps.iter().zip(plan.for_vector())).filter(|(_, needed)| *needed) {
        let StepKind::Transform(transform) = &step.kind else {
            continue;
        };
        let name = transform.name();
        let id = format!("{}@{}", name.name, name.version);
        let same = |used: &&_| is(used, &id, &name.digest);
        if set.transforms.iter().any(|used| same(&used)) {
            continue;
        }
        let pins = format!("the service pins {id} {}", short(&name.digest));
        let of_name: Vec<String> = (set.transforms.iter())
            .filter(|used| used.id.split('@').next() == Some(name.name.as_str()))
            .map(|used| format!("{} {}", used.id, short(used.hex())))
            .collect();
        let difference = match of_name.is_empty() {
            false => format!(
                "{}: trained on {}, {pins}",
                step.alias,
                of_name.join(" and ")
            ),
            true => format!(
                "{}: {pins}, which had no part in the training set",
                step.alias
            ),
        };
        if !found.contains(&difference) {
            found.push(difference);
        }
    }
    found
}

fn is(used: &crate::training_set::Used, id: &str, digest: &str) -> bool {
    used.id == id && used.hex() == digest
}

fn of_vector(plan: &Plan, set: &Manifest) -> Vec<String> {
    let vector = plan.vector.schema.names();
    let pairs = vector.iter().zip(&set.features).enumerate();
    let differing: Vec<String> = pairs
        .filter(|(_, (mine, theirs))| mine != theirs)
        .map(|(at, (mine, theirs))| {
            format!("vector position {at} is {mine}, and was {theirs} in training")
        })
        .collect();
    let more = differing.len().saturating_sub(NAMED);
    let mut found: Vec<String> = differing.into_iter().take(NAMED).collect();
    if more > 0 {
        found.push(format!("and {more} positions more"));
    }
    let (mine, theirs) = (vector.len(), set.features.len());
    if mine != theirs {
        found.push(format!(
            "the vector has {mine} features, and had {theirs} in training"
        ));
    }
    found
}

/// Enough of a digest to tell it from another.
fn short(digest: &str) -> String {
    let first: String = digest.chars().take(12).collect();
    format!("sha256:{first}…")
}
