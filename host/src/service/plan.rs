//! What a service does to a request, with every name resolved to a place.

use std::sync::Arc;
use std::time::Duration;

use super::{DeclaredAnswer, Definition, Output, UnknownFields};
use crate::model::{LoadedModel, ScoreOutput};
use crate::request::{Declared, Limits};
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
    /// Of the request's fields.
    pub defaults: Option<Declared>,
    /// The request column that holds the event's time.
    pub event_time: Option<Slot>,
    /// In an order in which each step finds what it needs.
    pub steps: Vec<Step>,
    pub gate: Option<Gate>,
    pub vector: Vector,
    pub model: Option<PlannedModel>,
    pub score: Option<Score>,
    pub output: Option<Output>,
    pub on_failure: Option<DeclaredAnswer>,
    /// The budget of a whole answer.
    pub deadline: Option<Duration>,
    /// Whether a look-up's store waits, so that there is something to do meanwhile.
    pub waits: bool,
    pub(super) needed: [Vec<bool>; 3],
}

/// What an answer is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The gate alone.
    Gate,
    /// The feature vector.
    Features,
    /// The score, the outputs, and the vector they stand on.
    Score,
}

/// Where the gate's bool is, and the answer where it is not true.
pub struct Gate {
    pub when: Place,
    pub answer: DeclaredAnswer,
}

/// The model, and which step it is.
pub struct PlannedModel {
    pub model: Arc<LoadedModel>,
    pub step: usize,
    /// Whether something reads its outputs as columns.
    pub is_read: bool,
}

/// What the score is.
pub enum Score {
    Output(ScoreOutput),
    /// A column of type f64.
    Column(Place),
}

pub struct Step {
    /// The name its columns go by: `plane` in `plane.seats`.
    pub alias: String,
    pub kind: StepKind,
    /// Where its inputs come from: a look-up's key, a transform's input fields, a model's features, in order.
    pub inputs: Vec<Place>,
    /// Its columns, as their users see them.
    pub columns: Schema,
    /// Values for the columns where there are none.
    pub default: Option<Declared>,
    /// Whether what it gives depends on the event's time beside its inputs.
    pub dated: bool,
}

pub enum StepKind {
    LookUp(LookUp),
    Transform(Transform),
    Model(Arc<LoadedModel>),
}

pub struct LookUp {
    pub view: Arc<View>,
    /// The view's rows in the store.
    pub rows: Arc<dyn ViewRows>,
    /// Where each part of the key lies within its source, in the order of the view's key.
    pub key: Vec<key::Part>,
    /// µs; a row older than this counts as absent.
    pub max_age: Option<i64>,
    pub timeout: Option<Duration>,
    /// Whether it may fail: then it counts as absent.
    pub may_fail: bool,
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

impl Plan {
    /// Works out which steps each kind of answer needs.
    pub(super) fn finished(mut self) -> Plan {
        let (gate, vector, score, output) = (&self.gate, &self.vector, &self.score, &self.output);
        let sources = |places: &[Place]| places.iter().map(|place| place.source).collect();
        let gated: Vec<usize> = gate.iter().map(|gate| gate.when.source).collect();
        let features: Vec<usize> = [gated.clone(), sources(&vector.places)].concat();
        let mut scored = features.clone();
        scored.extend(self.model.iter().map(|model| model.step + 1));
        if let Some(Score::Column(place)) = &score {
            scored.push(place.source);
        }
        scored.extend(
            output
                .iter()
                .flat_map(|output| sources(&output.places) as Vec<usize>),
        );
        self.needed = [&gated, &features, &scored].map(|roots| closure(&self.steps, roots));
        // A look-up whose every used column has a default never needs to fail.
        let covered: Vec<bool> = (0..self.steps.len())
            .map(|at| {
                used(&self.steps, at, gate, vector, score, output)
                    .all(|slot| is_covered(&self.steps[at], slot))
            })
            .collect();
        for (step, covered) in self.steps.iter_mut().zip(covered) {
            if let StepKind::LookUp(lookup) = &mut step.kind {
                lookup.may_fail |= covered;
            }
        }
        if let Some(model) = &self.model {
            let is_read = used(&self.steps, model.step, gate, vector, score, output)
                .next()
                .is_some();
            self.model = self
                .model
                .take()
                .map(|model| PlannedModel { is_read, ..model });
        }
        self.waits = self.steps.iter().any(|step| match &step.kind {
            StepKind::LookUp(lookup) => lookup.rows.waits(),
            _ => false,
        });
        self
    }

