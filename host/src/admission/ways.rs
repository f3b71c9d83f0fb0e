//! The ways in which the host may run rows, and what all of them must answer.

use super::random::Random;
use super::report::{Failure, Report};
use super::{SEED, Stop, cause, smallest};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::schema::Schema;
use crate::transform::{Answer, Refusal, Transform};

/// Rows of the calls of the first way, over and over: full bytes of validity bits and others. Small ones come first, so
/// that a transform of very dear rows is tried on few.
const PARTS: [usize; 6] = [1, 3, 8, 17, 64, 100];
/// Of the rows one by one, each so-many-th on an instance of its own, which is about ten times as dear.
const FRESH_STEP: usize = 20;
/// Fuel that one way may take, about half a second. A transform that takes more for all rows is run on as
/// many as this allows.
pub(super) const FUEL: u64 = 500_000_000;

/// A transform and what it answered the first way, which the other ways must answer too.
pub(super) struct Trial<'a> {
    pub transform: &'a Transform,
    pub rows: Block,
    pub expected: Answer,
}

impl<'a> Trial<'a> {
    /// Runs the rows in small parts, each on a fresh instance: the way that is quickest to find a row that fails.
    pub(super) fn begin(
        transform: &'a Transform,
        rows: &Block,
        report: &mut Report,
    ) -> Result<Trial<'a>, Stop> {
        let inputs = &transform.description().inputs;
        let mut joined = Joined::default();
        let mut sizes = PARTS.iter().cycle();
        while joined.rows < rows.rows() && joined.fuel < FUEL {
            let size = *sizes.next().unwrap_or(&1);
            let part = rows.slice(inputs, joined.rows..rows.rows().min(joined.rows + size));
            report.rows += part.rows();
            let answer = smallest::answer_of(transform, &part)
                .map_err(|error| smallest::failure(transform, &part, error))?;
            report.saw(answer.memory, part.rows());
            joined.push(answer);
        }
        let expected = joined.finish(&transform.description().outputs);
        Ok(Trial {
            transform,
            rows: rows.slice(inputs, 0..expected.rows.rows()),
            expected,
        })
    }

    pub(super) fn expected(&self) -> &Answer {
        &self.expected
    }

    /// All rows at once on a fresh instance.
    pub(super) fn whole(&self, report: &mut Report) -> Result<(), Stop> {
        let way = "in one call";
        let answer = self.passed(way, &self.rows, self.transform.call_fresh(&self.rows))?;
        self.compare(way, answer, cause::ROWS, report)
    }

    /// All rows at once in another order, on an instance that has answered them before.
    pub(super) fn shuffled(&self, report: &mut Report) -> Result<(), Stop> {
        let (inputs, outputs) = self.schemas();
        let order = Random::new(SEED).shuffled(self.rows.rows());
        let mut back = vec![0; order.len()];
        for (at, &row) in order.iter().enumerate() {
            back[row] = at;
        }
        let way = "in another order";
        let rows = self.rows.permuted(inputs, &order);
        let mut answer = self.passed(way, &rows, self.transform.call_warm(&rows))?;
        answer.rows = answer.rows.permuted(outputs, &back);
        for refusal in &mut answer.refusals {
            refusal.row = order[refusal.row];
        }
        answer.refusals.sort_by_key(|refusal| refusal.row);
        self.compare(way, answer, cause::UNKNOWN, report)
    }

    /// The rows over and over in the largest call that the host makes, or that the fuel of a way is enough for.
    pub(super) fn largest(&self, report: &mut Report) -> Result<(), Stop> {
        let (inputs, outputs) = self.schemas();
        let count = self.rows.rows();
        let room = FUEL / self.expected.fuel.max(1);
        let most = self.transform.limits().rows_per_call;
        let most = most.min(count.saturating_mul(room as usize));
        if count == 0 || most <= count {
            return Ok(());
        }
        let way = "in the largest call";
        let order: Vec<usize> = (0..most).map(|at| at % count).collect();
        let rows = self.rows.permuted(inputs, &order);
        let answer = self.passed(way, &rows, self.transform.call_fresh(&rows))?;
        report.saw(answer.memory, most);
        for start in (0..most).step_by(count) {
            let end = most.min(start + count);
            let refusals = answer.refusals.iter();
            let part = Answer {
                rows: answer.rows.slice(outputs, start..end),
                refusals: refusals
                    .filter(|refusal| (start..end).contains(&refusal.row))
                    .map(|refusal| Refusal {
                        row: refusal.row - start,
                        ..refusal.clone()
                    })
                    .collect(),
                ..Answer::default()
            };
            let mut expected = self.expected.clone();
            expected.rows = expected.rows.slice(outputs, 0..end - start);
            expected
                .refusals
                .retain(|refusal| refusal.row < end - start);
            if let Some((row, _)) = cause::first_difference(&expected, &part, outputs) {
                return Err(self.differs(row, &row_of(&part, outputs, row), way, cause::ROWS));
            }
        }
        Ok(())
    }

    /// Some of the rows in calls of their own, each on a fresh instance.
    pub(super) fn one_by_one_fresh(&self) -> Result<(), Stop> {
        let (inputs, outputs) = self.schemas();
        let way = "alone";
        for row in (0..self.rows.rows()).step_by(FRESH_STEP) {
            let only = self.rows.slice(inputs, row..row + 1);
            let answer = self.passed(way, &only, self.transform.call_fresh(&only))?;
            let expected = row_of(&self.expected, outputs, row);
            if cause::first_difference(&expected, &answer, outputs).is_some() {
                return Err(self.differs(row, &answer, way, cause::ROWS));
            }
        }
        Ok(())
    }

    /// `fallback` is what a difference must come from where no experiment shows it again.
    pub(super) fn compare(
        &self,
        way: &str,
        answer: Answer,
        fallback: cause::Cause,
        report: &mut Report,
    ) -> Result<(), Stop> {
        let (_, outputs) = self.schemas();
        report.saw(answer.memory, 0);
        match cause::first_difference(&self.expected, &answer, outputs) {
            None => Ok(()),
            Some((row, _)) => Err(self.differs(row, &row_of(&answer, outputs, row), way, fallback)),
        }
    }

    pub(super) fn differs(
        &self,
        row: usize,
        answer: &Answer,
        way: &str,
        fallback: cause::Cause,
    ) -> Stop {
        let expected = row_of(&self.expected, self.schemas().1, row);
        cause::failure(
            self.transform,
            &self.rows,
            row,
            [&expected, answer],
            way,
            fallback,
        )
        .into()
    }

    pub(super) fn passed(
        &self,
        way: &str,
        rows: &Block,
        answer: Result<Answer>,
    ) -> Result<Answer, Stop> {
        answer.map_err(|error| self.failed(way, rows, error))
    }

    /// The failure for a fault on `rows`, which passed the first way.
    fn failed(&self, way: &str, rows: &Block, error: Error) -> Stop {
        let Error::Transform { fault, .. } = &error else {
            return error.into();
        };
        if smallest::fault_of(self.transform, rows).is_some() {
            return smallest::failure(self.transform, rows, error);
        }
        Failure {
            cause: "state".to_owned(),
            reason: format!(
                "{way}, {fault}; on a fresh instance the same rows pass: it keeps state between calls"
            ),
            row: None,
            row_notes: Vec::new(),
        }
        .into()
    }

    pub(super) fn schemas(&self) -> (&'a Schema, &'a Schema) {
        let description = self.transform.description();
        (&description.inputs, &description.outputs)
    }
}

