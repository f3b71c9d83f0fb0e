//! NDJSON: one JSON object a line. Empty lines are passed over.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::{BATCH_ROWS, Reader};
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::request::decode_row;
use crate::schema::Schema;

pub(super) fn open(file: File, name: String, schema: &Schema) -> Reader {
    let reader = BufReader::with_capacity(1 << 18, file);
    let mut rows = Rows {
        reader,
        name,
        schema: schema.clone(),
        line: Vec::new(),
        number: 0,
    };
    Reader::new(std::iter::from_fn(move || rows.block().transpose()), None)
}

struct Rows {
    reader: BufReader<File>,
    name: String,
    schema: Schema,
    line: Vec<u8>,
    number: usize,
}

impl Rows {
    fn block(&mut self) -> Result<Option<Block>> {
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
                decode_row(&self.schema, line, self.number, &mut rows)
                    .map_err(|error| self.in_file(error))?;
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
