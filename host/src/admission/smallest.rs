//! The smallest row that makes a transform fail.

use std::mem::discriminant;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Failure, Stop};
use crate::block::{Block, Column, RowsBuilder, gather};
use crate::error::{Error, Fault, Result};
use crate::offline::json::write_row;
use crate::schema::{Pool, Scalar, Schema, Slot};
use crate::transform::{Answer, Transform};

/// Characters shown of a row in a sentence, and bytes of one in a report.
const SHOWN: usize = 400;
const REPORTED: usize = 16 << 10;
/// Calls that may go into making a row smaller; fewer where each runs until its fuel is gone.
const CALLS: usize = 500;
const DEAR_CALLS: usize = 20;
/// And time, for a fault that comes late in a long call. On a slow machine the row may be less small.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a fresh instance answers, if it is what was declared: that a text is JSON is asked here and not in service, where
/// other text is answered as text.
pub(super) fn answer_of(transform: &Transform, rows: &Block) -> Result<Answer> {
    let answer = transform.call_fresh(rows)?;
    let outputs = &transform.description().outputs;
    let json =
        (0..outputs.len()).filter(|&index| outputs.field(index).data_type.scalar() == Scalar::Json);
    for index in json {
        let slot = outputs.slot(index);
        let mut refused = answer.refusals.iter().map(|refusal| refusal.row).peekable();
        for row in 0..rows.rows() {
            // What stands in a row that was refused is nothing.
            if refused.next_if_eq(&row).is_some() || !answer.rows.is_valid(slot, row) {
                continue;
            }
            let texts = match slot.many {
                true => answer.rows.items(slot, row),
                false => slot.index * rows.rows() + row..slot.index * rows.rows() + row + 1,
            };
            for at in texts {
                let text = answer.rows.text_at(at);
                if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
                    return Err(Error::Transform {
                        transform: transform.name().clone(),
                        fault: Fault::BadAnswer(format!(
                            "\"{}\" is no JSON in row {row}: {error}",
                            outputs.field(index).name
                        )),
                    });
                }
            }
        }
    }
    Ok(answer)
}

/// Why a transform is refused that failed on `rows` on a fresh instance.
pub(super) fn failure(transform: &Transform, rows: &Block, error: Error) -> Stop {
    let Error::Transform { fault, .. } = &error else {
        return error.into();
    };
    let inputs = &transform.description().inputs;
    let (rows, fault) = bisected(transform, rows.clone(), fault.clone());
    let cause = fault.kind().to_owned();
    if rows.rows() > 1 {
        return Failure {
            cause,
            reason: format!(
                "{fault}, on {} rows in one call, though not on each half of them: it depends on its neighbours' rows or on their order",
                rows.rows()
            ),
            row: None,
            row_notes: Vec::new(),
        }
        .into();
    }
    let (row, fault) = simplified(transform, rows, fault);
    let shown = row_text(&row, inputs, 0);
    let (json, row_notes) = row_json(&row, inputs, 0);
    Failure {
        cause,
        reason: format!("{fault}, on the row {shown}; {}", advice(&fault)),
        row: json,
        row_notes,
    }
    .into()
}

/// Half and half again, as long as a half fails too.
fn bisected(transform: &Transform, mut rows: Block, mut fault: Fault) -> (Block, Fault) {
    let inputs = &transform.description().inputs;
    while rows.rows() > 1 {
        let middle = rows.rows() / 2;
        let halves = [0..middle, middle..rows.rows()].map(|range| rows.slice(inputs, range));
        let failing = halves.into_iter().find_map(|half| {
            let fault = fault_of(transform, &half)?;
            Some((half, fault))
        });
        match failing {
            Some(smaller) => (rows, fault) = smaller,
            None => break,
        }
    }
    (rows, fault)
}

/// Fields are made null, empty or zero, and texts and lists halved, as long as the row fails in the same manner.
fn simplified(transform: &Transform, mut row: Block, mut fault: Fault) -> (Block, Fault) {
    let inputs = &transform.description().inputs;
    let mut calls = match fault {
        Fault::OutOfFuel { .. } => DEAR_CALLS,
        _ => CALLS,
    };
    let end = Instant::now() + PATIENCE;
    for at in 0..inputs.len() {
        loop {
            let smaller = simpler(&row, inputs, at).into_iter().find_map(|simpler| {
                // A range may not allow zero.
                let worth =
                    !simpler.same_bits(&row, inputs) && simpler.out_of_range(inputs).is_none();
                if !worth || calls == 0 || Instant::now() > end {
                    return None;
                }
                calls -= 1;
                let found = fault_of(transform, &simpler)?;
                (discriminant(&found) == discriminant(&fault)).then_some((simpler, found))
            });
            match smaller {
                Some(smaller) => (row, fault) = smaller,
                None => break,
            }
        }
    }
    (row, fault)
}

