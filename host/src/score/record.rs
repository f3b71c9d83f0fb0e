//! What the log keeps of an answer.

use std::time::Duration;

use uuid::Uuid;

use super::{Outcome, Scored};
use crate::block::Rows;
use crate::log::{self, Record, Role};
use crate::model::{Kind, Matrix, Values};
use crate::service::Service;

impl Scored {
    /// The record of an answer given at `time` (µs) after `took`.
    pub fn into_record(
        mut self,
        service: &Service,
        request_id: Uuid,
        time: i64,
        role: Role,
        took: Duration,
    ) -> Record {
        let plan = &service.plan;
        let scores = (0..self.total).map(|row| self.score(plan, row)).collect();
        // What the model saw, as numbers; a service without a model has no vector, and a model of texts none of numbers.
        let mut vector = Vec::new();
        let mut vector_rows = Rows::None;
        if !self.outputs.is_empty()
            && let slots = plan.vector.schema.slots()
            && let Values::F32(values) =
                Matrix::of_columns(&self.vector.block, slots, Kind::F32).values
        {
            vector = values;
            vector_rows = self.vector.rows.clone();
        }
        let errors = self.outcomes.iter().enumerate().map(|(row, outcome)| {
            let defaulted = || {
                let first = self.defaulted(row).first();
                first.map(|defaulted| defaulted.error.to_string())
            };
            match outcome {
                Outcome::Answered | Outcome::Closed => defaulted(),
                Outcome::Refused(refusal) => {
                    Some(format!("{}: {}", refusal.transform, refusal.message))
                }
                Outcome::Failed(error) | Outcome::Fallback(error) => Some(error.to_string()),
            }
        });
        let errors = errors.collect();
        let outcomes = self.outcomes.iter().map(log::Outcome::from).collect();
        let lookups = plan.lookups().map(|(at, _)| self.lookups[at].take());
        let lookups = lookups
            .map(|looked| {
                looked.map_or_else(log::Looked::default, |looked| log::Looked {
                    statuses: looked.statuses,
                    event_times: looked.event_times,
                })
            })
            .collect();
        // The request, then the steps.
        let mut logged =
            std::iter::once(true).chain(plan.steps.iter().map(|step| step.is_logged()));
        let mut groups = self.sources;
        groups.retain(|_| logged.next().unwrap_or_default());
        Record {
            shape: service.shape.clone(),
            request_id,
            time,
            role,
            micros: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
            groups,
            lookups,
            vector,
            vector_rows,
            scores,
            outcomes,
            errors,
        }
    }
}

impl From<&Outcome> for log::Outcome {
    fn from(outcome: &Outcome) -> log::Outcome {
        match outcome {
            Outcome::Answered => log::Outcome::Answered,
            Outcome::Closed => log::Outcome::GateClosed,
            Outcome::Refused(_) => log::Outcome::Refused,
            Outcome::Failed(_) => log::Outcome::Failed,
            Outcome::Fallback(_) => log::Outcome::Fallback,
        }
    }
}
