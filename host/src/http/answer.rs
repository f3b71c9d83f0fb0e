//! The answer as JSON, written straight out.

use std::io::Write;
use std::time::Duration;

use uuid::Uuid;

use super::Problem;
use crate::block::Rows;
use crate::error::Error;
use crate::join::join;
use crate::model::{Matrix, Values};
use crate::offline::json::write_row;
use crate::score::{Outcome, Scored};
use crate::service::{DeclaredAnswer, Output, Place, Service, Wanted};

/// What is to be told, and to what length.
pub struct Answer<'a> {
    pub service: &'a Service,
    pub scored: &'a Scored,
    pub features: bool,
    /// The best rows only, so many, best first.
    pub top_k: Option<usize>,
    pub timings: Option<Timings>,
}

/// What is known of the time beside what each step took.
pub struct Timings {
    pub decode: Duration,
    /// From the body to the answer, without writing it.
    pub total: Duration,
}

impl Answer<'_> {
    /// One result a row, in order. A number that JSON cannot say (NaN, infinity) is null.
    pub fn encode(&self, request_id: Uuid) -> Vec<u8> {
        let preamble = &self.service.preamble;
        let room = self.scored.total.min(64) * 1_024;
        let mut out = Vec::with_capacity(preamble.len() + 128 + room);
        let _ = write!(
            out,
            "{{\"request_id\":\"{request_id}\",{preamble},\"results\":["
        );
        match self.top_k {
            None => {
                for row in 0..self.scored.total {
                    self.separate(row, &mut out);
                    self.result(row, None, &mut out);
                }
            }
            Some(count) => {
                for (at, row) in self.best(count).into_iter().enumerate() {
                    self.separate(at, &mut out);
                    self.result(row, Some(row as u64), &mut out);
                }
            }
        }
        out.push(b']');
        if let Some(timings) = &self.timings {
            self.write_timings(timings, &mut out);
        }
        out.push(b'}');
        out
    }

    fn separate(&self, at: usize, out: &mut Vec<u8>) {
        if at > 0 {
            out.push(b',');
        }
    }

    /// The rows of the highest scores, highest first; of equal ones the first. Rows without a score come last.
    fn best(&self, count: usize) -> Vec<usize> {
        let plan = &self.service.plan;
        let score = |row| self.scored.score(plan, row).filter(|score| !score.is_nan());
        let mut rows: Vec<(usize, Option<f64>)> = (0..self.scored.total)
            .map(|row| (row, score(row)))
            .collect();
        rows.sort_by(|(_, a), (_, b)| match (a, b) {
            (Some(a), Some(b)) => b.total_cmp(a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        rows.truncate(count);
        rows.into_iter().map(|(row, _)| row).collect()
    }

    /// The result of a row, with its number where it is told.
    pub fn result(&self, row: usize, number: Option<u64>, out: &mut Vec<u8>) {
        let (plan, scored) = (&self.service.plan, self.scored);
        out.push(b'{');
        if let Some(number) = number {
            let _ = write!(out, "\"row\":{number},");
        }
        let outcome = &scored.outcomes[row];
        match outcome {
            Outcome::Answered => {}
            Outcome::Closed => out.extend_from_slice(b"\"gate\":\"closed\","),
            Outcome::Refused(refusal) => {
                let error = Problem::from(Error::Rejected {
                    transform: refusal.transform.clone(),
                    row: number.map_or(row, |number| number as usize),
                    message: refusal.message.clone(),
                });
                let _ = write!(out, "\"error\":{},", error.body());
            }
            Outcome::Failed(error) => {
                let error = Problem::from(Error::clone(error));
                let _ = write!(out, "\"error\":{},", error.body());
            }
            Outcome::Fallback(error) => {
                let error = Problem::from(Error::clone(error));
                let _ = write!(out, "\"fallback\":{},", error.body());
            }
        }
        let answered = matches!(outcome, Outcome::Answered);
        // Of features nothing is scored or declared.
        let is_score = scored.wanted == Wanted::Score;
        let declared = scored.declared(plan, row).filter(|_| is_score);
        let scores = !scored.outputs.is_empty() || declared.is_some() || plan.model.is_none();
        if plan.score.is_some() && is_score && scores {
            out.extend_from_slice(b"\"score\":");
            write_number(out, scored.score(plan, row));
            out.push(b',');
        }
        // An answer that was declared says nothing of the model, whether or not it ran for other rows.
        let ran = !scored.outputs.is_empty() && declared.is_none();
        if let (Some(planned), true) = (&plan.model, ran) {
            out.extend_from_slice(b"\"outputs\":");
            let tensors = planned.model.engine.outputs();
            match scored.vector.rows.find(row).filter(|_| answered) {
                Some(at) => write_outputs(out, tensors, &scored.outputs, at),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b',');
        }
        if let Some(output) = plan.output.as_ref().filter(|_| is_score) {
            self.write_output(row, output, declared, out);
        }
        if self.features {
            out.extend_from_slice(b"\"features\":");
            match scored.vector.rows.find(row).filter(|_| answered) {
                Some(at) => write_row(&scored.vector.block, &plan.vector.schema, at, out),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b',');
        }
        out.extend_from_slice(b"\"lookups\":{");
        let mut first = true;
        for (at, step) in plan.lookups() {
            let Some(looked) = &scored.lookups[at] else {
                continue;
            };
            let Some(place) = looked
                .rows
                .find(row)
                .filter(|_| looked.wanted.find(row).is_some())
            else {
                continue;
            };
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            write_text(out, &step.alias);
            let _ = write!(out, ":\"{}\"", looked.statuses[place].as_str());
        }
        out.push(b'}');
        self.write_defaulted(row, out);
        out.push(b'}');
    }

    /// The fields that the service declares for its answers.
    fn write_output(
        &self,
        row: usize,
        output: &Output,
        declared: Option<&DeclaredAnswer>,
        out: &mut Vec<u8>,
    ) {
        let scored = self.scored;
        let is_there = |place: &Place| scored.sources[place.source].rows.find(row).is_some();
        let answered = matches!(scored.outcomes[row], Outcome::Answered);
        let computed = (answered && output.places.iter().all(is_there)).then(|| {
            let (this, total) = (Rows::Some([row as u32].into()), scored.total);
            join(
                &output.schema,
                &output.places,
                &scored.sources,
                &this,
                total,
            )
        });
        let block = match (
            &computed,
            declared.and_then(|answer| answer.output.as_ref()),
        ) {
            (Some(block), _) => block,
            (None, Some(block)) => block,
            // The row has an error.
            (None, None) => return,
        };
        out.extend_from_slice(b"\"output\":");
        write_row(block, &output.schema, 0, out);
        out.push(b',');
    }

    /// The transforms that failed for the row and whose defaults stand in.
    fn write_defaulted(&self, row: usize, out: &mut Vec<u8>) {
        let failed = self.scored.defaulted(row);
        if failed.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"defaulted\":{");
        for (at, defaulted) in failed.iter().enumerate() {
            self.separate(at, out);
            write_text(out, &self.service.plan.steps[defaulted.step].alias);
            out.push(b':');
            write_text(out, &defaulted.error.to_string());
        }
        out.push(b'}');
    }

    /// Whole microseconds.
    fn write_timings(&self, timings: &Timings, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            ",\"timings\":{{\"decode_us\":{},\"steps_us\":{{",
            timings.decode.as_micros()
        );
        let steps = self.service.plan.steps.iter().zip(&self.scored.took);
        for (at, (step, took)) in steps.filter(|(_, took)| !took.is_zero()).enumerate() {
            self.separate(at, out);
            write_text(out, &step.alias);
            let _ = write!(out, ":{}", took.as_micros());
        }
        let _ = write!(out, "}},\"total_us\":{}}}", timings.total.as_micros());
    }
}

fn write_outputs(
    out: &mut Vec<u8>,
    tensors: &[crate::model::Tensor],
    outputs: &[Matrix],
    row: usize,
) {
    out.push(b'{');
    for (at, (tensor, matrix)) in tensors.iter().zip(outputs).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, &tensor.name);
        out.push(b':');
        match matrix.columns {
            1 => write_value(out, matrix, row),
            columns => {
                out.push(b'[');
                for column in 0..columns {
                    if column > 0 {
                        out.push(b',');
                    }
                    write_value(out, matrix, row * columns + column);
                }
                out.push(b']');
            }
        }
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, matrix: &Matrix, at: usize) {
    match &matrix.values {
        Values::F32(values) => write_number(out, Some(f64::from(values[at]))),
        Values::F64(values) => write_number(out, Some(values[at])),
        Values::I64(values) => {
            let _ = write!(out, "{}", values[at]);
        }
        Values::Bool(values) => {
            let _ = write!(out, "{}", values[at]);
        }
        Values::Text(values) => write_text(out, &values[at]),
    }
}

fn write_number(out: &mut Vec<u8>, value: Option<f64>) {
    // serde_json writes the shortest text that reads back as the same double, and null for what is not finite.
    let _ = serde_json::to_writer(out, &value);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}
