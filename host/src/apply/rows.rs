//! The transforms over some rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Failure, Output, Plan, Source, Step};
use crate::block::{Block, Column, Picked, RowsBuilder, gather, pick};
use crate::error::{Error, Result};
use crate::offline::table::{Chunk, Decoder, Rows};
use crate::offline::write::{Cells, Group};
use crate::schema::{DataType, Field, Scalar, Schema, Slot};
use crate::transform::{Answer, apart};

/// What a step gave.
struct Given {
    block: Block,
    /// Whether the block is of the step's own columns, each of which may be null, or of the transform's outputs.
    opened: bool,
    failed: BTreeSet<usize>,
}

impl Plan {
    /// Appends rows of a chunk with their features to a group. Says which failed.
    pub fn run(
        &self,
        decoder: &Decoder,
        chunk: &Chunk,
        range: Range<usize>,
        group: &mut Group,
    ) -> Result<Vec<Failure>> {
        let first = chunk.first + range.start as u64 + 1;
        let rows = decoder.decode(chunk, range)?;
        let total = rows.block.rows();
        let mut messages: BTreeMap<usize, String> = BTreeMap::new();
        for ill in &rows.ill {
            messages.insert(ill.row, ill.message.clone());
        }
        let mut given: Vec<Option<Given>> = self.steps.iter().map(|_| None).collect();
        for &step in &self.order {
            let done = self.step(&self.steps[step], &rows, &given, &mut messages)?;
            given[step] = Some(done);
        }
        let failures: Vec<Failure> = messages
            .into_iter()
            .map(|(row, message)| Failure {
                row: first + row as u64,
                message,
            })
            .collect();
        if let (true, Some(failure)) = (self.strict, failures.first()) {
            let place = format!("row {}", failure.row);
            return Err(Error::invalid(place, failure.message.clone()));
        }
        let (words, word) = words(&failures, first, total);
        let cells = self.outputs.iter().map(|output| match output {
            Output::Kept(at) => Cells::Values(&rows.block, self.wanted.schema.slot(*at)),
            Output::Array(at) => Cells::Array(&rows.arrays[*at]),
            Output::Feature { step, output } => {
                let column = self.column(&given, *step, *output);
                Cells::Values(column.block, column.slot)
            }
            Output::Error => Cells::Values(&words, word),
        });
        group.push(total, &cells.collect::<Vec<_>>());
        Ok(failures)
    }

