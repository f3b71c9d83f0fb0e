//! Arrow arrays as a block: each value exactly, or refused in words.
//!
//! | a column of | takes |
//! |---|---|
//! | bool | boolean |
//! | i64 | signed and unsigned integers that fit; floats that are whole |
//! | f64 | floats; integers that a double holds exactly |
//! | text | utf8, large or view, or a dictionary of these |
//! | json | as text, each value checked to be JSON |
//! | timestamp | timestamps of any unit and zone (without a zone: UTC; digits beyond the microsecond are cut off, as in requests), dates (midnight UTC), RFC 3339 text |
//! | list | lists, large lists and lists of fixed size, of what the item takes, without null items |

use std::fmt;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType as ArrowType, TimeUnit};

use crate::block::{Block, Parts};
use crate::request::parse_timestamp;
use crate::schema::{Field, Scalar, Schema};

/// What could not be converted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub column: String,
    /// From 0; none where the whole column is at fault.
    pub row: Option<usize>,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "row {row}, column \"{}\": {}", self.column, self.message),
            None => write!(f, "column \"{}\": {}", self.column, self.message),
        }
    }
}

/// Where in an array, if at one place, and what.
type At = (Option<usize>, String);

/// A block of `rows` rows of `schema`, of one array a field; of nulls where there is no array.
pub fn from_arrays(schema: &Schema, arrays: &[Option<ArrayRef>], rows: usize) -> Result<Block, Fault> {
    debug_assert_eq!(arrays.len(), schema.len());
    let mut parts = Parts { rows, ..Parts::default() };
    let columns = || schema.fields().iter().zip(schema.slots()).zip(arrays);
    for ((field, slot), array) in columns() {
        let fault = |(row, message)| Fault { column: field.name.clone(), row, message };
        if let Some(array) = array.as_ref().filter(|array| array.len() != rows) {
            return Err(fault((None, format!("it has {} rows, where others have {rows}", array.len()))));
        }
        let nulls = match array {
            Some(array) => array.logical_nulls(),
            None => Some(NullBuffer::new_null(rows)),
        };
        check_nulls(field, nulls.as_ref()).map_err(fault)?;
        if !slot.many {
            match array {
                Some(array) => parts.append(array, field.data_type.scalar()).map_err(fault)?,
                None => parts.append_empty(field.data_type.scalar(), rows),
            }
        }
        if slot.validity.is_some() {
            let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            parts.validity.extend((0..rows).step_by(8).map(|first| {
                let bit = |row: usize| u8::from(valid(row)) << (row - first);
                (first..rows.min(first + 8)).map(bit).fold(0, |byte, bit| byte | bit)
            }));
        }
    }
    // The items of lists lie behind all single values.
    for ((field, _), array) in columns().filter(|((_, slot), _)| slot.many) {
        let fault = |(row, message)| Fault { column: field.name.clone(), row, message };
        parts.append_lists(array.as_ref(), field.data_type.scalar()).map_err(fault)?;
    }
    let wrong = |message| Fault { column: String::new(), row: None, message };
    Block::check(parts, schema, rows).map_err(wrong)
}

fn check_nulls(field: &Field, nulls: Option<&NullBuffer>) -> Result<(), At> {
    match nulls.filter(|nulls| !field.nullable && nulls.null_count() > 0) {
        None => Ok(()),
        Some(nulls) => {
            let row = (0..nulls.len()).find(|&row| nulls.is_null(row));
            Err((row, "it is null, and may not be".to_owned()))
        }
    }
}

impl Parts {
    /// Appends a value for each row of `array`: zero, false or empty where it is null.
    fn append(&mut self, array: &dyn Array, scalar: Scalar) -> Result<(), At> {
        if *array.data_type() == ArrowType::Null {
            self.append_empty(scalar, array.len());
            return Ok(());
        }
        match scalar {
            Scalar::Float => floats(array, &mut self.floats),
            Scalar::Integer => integers(array, &mut self.integers),
            Scalar::Timestamp => timestamps(array, &mut self.integers),
            Scalar::Boolean => {
                let values = array.as_boolean_opt().ok_or_else(|| unlike(array, scalar))?;
                self.booleans.extend(values.iter().map(|value| u8::from(value.unwrap_or(false))));
                Ok(())
            }
            Scalar::Text | Scalar::Json => self.append_texts(array, scalar),
        }
    }

