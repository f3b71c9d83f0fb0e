//! Rows of NDJSON files: one JSON object a line. Empty lines are passed over.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::ops::Range;

use indexmap::IndexMap;
use serde_json::Value;

use super::{CHUNK_BYTES, CHUNK_ROWS, Chunk, Decoder, Raw, Rows, TableColumn};
use crate::block::RowsBuilder;
use crate::error::{Error, Result};
use crate::offline::read::Ill;
use crate::request::decode_row;
use crate::schema::{DataType, Scalar, Schema};

/// Rows that are looked at for the columns there are.
const SEEN_ROWS: usize = 1_000;

pub struct Lines {
    reader: BufReader<File>,
    name: String,
    number: usize,
}

/// Some lines.
pub struct Text {
    bytes: Vec<u8>,
    /// Where each row ends, and the number of its line.
    rows: Vec<(usize, usize)>,
}

impl Text {
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
}

impl Lines {
    /// The columns are those of the first rows, of the types that all of these have there.
    pub fn open(file: File, name: &str) -> Result<(Lines, Vec<TableColumn>)> {
        let mut lines = Lines {
            reader: BufReader::with_capacity(1 << 18, file),
            name: name.to_owned(),
            number: 0,
        };
        let mut columns: IndexMap<String, Option<DataType>> = IndexMap::new();
        let seen = lines.text(SEEN_ROWS)?;
        let mut start = 0;
        for &(end, _) in &seen.rows {
            let object = serde_json::from_slice(&seen.bytes[start..end]);
            start = end;
            // What is no object is ill when its turn comes.
            let object: serde_json::Map<String, Value> = object.unwrap_or_default();
            for (column, value) in object {
                let known = columns.entry(column).or_default();
                *known = united(*known, &value);
            }
        }
        if columns.is_empty() {
            return Err(Error::invalid(
                name,
                "it has no rows, so nothing says which columns there are",
            ));
        }
        let rewound = lines.reader.rewind();
        rewound.map_err(|error| Error::invalid(name, error.to_string()))?;
        lines.number = 0;
        let columns = columns.into_iter().map(|(name, data_type)| TableColumn {
            name,
            data_type: Some(data_type.unwrap_or(DataType::One(Scalar::Json))),
            arrow: None,
        });
        Ok((lines, columns.collect()))
    }

    pub fn chunks(mut self) -> impl Iterator<Item = Result<Chunk>> + Send {
        let (mut first, mut failed) = (0, false);
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let text = match self.text(CHUNK_ROWS) {
                Ok(text) => text,
                Err(error) => {
                    failed = true;
                    return Some(Err(error));
                }
            };
            let chunk = Chunk {
                first,
                raw: Raw::Lines(text),
            };
            first += chunk.rows() as u64;
            (chunk.rows() > 0).then_some(Ok(chunk))
        })
    }

    fn text(&mut self, most: usize) -> Result<Text> {
        let (mut bytes, mut rows) = (Vec::new(), Vec::new());
        while rows.len() < most && bytes.len() < CHUNK_BYTES {
            self.number += 1;
            let start = bytes.len();
            let read = self.reader.read_until(b'\n', &mut bytes).map_err(|error| {
                Error::invalid(
                    format!("{}, line {}", self.name, self.number),
                    error.to_string(),
                )
            })?;
            if read == 0 {
                break;
            }
            match bytes[start..].trim_ascii().is_empty() {
                true => bytes.truncate(start),
                false => rows.push((bytes.len(), self.number)),
            }
        }
        Ok(Text { bytes, rows })
    }
}

/// The type of all values so far and this one; none while all were null. Of different kinds, they are JSON.
fn united(known: Option<DataType>, value: &Value) -> Option<DataType> {
    let found = match value {
        Value::Null => return known,
        Value::Bool(_) => Scalar::Boolean,
        Value::Number(number) if number.is_i64() => Scalar::Integer,
        Value::Number(_) => Scalar::Float,
        Value::String(_) => Scalar::Text,
        Value::Array(_) | Value::Object(_) => Scalar::Json,
    };
    let numbers = [Scalar::Integer, Scalar::Float];
    let scalar = match known.map(DataType::scalar) {
        None => found,
        Some(known) if known == found => found,
        Some(known) if numbers.contains(&known) && numbers.contains(&found) => Scalar::Float,
        Some(_) => Scalar::Json,
    };
    Some(DataType::One(scalar))
}

pub fn decode(decoder: &Decoder, text: &Text, range: Range<usize>) -> Rows {
    let schema = &decoder.wanted.schema;
    let mut rows = RowsBuilder::new(schema);
    let mut ill = Vec::new();
    let mut start = range
        .start
        .checked_sub(1)
        .map_or(0, |last| text.rows[last].0);
    for (row, &(end, number)) in text.rows[range].iter().enumerate() {
        let line = text.bytes[start..end].trim_ascii();
        start = end;
        if let Err(error) = decode_row(schema, line, number, &mut rows) {
            if rows.rows() > row {
                rows.drop_row();
            }
            rows.begin_row();
            keep(decoder, line, number, &mut rows);
            let message = format!("{}, {error}", decoder.name);
            ill.push(Ill { row, message });
        }
    }
    Rows {
        block: rows.finish(),
        arrays: Vec::new(),
        ill,
    }
}

/// Of a row that cannot be read whole, the columns that can: each may be wanted for itself.
fn keep(decoder: &Decoder, line: &[u8], number: usize, rows: &mut RowsBuilder) {
    let schema = &decoder.wanted.schema;
    for (field, &slot) in schema.fields().iter().zip(schema.slots()) {
        let alone = Schema::new(vec![field.clone()]);
        let mut one = RowsBuilder::new(&alone);
        if decode_row(&alone, line, number, &mut one).is_ok() {
            rows.copy(slot, &one.finish(), alone.slot(0), 0);
        }
    }
}