    fn column<'g>(&self, given: &'g [Option<Given>], step: usize, output: usize) -> Column<'g> {
        let step_ = &self.steps[step];
        let given = given[step]
            .as_ref()
            .expect("a step runs before its readers");
        let schema = match given.opened {
            true => &step_.columns,
            false => &step_.transform.description().outputs,
        };
        Column {
            block: &given.block,
            slot: schema.slot(output),
        }
    }

    fn step(
        &self,
        step: &Step,
        rows: &Rows,
        given: &[Option<Given>],
        messages: &mut BTreeMap<usize, String>,
    ) -> Result<Given> {
        let total = rows.block.rows();
        let inputs = &step.transform.description().inputs;
        let mut fail = |row: usize, message: String| {
            let said = messages.entry(row).or_default();
            if !said.is_empty() {
                said.push_str("; ");
            }
            said.push_str(&format!("{}: {message}", step.alias));
        };
        // What cannot be read, and what has failed before, has no features here either.
        let mut failed: BTreeSet<usize> = rows.ill.iter().map(|ill| ill.row).collect();
        let mut columns = Vec::new();
        for source in &step.inputs {
            columns.push(match *source {
                Source::File(at) => Column {
                    block: &rows.block,
                    slot: self.wanted.schema.slot(at),
                },
                Source::Step { step, output } => {
                    failed.extend(given[step].iter().flat_map(|given| &given.failed));
                    self.column(given, step, output)
                }
            });
        }
        for (field, column) in inputs.fields().iter().zip(&columns) {
            if field.nullable || all_valid(column) {
                continue;
            }
            for row in 0..total {
                if !column.block.is_valid(column.slot, row) && failed.insert(row) {
                    fail(row, format!("\"{}\" is null, and may not be", field.name));
                }
            }
        }
        let good: Option<Vec<u32>> = (!failed.is_empty()).then(|| {
            let rows = (0..total).filter(|row| !failed.contains(row));
            rows.map(|row| row as u32).collect()
        });
        let block = match &good {
            None => gather(inputs, &columns, total),
            Some(good) => {
                let picked = |at: usize| Picked {
                    column: columns[at],
                    rows: Some(good.as_slice()),
                };
                pick(inputs, picked, good.len())
            }
        };
        let original = |row: usize| good.as_ref().map_or(row, |good| good[row] as usize);
        let parts = match step.transform.call(&block) {
            Ok(answer) => vec![(0..block.rows(), Ok(answer))],
            Err(error @ Error::Transform { .. }) => {
                let call = |rows: &Block| step.transform.call(rows);
                apart(inputs, call, &block, error, usize::MAX)
            }
            Err(error) => return Err(error),
        };
        for (range, part) in &parts {
            match part {
                Ok(answer) => {
                    for refusal in &answer.refusals {
                        let row = original(range.start + refusal.row);
                        failed.insert(row);
                        fail(row, refusal.message.clone());
                    }
                }
                Err(error) => {
                    let message = match &**error {
                        Error::Transform { fault, .. } => fault.to_string(),
                        other => other.to_string(),
                    };
                    for row in range.clone() {
                        failed.insert(original(row));
                        fail(original(row), message.clone());
                    }
                }
            }
        }
        if failed.is_empty() {
            let mut answers = parts.into_iter().filter_map(|(_, part)| part.ok());
            let block = answers.next().map(|answer| answer.rows).unwrap_or_default();
            return Ok(Given {
                block,
                opened: false,
                failed,
            });
        }
        let answered = parts.into_iter().map(|(range, part)| {
            let rows = range.map(original).collect();
            (rows, part.ok())
        });
        Ok(Given {
            block: spread(step, total, answered, &failed),
            opened: true,
            failed,
        })
    }
}

/// The answers at the places of their rows, and nulls at the others.
fn spread(
    step: &Step,
    total: usize,
    answered: impl Iterator<Item = (Vec<usize>, Option<Answer>)>,
    failed: &BTreeSet<usize>,
) -> Block {
    let outputs = &step.transform.description().outputs;
    let (mut parts, mut places, mut next) = (Vec::new(), vec![u32::MAX; total], 0);
    for (rows, answer) in answered {
        let Some(answer) = answer else {
            continue;
        };
        for row in rows {
            if !failed.contains(&row) {
                places[row] = next;
            }
            next += 1;
        }
        parts.push(answer.rows);
    }
    let whole = Block::concat(outputs, &parts);
    let columns: Vec<Column<'_>> = outputs
        .slots()
        .iter()
        .map(|&slot| Column {
            block: &whole,
            slot,
        })
        .collect();
    let opened = gather(&step.columns, &columns, next as usize);
    let with_null = Block::concat(&step.columns, &[opened, Block::nulls(&step.columns, 1)]);
    for place in &mut places {
        *place = (*place).min(next);
    }
    let picked = |at: usize| Picked {
        column: Column {
            block: &with_null,
            slot: step.columns.slot(at),
        },
        rows: Some(&places),
    };
    pick(&step.columns, picked, total)
}

fn all_valid(column: &Column<'_>) -> bool {
    let rows = column.block.rows();
    column.block.validity_bits(column.slot).is_none_or(|bits| {
        let ones: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
        ones as usize == rows
    })
}

/// The messages as a column.
fn words(failures: &[Failure], first: u64, total: usize) -> (Block, Slot) {
    let schema = Schema::new(vec![Field::new("", DataType::One(Scalar::Text), true)]);
    let slot = schema.slot(0);
    if failures.is_empty() {
        return (Block::nulls(&schema, total), slot);
    }
    let mut rows = RowsBuilder::new(&schema);
    let mut failures = failures.iter().peekable();
    for row in 0..total as u64 {
        rows.begin_row();
        if let Some(failure) = failures.next_if(|failure| failure.row == first + row) {
            rows.set_text(slot, &failure.message);
        }
    }
    (rows.finish(), slot)
}
