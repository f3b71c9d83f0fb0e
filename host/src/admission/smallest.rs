//! The smallest row that makes a transform fail.

use std::mem::discriminant;
use std::ops::Range;

use crate::block::{Block, Column, RowsBuilder, gather};
use crate::error::{Error, Fault};
use crate::offline::json::write_row;
use crate::schema::{Pool, Scalar, Schema, Slot};
use crate::transform::Transform;

/// Characters shown of a row.
const SHOWN: usize = 400;
/// Calls that may go into making a row smaller; fewer where each runs until its fuel is gone.
const CALLS: usize = 500;
const DEAR_CALLS: usize = 20;

/// The refusal of a transform that failed on `rows` on a fresh instance.
pub(super) fn refusal(transform: &Transform, rows: &Block, error: Error) -> Error {
    let Error::Transform { fault, .. } = &error else {
        return error;
    };
    let inputs = &transform.description().inputs;
    let what = format!("transform {}", transform.name());
    let (rows, fault) = bisected(transform, rows.clone(), fault.clone());
    if rows.rows() > 1 {
        return Error::refused(
            what,
            format!(
                "{fault}, on {} rows in one call, though not on each half of them: it depends on its neighbours' rows or on their order",
                rows.rows()
            ),
        );
    }
    let (row, fault) = simplified(transform, rows, fault);
    let shown = row_text(&row, inputs, 0);
    Error::refused(
        what,
        format!("{fault}, on the row {shown}; {}", advice(&fault)),
    )
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
    for at in 0..inputs.len() {
        loop {
            let smaller = simpler(&row, inputs, at).into_iter().find_map(|simpler| {
                // A range may not allow zero.
                let worth =
                    !simpler.same_bits(&row, inputs) && simpler.out_of_range(inputs).is_none();
                if !worth || calls == 0 {
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
    match transform.call_fresh(rows) {
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

/// A row as JSON, and in words what JSON has no word for.
pub(super) fn row_text(rows: &Block, inputs: &Schema, row: usize) -> String {
    let mut text = Vec::new();
    write_row(rows, inputs, row, &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    let fields = inputs.fields().iter().zip(inputs.slots());
    let odd: Vec<String> = fields
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
        .collect();
    if !odd.is_empty() {
        text = format!("{text}, where {}", odd.join(", "));
    }
    text
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
