//! What an answer is made of.

use std::sync::Arc;
use std::time::Duration;

use super::Looked;
use crate::block::{Block, Source};
use crate::error::{Error, TransformName};
use crate::metrics::ServiceMetrics;
use crate::model::Matrix;
use crate::service::{DeclaredAnswer, Plan, Score, Wanted};

/// What an answer is made of, and what the log keeps.
pub struct Scored {
    /// What was asked for.
    pub wanted: Wanted,
    /// How many rows the request has.
    pub total: usize,
    /// The request, then the columns of each step; of a step that did not run, no rows.
    pub sources: Vec<Source>,
    /// Of each step, what its look-up found; none of others, and where it did not run.
    pub lookups: Vec<Option<Looked>>,
    /// The model's, of the rows that `vector` holds. Empty without a model.
    pub outputs: Vec<Matrix>,
    pub vector: Source,
    /// One a row.
    pub outcomes: Vec<Outcome>,
    /// Where a transform failed and its defaults stand in, by row.
    pub(super) defaulted: Vec<Defaulted>,
    /// How long each step took.
    pub took: Vec<Duration>,
    /// How many rows have another outcome than [`Outcome::Answered`].
    pub(super) settled: usize,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answered,
    /// The gate is closed to it, so the answer is the gate's.
    Closed,
    /// A transform refused it.
    Refused(Refusal),
    /// Something failed.
    Failed(Arc<Error>),
    /// Something failed, so the answer is the service's fallback.
    Fallback(Arc<Error>),
}

/// A transform's defaults stand in for what it failed to give.
#[derive(Clone, Debug)]
pub struct Defaulted {
    pub row: usize,
    pub step: usize,
    pub error: Arc<Error>,
}

/// The transform that refused a row, and why.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub transform: Arc<TransformName>,
    pub message: String,
}

impl Scored {
    pub(super) fn new(plan: &Plan, request: Block, wanted: Wanted) -> Scored {
        let (total, steps) = (request.rows(), plan.steps.len());
        let mut sources = Vec::with_capacity(steps + 1);
        sources.push(Source::all(request));
        sources.resize_with(steps + 1, Source::default);
        Scored {
            wanted,
            total,
            sources,
            lookups: vec![None; steps],
            outputs: Vec::new(),
            vector: Source::default(),
            outcomes: vec![Outcome::Answered; total],
            defaulted: Vec::new(),
            took: vec![Duration::ZERO; steps],
            settled: 0,
        }
    }

    /// The declared answer stands in for what failed.
    pub(super) fn fall_back(&mut self, metrics: &ServiceMetrics) {
        for outcome in &mut self.outcomes {
            if let Outcome::Failed(error) = outcome {
                metrics.fell_back(error);
                *outcome = Outcome::Fallback(error.clone());
            }
        }
    }

    /// Where defaults stand in for a row's columns, in the order of the steps.
    pub fn defaulted(&self, row: usize) -> &[Defaulted] {
        let all = &self.defaulted;
        let first = all.partition_point(|defaulted| defaulted.row < row);
        let count = all[first..].partition_point(|defaulted| defaulted.row == row);
        &all[first..first + count]
    }

    /// The answer that was declared for the row, where its outcome is such.
    pub fn declared<'a>(&self, plan: &'a Plan, row: usize) -> Option<&'a DeclaredAnswer> {
        match &self.outcomes[row] {
            Outcome::Closed => plan.gate.as_ref().map(|gate| &gate.answer),
            Outcome::Fallback(_) => plan.on_failure.as_ref(),
            _ => None,
        }
    }

    /// The row's score; none where there is none.
    pub fn score(&self, plan: &Plan, row: usize) -> Option<f64> {
        match &self.outcomes[row] {
            Outcome::Answered => {}
            Outcome::Closed | Outcome::Fallback(_) => {
                return self.declared(plan, row).and_then(|answer| answer.score);
            }
            Outcome::Refused(_) | Outcome::Failed(_) => return None,
        }
        match plan.score.as_ref()? {
            Score::Output(at) => {
                let place = self.vector.rows.find(row)?;
                let output = self.outputs.get(at.output)?;
                Some(output.number(place, at.column))
            }
            Score::Column(place) => {
                let source = &self.sources[place.source];
                let at = source.rows.find(row)?;
                let valid = source.block.is_valid(place.slot, at);
                valid.then(|| source.block.float(place.slot, at))
            }
        }
    }

    /// What a request of one row failed with: there is no neighbour to answer.
    pub fn sole_error(&self) -> Option<Error> {
        match self.outcomes.as_slice() {
            [Outcome::Refused(refusal)] => Some(Error::Rejected {
                transform: refusal.transform.clone(),
                row: 0,
                message: refusal.message.clone(),
            }),
            [Outcome::Failed(error)] => Some(Error::clone(error)),
            _ => None,
        }
    }
}