    fn append_texts(&mut self, array: &dyn Array, scalar: Scalar) -> Result<(), At> {
        for (at, text) in texts(array).ok_or_else(|| unlike(array, scalar))?.enumerate() {
            if let Some(text) = text {
                if scalar == Scalar::Json {
                    is_json(text).map_err(|message| (Some(at), message))?;
                }
                self.text.extend_from_slice(text.as_bytes());
            }
            let end = u32::try_from(self.text.len()).map_err(|_| (Some(at), "over 4 GiB of text".to_owned()))?;
            self.text_ends.push(end);
        }
        Ok(())
    }

    fn append_empty(&mut self, scalar: Scalar, rows: usize) {
        match scalar {
            Scalar::Float => self.floats.resize(self.floats.len() + rows, 0.0),
            Scalar::Integer | Scalar::Timestamp => self.integers.resize(self.integers.len() + rows, 0),
            Scalar::Boolean => self.booleans.resize(self.booleans.len() + rows, 0),
            Scalar::Text | Scalar::Json => {
                self.text_ends.resize(self.text_ends.len() + rows, self.text.len() as u32);
            }
        }
    }

    fn count(&self, scalar: Scalar) -> usize {
        match scalar {
            Scalar::Float => self.floats.len(),
            Scalar::Integer | Scalar::Timestamp => self.integers.len(),
            Scalar::Boolean => self.booleans.len(),
            Scalar::Text | Scalar::Json => self.text_ends.len(),
        }
    }

    /// Appends the items of all rows, and where each row's begin.
    fn append_lists(&mut self, array: Option<&ArrayRef>, scalar: Scalar) -> Result<(), At> {
        let mut end = self.count(scalar);
        self.list_offsets.push(end as u32);
        let Some(array) = array else {
            self.list_offsets.resize(self.list_offsets.len() + self.rows, end as u32);
            return Ok(());
        };
        let (items, ranges) = lists(array).ok_or_else(|| {
            let found = array.data_type();
            (None, format!("it is of type {found} there, where list<{}> belongs", scalar.name()))
        })?;
        // Null rows may have items that nobody should see: copy what lies between them.
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            match pieces.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => pieces.push(range.clone()),
            }
        }
        for piece in pieces {
            self.append_items(&items, piece, scalar, &ranges)?;
        }
        for range in &ranges {
            end += range.len();
            self.list_offsets.push(end as u32);
        }
        Ok(())
    }

    fn append_items(
        &mut self,
        items: &ArrayRef,
        piece: Range<usize>,
        scalar: Scalar,
        rows: &[Range<usize>],
    ) -> Result<(), At> {
        let slice = items.slice(piece.start, piece.len());
        let row = |item: usize| rows.iter().position(|row| row.contains(&(piece.start + item)));
        if let Some(nulls) = slice.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            let item = (0..nulls.len()).find(|&item| nulls.is_null(item));
            return Err((item.and_then(row), "an item of the list is null; items never are".to_owned()));
        }
        self.append(&slice, scalar).map_err(|(item, message)| (item.and_then(row), message))
    }
}

fn floats(array: &dyn Array, out: &mut Vec<f64>) -> Result<(), At> {
    match array.data_type() {
        ArrowType::Float64 if array.null_count() == 0 => {
            out.extend_from_slice(array.as_primitive::<Float64Type>().values());
            Ok(())
        }
        ArrowType::Float64 => each::<Float64Type, _>(array, out, Ok),
        ArrowType::Float32 => each::<Float32Type, _>(array, out, |value| Ok(f64::from(value))),
        _ => {
            let mut whole = Vec::new();
            integers(array, &mut whole).map_err(|fault| if fault.0.is_none() { unlike(array, Scalar::Float) } else { fault })?;
            for (at, value) in whole.into_iter().enumerate() {
                let float = value as f64;
                if float as i128 != i128::from(value) {
                    return Err((Some(at), format!("no f64 is exactly {value}")));
                }
                out.push(float);
            }
            Ok(())
        }
    }
}

fn integers(array: &dyn Array, out: &mut Vec<i64>) -> Result<(), At> {
    match array.data_type() {
        ArrowType::Int64 if array.null_count() == 0 => {
            out.extend_from_slice(array.as_primitive::<Int64Type>().values());
            Ok(())
        }
        ArrowType::Int64 => each::<Int64Type, _>(array, out, Ok),
        ArrowType::Int32 => each::<Int32Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::Int16 => each::<Int16Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::Int8 => each::<Int8Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::UInt64 => each::<UInt64Type, _>(array, out, |value| {
            i64::try_from(value).map_err(|_| format!("{value} is too large for an i64"))
        }),
        ArrowType::UInt32 => each::<UInt32Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::UInt16 => each::<UInt16Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::UInt8 => each::<UInt8Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::Float64 => each::<Float64Type, _>(array, out, whole),
        ArrowType::Float32 => each::<Float32Type, _>(array, out, |value| whole(value.into())),
        _ => Err(unlike(array, Scalar::Integer)),
    }
}

