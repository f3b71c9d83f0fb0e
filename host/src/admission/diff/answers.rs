//! Two versions on the same rows.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::admission::smallest::row_json;
use crate::admission::{SEED, rows};
use crate::block::{Block, Column, gather};
use crate::error::Result;
use crate::offline::json::write_value;
use crate::schema::{DataType, Field, Pool, Scalar, Schema};
use crate::transform::{Answer, Transform};

/// Bytes of a value in an example, and of how many outputs the example has its row: a record of a thousand outputs is
/// no place for a thousand rows.
const SHOWN: usize = 4 << 10;
const ROWS_SHOWN: usize = 20;

/// Of one output, over the rows that both versions answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AnswerDifference)]
pub struct Difference {
    pub output: String,
    /// Rows on which a bit of it differs, and their share of those that both answered.
    pub rows: usize,
    pub share: f64,
    /// Of numbers: the largest difference in the output's unit, of a timestamp in microseconds. None where there is no
    /// row on which both are finite numbers and not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_absolute: Option<f64>,
    /// Of numbers: the largest difference as a part of the old one's size. None where the old ones are all zero, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_relative: Option<f64>,
    /// The row with the largest difference, or the first.
    pub example: Example,
}

/// One row, and what each version answers to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DifferenceExample)]
pub struct Example {
    /// The inputs of the new version; null if they are very long, or many outputs differ.
    pub row: Value,
    /// What JSON cannot say of the row: `"x" is NaN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_notes: Vec<String>,
    /// A float that is not finite is text here: `"NaN"`.
    pub old: Value,
    pub new: Value,
}

/// Rows that one version refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RefusalDifference)]
pub struct Refusals {
    pub only_old: usize,
    pub only_new: usize,
    /// A row that only one refuses, and why.
    pub example: Value,
    pub message: String,
}

#[derive(Default)]
pub(super) struct Compared {
    pub rows: usize,
    pub outputs: Vec<Difference>,
    pub refusals: Option<Refusals>,
}

/// Runs both on `count` rows. [`crate::error::Error::Transform`] where one fails.
pub(super) fn compare(old: &Transform, new: &Transform, count: usize) -> Result<Compared> {
    let (before, after) = (old.description(), new.description());
    let [old_rows, new_rows] = both_rows(&before.inputs, &after.inputs, count);
    let old_answer = old.call_fresh(&old_rows)?;
    let new_answer = new.call_fresh(&new_rows)?;
    let refused = |answer: &Answer| {
        let mut refused = vec![false; new_rows.rows()];
        for refusal in &answer.refusals {
            refused[refusal.row] = true;
        }
        refused
    };
    let (old_refused, new_refused) = (refused(&old_answer), refused(&new_answer));
    let answered: Vec<usize> = (0..new_rows.rows())
        .filter(|&row| !old_refused[row] && !new_refused[row])
        .collect();
    let outputs = before.outputs.fields().iter().enumerate();
    let mut outputs: Vec<Difference> = outputs
        .filter_map(|(from, field)| {
            let to = after.outputs.position(&field.name)?;
            let target = after.outputs.field(to);
            if target.data_type != field.data_type {
                return None;
            }
            let sides = [
                One::of(&old_answer.rows, &before.outputs, from),
                One::of(&new_answer.rows, &after.outputs, to),
            ];
            let show = |row| row_json(&new_rows, &after.inputs, row);
            sides[0].differ(&sides[1], field, &answered, show)
        })
        .collect();
    for difference in outputs.iter_mut().skip(ROWS_SHOWN) {
        difference.example.row = Value::Null;
    }
    Ok(Compared {
        rows: new_rows.rows(),
        outputs,
        refusals: refusals(
            [&old_answer, &new_answer],
            [&old_refused, &new_refused],
            |row| row_json(&new_rows, &after.inputs, row).0,
        ),
    })
}

/// The same rows for both sides. An input of one name and type is given to both, as both take it: never null unless both
/// bear it, within both ranges. Any other is null, or generated for its own side where it may not be.
fn both_rows(before: &Schema, after: &Schema, count: usize) -> [Block; 2] {
    let mut fields: Vec<Field> = Vec::new();
    // Of each input of each side, which of the generated fields it gets.
    let mut places: [Vec<Option<usize>>; 2] = [Vec::new(), Vec::new()];
    for field in before.fields() {
        let twin = after
            .position(&field.name)
            .and_then(|index| shared(field, after.field(index)));
        let generated = twin.or_else(|| (!field.nullable).then(|| field.clone()));
        places[0].push(generated.map(|field| {
            fields.push(field);
            fields.len() - 1
        }));
    }
    for field in after.fields() {
        let twin = before
            .position(&field.name)
            .filter(|&index| shared(before.field(index), field).is_some());
        places[1].push(match twin {
            Some(index) => places[0][index],
            None if field.nullable => None,
            None => {
                fields.push(field.clone());
                Some(fields.len() - 1)
            }
        });
    }
    let union = Schema::new(fields);
    let all = rows(&union, SEED);
    let count = count.min(all.rows());
    let all = all.slice(&union, 0..count);
    [(before, &places[0]), (after, &places[1])].map(|(schema, places)| {
        let nulls = Block::nulls(schema, count);
        let columns: Vec<Column<'_>> = places
            .iter()
            .enumerate()
            .map(|(index, place)| match place {
                Some(at) => Column {
                    block: &all,
                    slot: union.slot(*at),
                },
                None => Column {
                    block: &nulls,
                    slot: schema.slot(index),
                },
            })
            .collect();
        gather(schema, &columns, count)
    })
}

