//! Rows made by hand into a block, by name, as the host makes a request into one.

use super::value::{Rows, Value, null};
use crate::bindings::tidemill::transform::types::{Block, DataType, Field, Scalar};
use crate::output::{IntoColumn, IntoValue};
use crate::shape::{self, Layout, Shape};
use crate::write::{Pools, Writer};
use crate::{Json, Timestamp};

/// Puts every value into its place.
pub fn encode(rows: &Rows, fields: &[Field]) -> Block {
    for (number, row) in rows.0.iter().enumerate() {
        let is_unknown = |name: &String| fields.iter().all(|field| field.name != *name);
        if let Some((name, _)) = row.iter().find(|(name, _)| is_unknown(name)) {
            panic!(
                "row {number}: no input `{name}`; there are {}",
                tell_all(fields)
            );
        }
    }
    let shapes: Vec<Shape> = fields.iter().map(shape).collect();
    let mut writer = Writer::new(rows.0.len(), &shapes, Layout::of(&shapes));
    let mut pools = writer.pools();
    for field in fields {
        encode_column(rows, field, &mut pools);
    }
    writer.finish()
}

fn encode_column(rows: &Rows, field: &Field, pools: &mut Pools) {
    match field.data_type {
        DataType::One(Scalar::Boolean) => fill(rows, field, pools, boolean),
        DataType::One(Scalar::Integer) => fill(rows, field, pools, integer),
        DataType::One(Scalar::Float) => fill(rows, field, pools, float),
        DataType::One(Scalar::Text) => fill(rows, field, pools, text),
        DataType::One(Scalar::Timestamp) => fill(rows, field, pools, timestamp),
        DataType::One(Scalar::Json) => fill(rows, field, pools, json),
        DataType::Many(Scalar::Boolean) => fill(rows, field, pools, list(boolean)),
        DataType::Many(Scalar::Integer) => fill(rows, field, pools, list(integer)),
        DataType::Many(Scalar::Float) => fill(rows, field, pools, list(float)),
        DataType::Many(Scalar::Text) => fill(rows, field, pools, list(text)),
        DataType::Many(Scalar::Timestamp) => fill(rows, field, pools, list(timestamp)),
        DataType::Many(Scalar::Json) => fill(rows, field, pools, list(json)),
    }
}

fn fill<'v, T: IntoValue>(
    rows: &'v Rows,
    field: &Field,
    pools: &mut Pools,
    convert: impl Fn(&'v Value) -> Option<T>,
) {
    let given = |row: usize| {
        let found = rows.0[row].iter().find(|(name, _)| *name == field.name);
        let value = found.map_or(&null, |(_, value)| value);
        check_range(field, value, row);
        let bad = || panic!("row {row}: {value:?} is no value for {}", tell(field));
        match value {
            Value::Null if field.nullable => None,
            value => Some(convert(value).unwrap_or_else(bad)),
        }
    };
    let every = 0..rows.0.len();
    if field.nullable {
        let mut column = <Option<T>>::open(pools);
        every.for_each(|row| given(row).write(&mut column, row));
    } else {
        let mut column = T::open(pools);
        every.for_each(|row| {
            given(row)
                .expect("null is no value here")
                .write(&mut column, row)
        });
    }
}

fn list<'v, T>(item: fn(&'v Value) -> Option<T>) -> impl Fn(&'v Value) -> Option<Vec<T>> {
    move |value| match value {
        Value::List(items) => items.iter().map(item).collect(),
        _ => None,
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

fn json(value: &Value) -> Option<Json<'_>> {
    text(value).map(Json::new)
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Timestamp(value) => Some(*value),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Panics where a number lies outside the range its column promises. NaN lies outside of any.
pub fn check_range(field: &Field, value: &Value, row: usize) {
    let outside = |number: f64| {
        let ranged = field.minimum.is_some() || field.maximum.is_some();
        field.minimum.is_some_and(|minimum| number < minimum)
            || field.maximum.is_some_and(|maximum| number > maximum)
            || ranged && number.is_nan()
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
