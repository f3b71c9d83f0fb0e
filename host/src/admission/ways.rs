//! The ways in which the host may run rows, and what all of them must answer.

use super::random::Random;
use super::{SEED, cause, smallest};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::schema::Schema;
use crate::transform::{Answer, Refusal, Transform};

/// Rows of the calls of the first way, over and over: full bytes of validity bits and others, small blocks and larger.
const PARTS: [usize; 6] = [64, 1, 17, 8, 100, 3];
/// Of the rows one by one, each so-many-th on an instance of its own, which is about ten times as dear.
const FRESH_STEP: usize = 20;
/// Fuel that one way may take, about half a second. A transform that takes more for all rows is run on as
/// many as this allows.
const FUEL: u64 = 500_000_000;

/// A transform and what it answered the first way, which the other ways must answer too.
pub(super) struct Trial<'a> {
    transform: &'a Transform,
    rows: Block,
    expected: Answer,
}

impl<'a> Trial<'a> {
    /// Runs the rows in small parts, each on a fresh instance: the way that is quickest to find a row that fails.
    pub(super) fn begin(transform: &'a Transform, rows: &Block) -> Result<Trial<'a>> {
        let inputs = &transform.description().inputs;
        let mut joined = Joined::default();
        let mut sizes = PARTS.iter().cycle();
        while joined.rows < rows.rows() && joined.fuel < FUEL {
            let size = *sizes.next().unwrap_or(&1);
            let part = rows.slice(inputs, joined.rows..rows.rows().min(joined.rows + size));
            let answer = transform
                .call_fresh(&part)
                .map_err(|error| smallest::refusal(transform, &part, error))?;
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

    /// All rows at once on a fresh instance. Says how much memory the instance had, as all ways do.
    pub(super) fn whole(&self) -> Result<usize> {
        let way = "in one call";
        let answer = self.passed(way, &self.rows, self.transform.call_fresh(&self.rows))?;
        self.compare(way, answer)
    }

    /// All rows at once on an instance that has answered them before.
    pub(super) fn warm(&self) -> Result<usize> {
        let way = "on a warm instance";
        self.passed(way, &self.rows, self.transform.call(&self.rows))?;
        let answer = self.passed(way, &self.rows, self.transform.call(&self.rows))?;
        self.compare(way, answer)
    }

    /// All rows at once in another order.
    pub(super) fn shuffled(&self) -> Result<usize> {
        let (inputs, outputs) = self.schemas();
        let order = Random::new(SEED).shuffled(self.rows.rows());
        let mut back = vec![0; order.len()];
        for (at, &row) in order.iter().enumerate() {
            back[row] = at;
        }
        let way = "in another order";
        let rows = self.rows.permuted(inputs, &order);
        let mut answer = self.passed(way, &rows, self.transform.call(&rows))?;
        answer.rows = answer.rows.permuted(outputs, &back);
        for refusal in &mut answer.refusals {
            refusal.row = order[refusal.row];
        }
        answer.refusals.sort_by_key(|refusal| refusal.row);
        self.compare(way, answer)
    }

    /// Each row in a call of its own, on a warm instance, with the fuel that each took.
    pub(super) fn one_by_one(&self) -> Result<(Vec<u64>, usize)> {
        let (inputs, outputs) = self.schemas();
        let way = "one by one on a warm instance";
        let (mut joined, mut fuel) = (Joined::default(), Vec::new());
        for row in 0..self.rows.rows() {
            let only = self.rows.slice(inputs, row..row + 1);
            let answer = self.passed(way, &only, self.transform.call(&only))?;
            fuel.push(answer.fuel);
            joined.push(answer);
        }
        Ok((fuel, self.compare(way, joined.finish(outputs))?))
    }

    /// Some of the rows in calls of their own, each on a fresh instance.
    pub(super) fn one_by_one_fresh(&self) -> Result<()> {
        let (inputs, outputs) = self.schemas();
        let way = "alone";
        for row in (0..self.rows.rows()).step_by(FRESH_STEP) {
            let only = self.rows.slice(inputs, row..row + 1);
            let answer = self.passed(way, &only, self.transform.call_fresh(&only))?;
            let expected = row_of(&self.expected, outputs, row);
            if cause::first_difference(&expected, &answer, outputs).is_some() {
                return Err(self.differs(row, &answer, way));
            }
        }
        Ok(())
    }

    fn compare(&self, way: &str, answer: Answer) -> Result<usize> {
        let (_, outputs) = self.schemas();
        match cause::first_difference(&self.expected, &answer, outputs) {
            None => Ok(answer.memory),
            Some((row, _)) => Err(self.differs(row, &row_of(&answer, outputs, row), way)),
        }
    }

    fn differs(&self, row: usize, answer: &Answer, way: &str) -> Error {
        let expected = row_of(&self.expected, self.schemas().1, row);
        cause::refusal(self.transform, &self.rows, row, [&expected, answer], way)
    }

    fn passed(&self, way: &str, rows: &Block, answer: Result<Answer>) -> Result<Answer> {
        answer.map_err(|error| self.failed(way, rows, error))
    }

    /// The refusal for a fault on `rows`, which passed the first way.
    fn failed(&self, way: &str, rows: &Block, error: Error) -> Error {
        let Error::Transform { transform, fault } = &error else {
            return error;
        };
        if smallest::fault_of(self.transform, rows).is_some() {
            return smallest::refusal(self.transform, rows, error);
        }
        Error::refused(
            format!("transform {transform}"),
            format!(
                "{way}, {fault}; on a fresh instance the same rows pass: it keeps state between calls"
            ),
        )
    }

    fn schemas(&self) -> (&Schema, &Schema) {
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
struct Joined {
    rows: usize,
    parts: Vec<Block>,
    refusals: Vec<Refusal>,
    fuel: u64,
    memory: usize,
}

impl Joined {
    fn push(&mut self, part: Answer) {
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

    fn finish(self, outputs: &Schema) -> Answer {
        Answer {
            rows: Block::concat(outputs, &self.parts),
            refusals: self.refusals,
            fuel: self.fuel,
            memory: self.memory,
        }
    }
}
