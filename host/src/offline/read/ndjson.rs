//! NDJSON: one JSON object a line. Empty lines are passed over.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::forgiving::{Blocks, Ill, note};
use super::{BATCH_ROWS, Reader};
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::request::decode_row;
use crate::schema::Schema;

pub(super) fn open(file: File, name: String, schema: &Schema) -> Reader {
    let mut rows = Rows::open(file, name, schema);
    Reader::new(
        std::iter::from_fn(move || rows.block(None).transpose()),
        None,
    )
}

/// The rows, those that do not fit as nulls. The columns are those of the first row.
pub(super) fn forgiving(
    file: File,
    name: String,
    nullable: &Schema,
) -> Result<(Vec<String>, Blocks)> {
    let mut rows = Rows::open(file, name, nullable);
    let columns = rows.first_names()?;
    let blocks = std::iter::from_fn(move || {
        let mut ill = Vec::new();
        let block = rows.block(Some(&mut ill)).transpose()?;
        Some(block.map(|block| (block, ill)))
    });
    Ok((columns, Box::new(blocks)))
}

struct Rows {
    reader: BufReader<File>,
    name: String,
    schema: Schema,
    line: Vec<u8>,
    number: usize,
}

impl Rows {
    fn open(file: File, name: String, schema: &Schema) -> Rows {
        Rows {
            reader: BufReader::with_capacity(1 << 18, file),
            name,
            schema: schema.clone(),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The names in the first line, as far as it can be seen without reading on; none where it is no object.
    fn first_names(&mut self) -> Result<Vec<String>> {
        let seen = self
            .reader
            .fill_buf()
            .map_err(|error| Error::invalid(&self.name, error.to_string()))?;
        let first = seen
            .split(|&byte| byte == b'\n')
            .find(|line| !line.trim_ascii().is_empty());
        let object: Option<serde_json::Map<String, serde_json::Value>> =
            first.and_then(|line| serde_json::from_slice(line).ok());
        Ok(object.map_or_else(Vec::new, |object| object.keys().cloned().collect()))
    }

    /// The next rows. One that does not fit is an error, or null and noted among the `ill`.
    fn block(&mut self, mut ill: Option<&mut Vec<Ill>>) -> Result<Option<Block>> {
        let mut rows = RowsBuilder::new(&self.schema);
        while rows.rows() < BATCH_ROWS {
            self.line.clear();
            self.number += 1;
            let length = self
                .reader
                .read_until(b'\n', &mut self.line)
                .map_err(|error| {
                    Error::invalid(
                        format!("{}, line {}", self.name, self.number),
                        error.to_string(),
                    )
                })?;
            if length == 0 {
                break;
            }
            let line = self.line.trim_ascii();
            if !line.is_empty() {
                let before = rows.rows();
                let outcome = decode_row(&self.schema, line, self.number, &mut rows)
                    .map_err(|error| self.in_file(error));
                match (outcome, &mut ill) {
                    (Ok(()), _) => {}
                    (Err(error), None) => return Err(error),
                    (Err(error), Some(ill)) => {
                        if rows.rows() == before {
                            rows.begin_row();
                        }
                        note(error, &mut rows, ill);
                    }
                }
            }
        }
        Ok((rows.rows() > 0).then(|| rows.finish()))
    }

    fn in_file(&self, error: Error) -> Error {
        match error {
            Error::Invalid { path, message } => Error::Invalid {
                path: format!("{}, {path}", self.name),
                message,
            },
            other => other,
        }
    }
}
