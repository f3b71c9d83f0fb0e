//! CSV: a line of names, then one line a row. An empty cell is null.

use std::fs::File;

use csv::{ReaderBuilder, StringRecord};

use super::{BATCH_ROWS, Reader, match_columns};
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::offline::cell;
use crate::schema::Schema;

pub(super) fn open(file: File, name: String, schema: &Schema) -> Result<Reader> {
    let mut reader = ReaderBuilder::new().from_reader(file);
    let header = reader.headers().map_err(|error| broken(&name, &error))?;
    let header: Vec<String> = header.iter().map(str::to_owned).collect();
    let places = match_columns(&name, &header, schema)?;
    let mut rows = Rows {
        reader,
        name,
        schema: schema.clone(),
        places,
        record: StringRecord::new(),
    };
    Ok(Reader::new(
        std::iter::from_fn(move || rows.block().transpose()),
        None,
    ))
}

struct Rows {
    reader: csv::Reader<File>,
    name: String,
    schema: Schema,
    places: Vec<Option<usize>>,
    record: StringRecord,
}

impl Rows {
    fn block(&mut self) -> Result<Option<Block>> {
        let mut rows = RowsBuilder::new(&self.schema);
        while rows.rows() < BATCH_ROWS {
            if !self
                .reader
                .read_record(&mut self.record)
                .map_err(|error| broken(&self.name, &error))?
            {
                break;
            }
            rows.begin_row();
            for (at, place) in self.places.iter().enumerate() {
                let (field, slot) = (self.schema.field(at), self.schema.slot(at));
                let text = place
                    .and_then(|place| self.record.get(place))
                    .unwrap_or_default();
                cell::set(field, slot, text, &mut rows).map_err(|message| {
                    let line = self.record.position().map_or(0, csv::Position::line);
                    Error::invalid(
                        format!("{}, line {line}, column \"{}\"", self.name, field.name),
                        message,
                    )
                })?;
            }
        }
        Ok((rows.rows() > 0).then(|| rows.finish()))
    }
}

fn broken(name: &str, error: &csv::Error) -> Error {
    let path = match error.position() {
        Some(position) => format!("{name}, line {}", position.line()),
        None => name.to_owned(),
    };
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("it has {len} cells, where the first line has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("cell {} is no UTF-8", err.field() + 1),
        _ => error.to_string(),
    };
    Error::invalid(path, message)
}
