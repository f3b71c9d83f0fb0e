//! An answer by name.

use std::fmt;

use super::block::{check_range, shape, tell_all, tell_type};
use super::value::{Rows, Value};
use crate::bindings::tidemill::transform::types;
use crate::input::FromColumn;
use crate::read::Reader;
use crate::shape::{Layout, Scalar, Shape, Slot};
use crate::{Bools, Json, Jsons, Texts, Timestamp};

/// What a transform gave: compare it with [`rows!`](crate::rows), or take a [`column`](Answer::column) by name.
///
/// A refused row compares unequal to any; see [`refusals`](Answer::refusals).
pub struct Answer {
    fields: Vec<types::Field>,
    shapes: Vec<Shape>,
    answer: types::Answer,
}

impl Answer {
    pub(super) fn new(answer: types::Answer, fields: Vec<types::Field>) -> Answer {
        let shapes = fields.iter().map(shape).collect();
        let answer = Answer {
            fields,
            shapes,
            answer,
        };
        for row in 0..answer.len() {
            for (position, field) in answer.fields.iter().enumerate() {
                if answer.refusal(row).is_none() {
                    check_range(field, &answer.value(position, row), row);
                }
            }
        }
        answer
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.answer.rows.rows as usize
    }

    /// Never: a block has at least one row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One column as a type that a field of an [`Input`](crate::Input) could have: `bool`, `Option<f64>`, `&str`, …
    /// Rows that were refused hold zero, empty or false, and null where they may.
    ///
    /// # Panics
    ///
    /// If there is no such column or it has another type.
    pub fn column<'a, T: FromColumn<'a>>(&'a self, name: &str) -> Vec<T> {
        let Some(position) = self.fields.iter().position(|field| field.name == name) else {
            panic!("no output `{name}`; there are {}", tell_all(&self.fields));
        };
        let (found, asked) = (self.shapes[position], T::SHAPE);
        assert!(
            found == asked,
            "`{name}` is {}, not {}",
            tell_type(found),
            tell_type(asked)
        );
        let column = T::open(self.reader(), Slot::of(&self.shapes, position));
        (0..self.len()).map(|row| T::read(&column, row)).collect()
    }

    /// The rows that were refused, and the words.
    pub fn refusals(&self) -> Vec<(usize, &str)> {
        let refusals = self.answer.refusals.iter();
        refusals
            .map(|refusal| (refusal.row as usize, refusal.message.as_str()))
            .collect()
    }

    fn refusal(&self, row: usize) -> Option<&str> {
        self.refusals()
            .into_iter()
            .find_map(|(refused, message)| (refused == row).then_some(message))
    }

    fn reader(&self) -> Reader<'_> {
        let checked = Reader::new(&self.answer.rows, &self.shapes, Layout::of(&self.shapes));
        checked.expect("an answer of the SDK is well-formed")
    }

    fn value(&self, position: usize, row: usize) -> Value {
        let (reader, slot, shape) = (
            self.reader(),
            Slot::of(&self.shapes, position),
            self.shapes[position],
        );
        if shape.nullable && !reader.bitmap(slot.validity).has(row) {
            return Value::Null;
        }
        let json = |json: Json| Value::from(json.as_str());
        match (shape.scalar, shape.many) {
            (Scalar::Boolean, false) => read::<bool>(reader, slot, row).into(),
            (Scalar::Integer, false) => read::<i64>(reader, slot, row).into(),
            (Scalar::Float, false) => read::<f64>(reader, slot, row).into(),
            (Scalar::Text, false) => read::<&str>(reader, slot, row).into(),
            (Scalar::Timestamp, false) => read::<Timestamp>(reader, slot, row).into(),
            (Scalar::Json, false) => json(read::<Json>(reader, slot, row)),
            (Scalar::Boolean, true) => read::<Bools>(reader, slot, row)
                .iter()
                .collect::<Vec<_>>()
                .into(),
            (Scalar::Integer, true) => read::<&[i64]>(reader, slot, row).to_vec().into(),
            (Scalar::Float, true) => read::<&[f64]>(reader, slot, row).to_vec().into(),
            (Scalar::Text, true) => read::<Texts>(reader, slot, row)
                .iter()
                .collect::<Vec<_>>()
                .into(),
            (Scalar::Timestamp, true) => read::<&[Timestamp]>(reader, slot, row).to_vec().into(),
            (Scalar::Json, true) => {
                Value::List(read::<Jsons>(reader, slot, row).iter().map(json).collect())
            }
        }
    }

    fn row(&self, row: usize) -> Vec<(String, Value)> {
        let values = self.fields.iter().enumerate();
        values
            .map(|(position, field)| (field.name.clone(), self.value(position, row)))
            .collect()
    }
}

fn read<'a, T: FromColumn<'a>>(reader: Reader<'a>, slot: Slot, row: usize) -> T {
    T::read(&T::open(reader, slot), row)
}

/// Every column of every row, in any order of the columns.
impl PartialEq<Rows> for Answer {
    fn eq(&self, expected: &Rows) -> bool {
        let same = |row: usize, expected: &Vec<(String, Value)>| {
            let found = self.row(row);
            let says = |(name, value): &(String, Value)| {
                found
                    .iter()
                    .any(|(other, found)| name == other && value.says(found))
            };
            self.refusal(row).is_none()
                && expected.len() == found.len()
                && expected.iter().all(says)
        };
        expected.0.len() == self.len()
            && expected
                .0
                .iter()
                .enumerate()
                .all(|(row, expected)| same(row, expected))
    }
}

/// As it would be written in `rows!`, but for refused rows.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows![\n")?;
        for row in 0..self.len() {
            match self.refusal(row) {
                Some(message) => writeln!(f, "    refused: {message:?},")?,
                None => {
                    let values = self.row(row);
                    let values: Vec<String> = values
                        .iter()
                        .map(|(name, value)| format!("{name}: {value:?}"))
                        .collect();
                    writeln!(f, "    {{ {} }},", values.join(", "))?;
                }
            }
        }
        f.write_str("]")
    }
}