/// The answer to one row.
pub(super) fn row_of(answer: &Answer, outputs: &Schema, row: usize) -> Answer {
    let refusal = answer.refusals.iter().find(|refusal| refusal.row == row);
    Answer {
        rows: answer.rows.slice(outputs, row..row + 1),
        refusals: refusal
            .map(|refusal| Refusal {
                row: 0,
                ..refusal.clone()
            })
            .into_iter()
            .collect(),
        ..Answer::default()
    }
}

/// Answers to parts, one after another.
#[derive(Default)]
pub(super) struct Joined {
    rows: usize,
    parts: Vec<Block>,
    refusals: Vec<Refusal>,
    fuel: u64,
    memory: usize,
}

impl Joined {
    pub(super) fn push(&mut self, part: Answer) {
        let start = self.rows;
        self.refusals
            .extend(part.refusals.into_iter().map(|refusal| Refusal {
                row: refusal.row + start,
                ..refusal
            }));
        self.rows += part.rows.rows();
        self.fuel = self.fuel.saturating_add(part.fuel);
        self.memory = self.memory.max(part.memory);
        self.parts.push(part.rows);
    }

    pub(super) fn finish(self, outputs: &Schema) -> Answer {
        Answer {
            rows: Block::concat(outputs, &self.parts),
            refusals: self.refusals,
            fuel: self.fuel,
            memory: self.memory,
        }
    }
}
