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

mod values;

use std::fmt;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType as ArrowType;

use self::values::{floats, integers, texts, timestamps, unlike, whole_texts};
pub(super) use self::values::{is_json, whole};
use crate::block::{Block, Parts};
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
pub fn from_arrays(
    schema: &Schema,
    arrays: &[Option<ArrayRef>],
    rows: usize,
) -> Result<Block, Fault> {
    debug_assert_eq!(arrays.len(), schema.len());
    let mut parts = Parts {
        rows,
        ..Parts::default()
    };
    let columns = || schema.fields().iter().zip(schema.slots()).zip(arrays);
    for ((field, slot), array) in columns() {
        let fault = |(row, message)| Fault {
            column: field.name.clone(),
            row,
            message,
        };
        if let Some(array) = array.as_ref().filter(|array| array.len() != rows) {
            return Err(fault((
                None,
                format!("it has {} rows, where others have {rows}", array.len()),
            )));
        }
        let nulls = match array {
            Some(array) => array.logical_nulls(),
            None => Some(NullBuffer::new_null(rows)),
        };
        check_nulls(field, nulls.as_ref()).map_err(fault)?;
        if !slot.many {
            match array {
                Some(array) => parts
                    .append(array, field.data_type.scalar())
                    .map_err(fault)?,
                None => parts.append_empty(field.data_type.scalar(), rows),
            }
        }
        if slot.validity.is_some() {
            parts.append_validity(nulls.as_ref(), rows);
        }
    }
    // The items of lists lie behind all single values.
    for ((field, _), array) in columns().filter(|((_, slot), _)| slot.many) {
        let fault = |(row, message)| Fault {
            column: field.name.clone(),
            row,
            message,
        };
        parts
            .append_lists(array.as_ref(), field.data_type.scalar())
            .map_err(fault)?;
    }
    let wrong = |message| Fault {
        column: String::new(),
        row: None,
        message,
    };
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
    fn append_validity(&mut self, nulls: Option<&NullBuffer>, rows: usize) {
        let bytes = rows.div_ceil(8);
        match nulls {
            None => self.validity.resize(self.validity.len() + bytes, 0xff),
            // From bit 0 on, wherever the array begins in its buffer.
            Some(nulls) => self
                .validity
                .extend_from_slice(&nulls.inner().sliced().as_slice()[..bytes]),
        }
        // Bits beyond the last row are zero.
        if let (Some(last), true) = (self.validity.last_mut(), !rows.is_multiple_of(8)) {
            *last &= (1 << (rows % 8)) - 1;
        }
    }

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
                let values = array
                    .as_boolean_opt()
                    .ok_or_else(|| unlike(array, scalar))?;
                self.booleans
                    .extend(values.iter().map(|value| u8::from(value.unwrap_or(false))));
                Ok(())
            }
            Scalar::Text | Scalar::Json => self.append_texts(array, scalar),
        }
    }

    fn append_texts(&mut self, array: &dyn Array, scalar: Scalar) -> Result<(), At> {
        if scalar == Scalar::Text
            && let Some((bytes, ends)) = whole_texts(array)
            && u32::try_from(self.text.len() + bytes.len()).is_ok()
        {
            let start = self.text.len() as u32;
            self.text.extend_from_slice(bytes);
            self.text_ends
                .extend(ends.into_iter().map(|end| start + end as u32));
            return Ok(());
        }
        for (at, text) in texts(array)
            .ok_or_else(|| unlike(array, scalar))?
            .enumerate()
        {
            if let Some(text) = text {
                if scalar == Scalar::Json {
                    is_json(text).map_err(|message| (Some(at), message))?;
                }
                self.text.extend_from_slice(text.as_bytes());
            }
            let end = u32::try_from(self.text.len())
                .map_err(|_| (Some(at), "over 4 GiB of text".to_owned()))?;
            self.text_ends.push(end);
        }
        Ok(())
    }

    fn append_empty(&mut self, scalar: Scalar, rows: usize) {
        match scalar {
            Scalar::Float => self.floats.resize(self.floats.len() + rows, 0.0),
            Scalar::Integer | Scalar::Timestamp => {
                self.integers.resize(self.integers.len() + rows, 0)
            }
            Scalar::Boolean => self.booleans.resize(self.booleans.len() + rows, 0),
            Scalar::Text | Scalar::Json => {
                self.text_ends
                    .resize(self.text_ends.len() + rows, self.text.len() as u32);
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
            self.list_offsets
                .resize(self.list_offsets.len() + self.rows, end as u32);
            return Ok(());
        };
        let (items, ranges) = lists(array).ok_or_else(|| {
            let found = array.data_type();
            (
                None,
                format!(
                    "it is of type {found} there, where list<{}> belongs",
                    scalar.name()
                ),
            )
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
        let row = |item: usize| {
            rows.iter()
                .position(|row| row.contains(&(piece.start + item)))
        };
        if let Some(nulls) = slice.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            let item = (0..nulls.len()).find(|&item| nulls.is_null(item));
            return Err((
                item.and_then(row),
                "an item of the list is null; items never are".to_owned(),
            ));
        }
        self.append(&slice, scalar)
            .map_err(|(item, message)| (item.and_then(row), message))
    }
}

/// The items of an array of lists, and which of them are each row's; none of a null row.
fn lists(array: &ArrayRef) -> Option<(ArrayRef, Vec<Range<usize>>)> {
    let valid = |row: usize, range: Range<usize>| if array.is_null(row) { 0..0 } else { range };
    let rows = 0..array.len();
    Some(match array.data_type() {
        ArrowType::List(_) => {
            let list = array.as_list::<i32>();
            let at = |row: usize| list.value_offsets()[row] as usize;
            (
                list.values().clone(),
                rows.map(|row| valid(row, at(row)..at(row + 1))).collect(),
            )
        }
        ArrowType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let at = |row: usize| list.value_offsets()[row] as usize;
            (
                list.values().clone(),
                rows.map(|row| valid(row, at(row)..at(row + 1))).collect(),
            )
        }
        ArrowType::FixedSizeList(_, size) => {
            let (list, size) = (array.as_fixed_size_list(), *size as usize);
            (
                list.values().clone(),
                rows.map(|row| valid(row, row * size..(row + 1) * size))
                    .collect(),
            )
        }
        ArrowType::Null => (array.slice(0, 0), vec![0..0; array.len()]),
        _ => return None,
    })
}