/// A field whose values both take; none where there is no such value, or the types differ.
fn shared(old: &Field, new: &Field) -> Option<Field> {
    if old.data_type != new.data_type {
        return None;
    }
    let tighter = |a: Option<f64>, b: Option<f64>, of: fn(f64, f64) -> f64| match (a, b) {
        (Some(a), Some(b)) => Some(of(a, b)),
        (one, other) => one.or(other),
    };
    let field = Field {
        nullable: old.nullable && new.nullable,
        minimum: tighter(old.minimum, new.minimum, f64::max),
        maximum: tighter(old.maximum, new.maximum, f64::min),
        ..new.clone()
    };
    match (field.minimum, field.maximum) {
        (Some(low), Some(high)) if low > high => None,
        _ => Some(field),
    }
}

/// One output's column, in a block of its own.
struct One {
    rows: Block,
    schema: Schema,
}

impl One {
    fn of(block: &Block, schema: &Schema, index: usize) -> One {
        // Always nullable, so that both sides lie alike.
        let field = Field {
            nullable: true,
            ..schema.field(index).clone()
        };
        let one = Schema::new(vec![field]);
        let column = Column {
            block,
            slot: schema.slot(index),
        };
        One {
            rows: gather(&one, &[column], block.rows()),
            schema: one,
        }
    }

    fn differ(
        &self,
        other: &One,
        field: &Field,
        answered: &[usize],
        show: impl Fn(usize) -> (Option<Value>, Vec<String>),
    ) -> Option<Difference> {
        if self.rows.same_bits(&other.rows, &self.schema) {
            return None;
        }
        let mut differing = 0;
        let (mut absolute, mut relative): (Option<f64>, Option<f64>) = (None, None);
        let mut example = None;
        for &row in answered {
            if self.rows.same_value(&other.rows, &self.schema, 0, row) {
                continue;
            }
            differing += 1;
            example = example.or(Some(row));
            let (Some(old), Some(new)) = (self.number(field, row), other.number(field, row)) else {
                continue;
            };
            let apart = (new - old).abs();
            if !apart.is_finite() || apart == 0.0 {
                continue;
            }
            if absolute.is_none_or(|most| apart > most) {
                (absolute, example) = (Some(apart), Some(row));
            }
            if old != 0.0 {
                let part = apart / old.abs();
                relative = Some(relative.map_or(part, |most| most.max(part)));
            }
        }
        let row = example?;
        let (shown, row_notes) = show(row);
        Some(Difference {
            output: field.name.clone(),
            rows: differing,
            share: differing as f64 / answered.len() as f64,
            largest_absolute: absolute,
            // JSON has no word for what a tiny old number makes of it.
            largest_relative: relative.filter(|part| part.is_finite()),
            example: Example {
                row: shown.unwrap_or(Value::Null),
                row_notes,
                old: self.value(row),
                new: other.value(row),
            },
        })
    }

    fn number(&self, field: &Field, row: usize) -> Option<f64> {
        let slot = self.schema.slot(0);
        if !self.rows.is_valid(slot, row) {
            return None;
        }
        match field.data_type {
            DataType::One(Scalar::Float) => Some(self.rows.float(slot, row)),
            DataType::One(Scalar::Integer | Scalar::Timestamp) => {
                Some(self.rows.integer(slot, row) as f64)
            }
            _ => None,
        }
    }

    fn value(&self, row: usize) -> Value {
        let (field, slot) = (self.schema.field(0), self.schema.slot(0));
        if slot.pool == Pool::Floats && !slot.many && self.rows.is_valid(slot, row) {
            let value = self.rows.float(slot, row);
            if !value.is_finite() {
                return Value::String(format!("{value:?}"));
            }
        }
        let mut text = Vec::new();
        write_value(&self.rows, field, slot, row, &mut text);
        match text.len() <= SHOWN {
            true => serde_json::from_slice(&text).unwrap_or(Value::Null),
            false => Value::String(format!("a value of {} bytes", text.len())),
        }
    }
}

fn refusals(
    answers: [&Answer; 2],
    refused: [&[bool]; 2],
    show: impl Fn(usize) -> Option<Value>,
) -> Option<Refusals> {
    let only = |this: &[bool], that: &[bool]| -> Vec<usize> {
        (0..this.len())
            .filter(|&row| this[row] && !that[row])
            .collect()
    };
    let (only_old, only_new) = (only(refused[0], refused[1]), only(refused[1], refused[0]));
    // What is refused now, and was not, is the news.
    let (row, answer) = match (only_new.first(), only_old.first()) {
        (Some(&row), _) => (row, answers[1]),
        (None, Some(&row)) => (row, answers[0]),
        (None, None) => return None,
    };
    let message = answer
        .refusals
        .iter()
        .find(|refusal| refusal.row == row)
        .map_or_else(String::new, |refusal| refusal.message.clone());
    Some(Refusals {
        only_old: only_old.len(),
        only_new: only_new.len(),
        example: show(row).unwrap_or(Value::Null),
        message,
    })
}