/// A float that is an i64.
pub(super) fn whole(value: f64) -> Result<i64, String> {
    // The bounds are exact doubles: -2^63 is an i64, 2^63 is the first that is none.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value) {
        Ok(value as i64)
    } else {
        Err(format!("{value} is no i64"))
    }
}

fn timestamps(array: &dyn Array, out: &mut Vec<i64>) -> Result<(), At> {
    let scaled = |value: i64, micros: i64| {
        value.checked_mul(micros).ok_or_else(|| format!("{value} is too large for a timestamp in microseconds"))
    };
    match array.data_type() {
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => each::<TimestampMicrosecondType, _>(array, out, Ok),
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => {
            each::<TimestampNanosecondType, _>(array, out, |value| Ok(value / 1000))
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            each::<TimestampMillisecondType, _>(array, out, |value| scaled(value, 1000))
        }
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            each::<TimestampSecondType, _>(array, out, |value| scaled(value, 1_000_000))
        }
        ArrowType::Date32 => each::<Date32Type, _>(array, out, |days| scaled(days.into(), 86_400_000_000)),
        ArrowType::Date64 => each::<Date64Type, _>(array, out, |value| scaled(value, 1000)),
        _ => {
            for (at, text) in texts(array).ok_or_else(|| unlike(array, Scalar::Timestamp))?.enumerate() {
                let micros = text.map_or(Ok(0), parse_timestamp).map_err(|message| (Some(at), message))?;
                out.push(micros);
            }
            Ok(())
        }
    }
}

/// Converts each value, and puts a zero for each null.
fn each<T: ArrowPrimitiveType, O: Default>(
    array: &dyn Array,
    out: &mut Vec<O>,
    convert: impl Fn(T::Native) -> Result<O, String>,
) -> Result<(), At> {
    out.reserve(array.len());
    for (at, value) in array.as_primitive::<T>().iter().enumerate() {
        out.push(value.map_or(Ok(O::default()), &convert).map_err(|message| (Some(at), message))?);
    }
    Ok(())
}

/// The texts of an array that holds such.
fn texts(array: &dyn Array) -> Option<Box<dyn Iterator<Item = Option<&str>> + '_>> {
    Some(match array.data_type() {
        ArrowType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        ArrowType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
        ArrowType::Utf8View => Box::new(array.as_string_view().iter()),
        ArrowType::Dictionary(_, values) if !matches!(**values, ArrowType::Dictionary(..)) => {
            let dictionary = array.as_any_dictionary();
            let values: Vec<_> = texts(dictionary.values().as_ref())?.collect();
            if values.is_empty() {
                return Some(Box::new((0..array.len()).map(|_| None)));
            }
            let keys = dictionary.normalized_keys();
            Box::new((0..array.len()).map(move |at| if array.is_null(at) { None } else { values[keys[at]] }))
        }
        _ => return None,
    })
}

/// The items of an array of lists, and which of them are each row's; none of a null row.
fn lists(array: &ArrayRef) -> Option<(ArrayRef, Vec<Range<usize>>)> {
    let valid = |row: usize, range: Range<usize>| if array.is_null(row) { 0..0 } else { range };
    let rows = 0..array.len();
    Some(match array.data_type() {
        ArrowType::List(_) => {
            let list = array.as_list::<i32>();
            let at = |row: usize| list.value_offsets()[row] as usize;
            (list.values().clone(), rows.map(|row| valid(row, at(row)..at(row + 1))).collect())
        }
        ArrowType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let at = |row: usize| list.value_offsets()[row] as usize;
            (list.values().clone(), rows.map(|row| valid(row, at(row)..at(row + 1))).collect())
        }
        ArrowType::FixedSizeList(_, size) => {
            let (list, size) = (array.as_fixed_size_list(), *size as usize);
            (list.values().clone(), rows.map(|row| valid(row, row * size..(row + 1) * size)).collect())
        }
        ArrowType::Null => (array.slice(0, 0), vec![0..0; array.len()]),
        _ => return None,
    })
}

pub(super) fn is_json(text: &str) -> Result<(), String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| format!("it is no JSON: {error}"))
}

fn unlike(array: &dyn Array, wanted: Scalar) -> At {
    (None, format!("it is of type {} there, where {} belongs", array.data_type(), wanted.name()))
}
