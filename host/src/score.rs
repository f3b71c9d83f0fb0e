//! The sentence: *look up → transform → join → score*. What comes before it is `request`, what comes after it the
//! answer and the log.

use std::sync::Arc;

use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result, TransformName};
use crate::join::join;
use crate::model::Matrix;
use crate::service::{LookUp, Plan, Service, Step, StepKind};
use crate::store::{Status, key, row};

/// What an answer is made of, and what the log keeps.
pub struct Scored {
    /// The request, then the columns of each step.
    pub sources: Vec<Block>,
    /// For each look-up in the order of the plan.
    pub lookups: Vec<Looked>,
    /// Empty without a model.
    pub outputs: Vec<Matrix>,
    /// One a row; none where there is no model or the row was refused.
    pub scores: Vec<Option<f64>>,
    /// One a row: the transform that refused it, and why.
    pub refusals: Vec<Option<Refusal>>,
    pub vector: Block,
}

/// What a look-up found, row by row.
#[derive(Debug, Default)]
pub struct Looked {
    pub statuses: Vec<Status>,
    /// µs; of the row that was found, also where it was too old.
    pub event_times: Vec<Option<i64>>,
}

#[derive(Clone, Debug)]
pub struct Refusal {
    pub transform: Arc<TransformName>,
    pub message: String,
}

/// Runs a service's plan over the rows of a request that arrived at `now` (µs).
pub fn score(service: &Service, request: Block, now: i64, with_model: bool) -> Result<Scored> {
    let plan = &service.plan;
    let rows = request.rows();
    let mut sources = Vec::with_capacity(plan.steps.len() + 1);
    let mut lookups = Vec::new();
    let mut refusals = vec![None; rows];
    sources.push(request);

    for (step, metrics) in plan.steps.iter().zip(&service.metrics.steps) {
        let columns = match &step.kind {
            StepKind::LookUp(lookup) => {
                let (columns, looked) = look_up(plan, step, lookup, &sources, now)?;
                metrics.looked(&looked.statuses);
                lookups.push(looked);
                columns
            }
            StepKind::Transform(transform) => {
                let block = join(&transform.description().inputs, &step.inputs, &sources);
                let answer = metrics.timed(|| transform.call(&block))?;
                for refusal in answer.refusals {
                    let transform = transform.name().clone();
                    refusals[refusal.row].get_or_insert(Refusal {
                        transform,
                        message: refusal.message,
                    });
                }
                answer.rows
            }
        };
        sources.push(columns);
    }

    let vector = join(&plan.vector.schema, &plan.vector.places, &sources);
    let (outputs, scores) = match &plan.model {
        Some(planned) if with_model => {
            let outputs = planned.model.run(&plan.vector.schema, &vector)?;
            let output = &outputs[planned.score.output];
            let score = |row| output.number(row, planned.score.column);
            let scores = (0..rows)
                .map(|row| refusals[row].is_none().then(|| score(row)))
                .collect();
            (outputs, scores)
        }
        _ => (Vec::new(), vec![None; rows]),
    };
    Ok(Scored {
        sources,
        lookups,
        outputs,
        scores,
        refusals,
        vector,
    })
}

fn look_up(
    plan: &Plan,
    step: &Step,
    lookup: &LookUp,
    sources: &[Block],
    now: i64,
) -> Result<(Block, Looked)> {
    let request = &sources[0];
    let rows = request.rows();
    let mut columns = RowsBuilder::new(&step.columns);
    let mut looked = Looked {
        statuses: Vec::with_capacity(rows),
        event_times: Vec::with_capacity(rows),
    };
    let parts: Vec<_> = step
        .inputs
        .iter()
        .zip(&lookup.key)
        .map(|(from, part)| (&sources[from.source], *part))
        .collect();
    let mut bytes = Vec::new();
    for at in 0..rows {
        let (mut status, mut event_time) = (Status::NotFound, None);
        if key::encode_across(&parts, at, &mut bytes) {
            let asked = plan
                .event_time
                .map_or(now, |slot| request.integer(slot, at));
            let mut outcome = Ok(());
            lookup.rows.get(&bytes, &mut |found| {
                outcome = row::times(found).and_then(|times| {
                    event_time = Some(times.event);
                    // A row from after the event counts as new: it was there when the request came.
                    if lookup
                        .max_age
                        .is_some_and(|limit| asked.saturating_sub(times.event) > limit)
                    {
                        status = Status::OutsideMaxAge;
                        return Ok(());
                    }
                    status = Status::Present;
                    row::decode(&lookup.view.columns, found, &step.columns, &mut columns).map(drop)
                });
            })?;
            outcome?;
        } else {
            status = Status::Null;
        }
        if status != Status::Present {
            columns.begin_row();
        }
        looked.statuses.push(status);
        looked.event_times.push(event_time);
    }
    Ok((columns.finish(), looked))
}

impl Scored {
    /// The refusal of a request of one row, as an error: there is no neighbour to answer.
    pub fn refused(&self) -> Option<Error> {
        match self.refusals.as_slice() {
            [Some(refusal)] => Some(Error::Rejected {
                transform: refusal.transform.clone(),
                row: 0,
                message: refusal.message.clone(),
            }),
            _ => None,
        }
    }
}
