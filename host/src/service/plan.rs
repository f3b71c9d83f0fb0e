//! What a service does to a request, with every name resolved to a place.

use std::sync::Arc;

use super::Definition;
use crate::block::{Block, Column};
use crate::model::{LoadedModel, ScoreOutput};
use crate::schema::{Schema, Slot};
use crate::store::{ViewRows, key};
use crate::transform::Transform;
use crate::view::View;

/// A registered service version, ready to run. Step `i` writes source `i + 1`; source 0 is the request.
pub struct Plan {
    pub definition: Definition,
    /// The service's version, from 1.
    pub number: u32,
    pub request: Schema,
    /// The request column that holds the event's time.
    pub event_time: Option<Slot>,
    /// In an order in which each step finds what it needs.
    pub steps: Vec<Step>,
    pub vector: Vector,
    pub model: Option<PlannedModel>,
}

/// A model, and which of its outputs is the score.
pub struct PlannedModel {
    pub model: Arc<LoadedModel>,
    pub score: ScoreOutput,
}

pub struct Step {
    /// The name its columns go by: `plane` in `plane.seats`.
    pub alias: String,
    pub kind: StepKind,
    /// Where its inputs come from: a look-up's key, a transform's input fields, in order.
    pub inputs: Vec<Place>,
    /// Its columns, as their users see them.
    pub columns: Schema,
}

pub enum StepKind {
    LookUp(LookUp),
    Transform(Transform),
}

pub struct LookUp {
    pub view: Arc<View>,
    /// The view's rows in the store.
    pub rows: Arc<dyn ViewRows>,
    /// Where each part of the key lies within its source, in the order of the view's key.
    pub key: Vec<key::Part>,
    /// µs; a row older than this counts as absent.
    pub max_age: Option<i64>,
}

/// A column of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub source: usize,
    pub slot: Slot,
}

/// The features, in the model's order.
pub struct Vector {
    /// Named `alias.column`, or `column` for a request field.
    pub schema: Schema,
    pub places: Vec<Place>,
}

impl Place {
    pub fn column<'a>(&self, sources: &'a [Block]) -> Column<'a> {
        Column {
            block: &sources[self.source],
            slot: self.slot,
        }
    }
}

impl Plan {
    /// The transforms, in the order they run.
    pub fn transforms(&self) -> impl Iterator<Item = (&Step, &Transform)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Transform(transform) => Some((step, transform)),
            StepKind::LookUp(_) => None,
        })
    }

    /// The look-ups, in the order they run.
    pub fn lookups(&self) -> impl Iterator<Item = (&Step, &LookUp)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::LookUp(lookup) => Some((step, lookup)),
            StepKind::Transform(_) => None,
        })
    }
}