    /// What a request may hold, of any number of rows.
    pub fn limits(&self) -> Limits<'_> {
        Limits {
            rows: usize::MAX,
            ignore_unknown: self.definition.unknown_fields == UnknownFields::Ignore,
            defaults: self.defaults.as_ref(),
        }
    }

    /// Whether it answers more than its features.
    pub fn is_scored(&self) -> bool {
        self.score.is_some() || self.output.is_some()
    }

    /// A flag a step: whether such an answer needs it. Nothing else of it runs.
    pub fn needed(&self, wanted: Wanted) -> &[bool] {
        &self.needed[wanted as usize]
    }

    /// A flag a step: whether it has a part in the vector.
    pub fn for_vector(&self) -> Vec<bool> {
        let places = self.vector.places.iter();
        let sources: Vec<usize> = places.map(|place| place.source).collect();
        closure(&self.steps, &sources)
    }

    /// The steps that `step` waits for, and all that these wait for.
    pub fn before(&self, step: &Step) -> impl Iterator<Item = &Step> {
        let sources: Vec<usize> = step.waits_for().collect();
        let needed = closure(&self.steps, &sources);
        let steps = self.steps.iter().zip(needed);
        steps.filter_map(|(step, needed)| needed.then_some(step))
    }

    /// The transforms, in the order they run.
    pub fn transforms(&self) -> impl Iterator<Item = (&Step, &Transform)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Transform(transform) => Some((step, transform)),
            _ => None,
        })
    }

    /// The look-ups, in the order they run.
    pub fn lookups(&self) -> impl Iterator<Item = (usize, &Step)> {
        let is_lookup = |step: &Step| matches!(step.kind, StepKind::LookUp(_));
        let steps = self.steps.iter().enumerate();
        steps.filter(move |(_, step)| is_lookup(step))
    }
}

impl Step {
    /// Whether its columns are a group of the feature log.
    pub fn is_logged(&self) -> bool {
        !matches!(self.kind, StepKind::Model(_))
    }

    /// The sources it waits for, beside the request.
    pub fn waits_for(&self) -> impl Iterator<Item = usize> {
        self.inputs
            .iter()
            .map(|place| place.source)
            .filter(|&source| source > 0)
    }
}

/// The steps that write `sources`, and all they wait for.
pub(super) fn closure(steps: &[Step], sources: &[usize]) -> Vec<bool> {
    let mut needed = vec![false; steps.len()];
    let mut open: Vec<usize> = sources.to_vec();
    while let Some(source) = open.pop() {
        if source > 0 && !std::mem::replace(&mut needed[source - 1], true) {
            open.extend(steps[source - 1].waits_for());
        }
    }
    needed
}

/// The columns of step `at` that something reads.
fn used<'a>(
    steps: &'a [Step],
    at: usize,
    gate: &'a Option<Gate>,
    vector: &'a Vector,
    score: &'a Option<Score>,
    output: &'a Option<Output>,
) -> impl Iterator<Item = Slot> + 'a {
    let score = score.iter().filter_map(|score| match score {
        Score::Column(place) => Some(place),
        Score::Output(_) => None,
    });
    steps
        .iter()
        .flat_map(|step| &step.inputs)
        .chain(gate.iter().map(|gate| &gate.when))
        .chain(&vector.places)
        .chain(score)
        .chain(output.iter().flat_map(|output| &output.places))
        .filter(move |place| place.source == at + 1)
        .map(|place| place.slot)
}

fn is_covered(step: &Step, slot: Slot) -> bool {
    let Some(default) = &step.default else {
        return false;
    };
    step.columns
        .slots()
        .iter()
        .zip(&default.covered)
        .any(|(column, covered)| *column == slot && *covered)
}