pub(super) fn fault_of(transform: &Transform, rows: &Block) -> Option<Fault> {
    match answer_of(transform, rows) {
        Err(Error::Transform { fault, .. }) => Some(fault),
        _ => None,
    }
}

/// The row with a simpler value in one field: none or nothing, then each half of a text or a list.
fn simpler(row: &Block, inputs: &Schema, at: usize) -> Vec<Block> {
    let (field, slot) = (inputs.field(at), inputs.slot(at));
    let one = Schema::new(vec![field.clone()]);
    let mut values = vec![Block::nulls(&one, 1)];
    if row.is_valid(slot, 0) {
        let mut add = |set: &dyn Fn(&mut RowsBuilder, Slot)| {
            let mut rows = RowsBuilder::new(&one);
            rows.begin_row();
            set(&mut rows, one.slot(0));
            values.push(rows.finish());
        };
        if slot.many {
            let items = row.items(slot, 0);
            let middle = items.start + items.len() / 2;
            for half in [items.start..middle, middle..items.end] {
                add(&|rows, to| copy_items(row, slot, half.clone(), rows, to));
            }
        } else if field.data_type.scalar() == Scalar::Text {
            let text = row.text(slot, 0);
            let middle = text.floor_char_boundary(text.len() / 2);
            for half in [&text[..middle], &text[middle..]] {
                add(&|rows, to| rows.set_text(to, half));
            }
        }
    }
    let with = |value: &Block| {
        let columns: Vec<Column<'_>> = (0..inputs.len())
            .map(|other| match other == at {
                true => Column {
                    block: value,
                    slot: one.slot(0),
                },
                false => Column {
                    block: row,
                    slot: inputs.slot(other),
                },
            })
            .collect();
        gather(inputs, &columns, 1)
    };
    values.iter().map(with).collect()
}

fn copy_items(from: &Block, slot: Slot, items: Range<usize>, rows: &mut RowsBuilder, to: Slot) {
    rows.begin_list(to);
    for item in items {
        match slot.pool {
            Pool::Floats => rows.push_float(from.float_item(item)),
            Pool::Integers => rows.push_integer(from.integer_item(item)),
            Pool::Booleans => rows.push_boolean(from.boolean_item(item)),
            Pool::Text => rows.push_text(from.text_at(item)),
        }
    }
    rows.end_list(to);
}

/// A row as JSON, and in words what JSON has no word for. The beginning of a long one.
pub(super) fn row_text(rows: &Block, inputs: &Schema, row: usize) -> String {
    let mut text = Vec::new();
    write_row(rows, inputs, row, &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    match notes(rows, inputs, row) {
        notes if notes.is_empty() => text,
        notes => format!("{text}, where {}", notes.join(", ")),
    }
}

/// A row as JSON for a program, if it is not very long, and notes of what JSON has no word for.
pub(super) fn row_json(rows: &Block, inputs: &Schema, row: usize) -> (Option<Value>, Vec<String>) {
    let mut text = Vec::new();
    write_row(rows, inputs, row, &mut text);
    let json = match text.len() <= REPORTED {
        true => serde_json::from_slice(&text).ok(),
        false => None,
    };
    (json, notes(rows, inputs, row))
}

fn notes(rows: &Block, inputs: &Schema, row: usize) -> Vec<String> {
    let fields = inputs.fields().iter().zip(inputs.slots());
    fields
        .filter(|(_, slot)| slot.pool == Pool::Floats && rows.is_valid(**slot, row))
        .filter_map(|(field, &slot)| {
            let values = match slot.many {
                true => rows.items(slot, row),
                false => slot.index * rows.rows() + row..slot.index * rows.rows() + row + 1,
            };
            let value = values
                .map(|at| rows.float_item(at))
                .find(|value| !value.is_finite())?;
            let is = if slot.many { "holds" } else { "is" };
            Some(format!("\"{}\" {is} {value}", field.name))
        })
        .take(5)
        .collect()
}

fn advice(fault: &Fault) -> &'static str {
    match fault {
        Fault::Trap { .. } => {
            "a row that a transform cannot bear it refuses with a `Refusal`, or it declares the input's range"
        }
        Fault::OutOfFuel { .. } => "take fewer steps, or raise transforms.fuel",
        Fault::OutOfMemory { .. } => "take less, or raise transforms.memory_bytes",
        Fault::AnswerTooLarge { .. } => "answer less, or raise transforms.answer_bytes",
        Fault::BadAnswer(_) => "refuse such a row, or declare what is answered to it",
        Fault::Failure(_) => "refuse a row that is wrong, not the block",
    }
}
