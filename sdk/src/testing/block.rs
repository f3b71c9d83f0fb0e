//! Rows made by hand into a block, by name, as the host makes a request into one.

use super::value::{Rows, Value};
use crate::bindings::tidemill::transform::types::{Block, DataType, Field, Scalar};
use crate::output::IntoColumn;
use crate::shape::{self, Layout, Shape, Slot};
use crate::write::Writer;
use crate::{Json, Timestamp};

/// Puts every value into its place.
pub fn encode(rows: &Rows, fields: &[Field]) -> Block {
    let shapes: Vec<Shape> = fields.iter().map(shape).collect();
    let mut writer = Writer::new(rows.0.len(), &shapes, Layout::of(&shapes));
    for (number, row) in rows.0.iter().enumerate() {
        if let Some((name, _)) = row
            .iter()
            .find(|(name, _)| fields.iter().all(|field| field.name != *name))
        {
            panic!(
                "row {number}: no input `{name}`; there are {}",
                tell_all(fields)
            );
        }
        for (position, field) in fields.iter().enumerate() {
            let value = row
                .iter()
                .find(|(name, _)| *name == field.name)
                .map_or(&Value::Null, |(_, value)| value);
            let place = Place {
                slot: Slot::of(&shapes, position),
                row: number,
            };
            check_range(field, value, number);
            if !place.put(&mut writer, field, value) {
                panic!("row {number}: {value:?} is no value for {}", tell(field));
            }
        }
    }
    writer.finish().rows
}

struct Place {
    slot: Slot,
    row: usize,
}

impl Place {
    /// Writes a value where the column takes it.
    fn put(&self, writer: &mut Writer, field: &Field, value: &Value) -> bool {
        match (field.data_type, value) {
            (data_type, Value::Null) if field.nullable => match data_type {
                DataType::Many(_) => <Vec<f64>>::skip(writer, self.slot),
                DataType::One(Scalar::Text | Scalar::Json) => <&str>::skip(writer, self.slot),
                DataType::One(_) => {}
            },
            (DataType::One(scalar), value) => {
                return self.put_one(writer, field.nullable, scalar, value);
            }
            (DataType::Many(scalar), Value::List(items)) => {
                return self.put_many(writer, field.nullable, scalar, items);
            }
            _ => return false,
        }
        true
    }

    fn put_one(&self, writer: &mut Writer, nullable: bool, scalar: Scalar, value: &Value) -> bool {
        match scalar {
            Scalar::Boolean => self.write(writer, nullable, boolean(value)),
            Scalar::Integer => self.write(writer, nullable, integer(value)),
            Scalar::Float => self.write(writer, nullable, float(value)),
            Scalar::Text => self.write(writer, nullable, text(value)),
            Scalar::Timestamp => self.write(writer, nullable, timestamp(value)),
            Scalar::Json => self.write(writer, nullable, text(value).map(Json::new)),
        }
    }

    fn put_many(
        &self,
        writer: &mut Writer,
        nullable: bool,
        scalar: Scalar,
        items: &[Value],
    ) -> bool {
        fn all<'v, T>(items: &'v [Value], item: fn(&'v Value) -> Option<T>) -> Option<Vec<T>> {
            items.iter().map(item).collect()
        }
        match scalar {
            Scalar::Boolean => self.write(writer, nullable, all(items, boolean)),
            Scalar::Integer => self.write(writer, nullable, all(items, integer)),
            Scalar::Float => self.write(writer, nullable, all(items, float)),
            Scalar::Text => self.write(writer, nullable, all(items, text)),
            Scalar::Timestamp => self.write(writer, nullable, all(items, timestamp)),
            Scalar::Json => self.write(
                writer,
                nullable,
                all(items, |item| text(item).map(Json::new)),
            ),
        }
    }

    fn write<T: IntoColumn>(&self, writer: &mut Writer, nullable: bool, value: Option<T>) -> bool {
        let Some(value) = value else { return false };
        if nullable {
            writer.mark_valid(self.slot.validity, self.row);
        }
        value.write(writer, self.slot, self.row);
        true
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(*value),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        Value::Integer(value) => Some(*value as f64),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(value) => Some(value),
        _ => None,
    }
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Timestamp(value) => Some(*value),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Panics where a number lies outside the range its column promises.
pub fn check_range(field: &Field, value: &Value, row: usize) {
    let outside = |number: f64| {
        field.minimum.is_some_and(|minimum| number < minimum)
            || field.maximum.is_some_and(|maximum| number > maximum)
    };
    if float(value).is_some_and(outside) {
        panic!("row {row}: {value:?} is out of range for {}", tell(field));
    }
}

/// The shape that the SDK's own reader and writer go by.
pub fn shape(field: &Field) -> Shape {
    let one = |scalar| match scalar {
        Scalar::Boolean => shape::Scalar::Boolean,
        Scalar::Integer => shape::Scalar::Integer,
        Scalar::Float => shape::Scalar::Float,
        Scalar::Text => shape::Scalar::Text,
        Scalar::Timestamp => shape::Scalar::Timestamp,
        Scalar::Json => shape::Scalar::Json,
    };
    let (scalar, many) = match field.data_type {
        DataType::One(scalar) => (one(scalar), false),
        DataType::Many(scalar) => (one(scalar), true),
    };
    Shape {
        scalar,
        many,
        nullable: field.nullable,
    }
}

/// A column in words: `risk: f64 or null, at least 0, at most 1. Its doc.`
pub fn tell(field: &Field) -> String {
    let doc = if field.doc.is_empty() {
        String::new()
    } else {
        format!(". {}", field.doc.replace('\n', " "))
    };
    let minimum = field
        .minimum
        .map_or(String::new(), |minimum| format!(", at least {minimum}"));
    let maximum = field
        .maximum
        .map_or(String::new(), |maximum| format!(", at most {maximum}"));
    format!(
        "{}: {}{minimum}{maximum}{doc}",
        field.name,
        tell_type(shape(field))
    )
}

pub fn tell_type(shape: Shape) -> String {
    let name = match shape.scalar {
        shape::Scalar::Boolean => "bool",
        shape::Scalar::Integer => "i64",
        shape::Scalar::Float => "f64",
        shape::Scalar::Text => "text",
        shape::Scalar::Timestamp => "timestamp",
        shape::Scalar::Json => "json",
    };
    let name = if shape.many {
        format!("list<{name}>")
    } else {
        name.to_owned()
    };
    if shape.nullable {
        name + " or null"
    } else {
        name
    }
}

pub fn tell_all(fields: &[Field]) -> String {
    fields
        .iter()
        .map(|field| field.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
