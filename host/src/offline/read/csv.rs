//! CSV: a line of names, then one line a row. An empty cell is null.

use std::fs::File;

use csv::{ReaderBuilder, StringRecord};

use super::forgiving::{Blocks, Ill, note};
use super::{BATCH_ROWS, Reader, match_columns};
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::offline::cell;
use crate::schema::Schema;

pub(super) fn open(file: File, name: String, schema: &Schema) -> Result<Reader> {
    let mut rows = Rows::open(file, name, schema, schema)?;
    Ok(Reader::new(
        std::iter::from_fn(move || rows.block(None).transpose()),
        None,
    ))
}

/// The rows of `nullable`, which has the fields of `schema`; those that do not fit as nulls.
pub(super) fn forgiving(
    file: File,
    name: String,
    schema: &Schema,
    nullable: &Schema,
) -> Result<(Vec<String>, Blocks)> {
    let mut rows = Rows::open(file, name, schema, nullable)?;
    let columns = std::mem::take(&mut rows.header);
    let blocks = std::iter::from_fn(move || {
        let mut ill = Vec::new();
        let block = rows.block(Some(&mut ill)).transpose()?;
        Some(block.map(|block| (block, ill)))
    });
    Ok((columns, Box::new(blocks)))
}

struct Rows {
    reader: csv::Reader<File>,
    name: String,
    header: Vec<String>,
    schema: Schema,
    places: Vec<Option<usize>>,
    record: StringRecord,
}

impl Rows {
    /// `schema` says what the file must have, `kept` what its rows become.
    fn open(file: File, name: String, schema: &Schema, kept: &Schema) -> Result<Rows> {
        let mut reader = ReaderBuilder::new().from_reader(file);
        let header = reader.headers().map_err(|error| broken(&name, &error))?;
        let header: Vec<String> = header.iter().map(str::to_owned).collect();
        let places = match_columns(&name, &header, schema)?;
        Ok(Rows {
            reader,
            name,
            header,
            schema: kept.clone(),
            places,
            record: StringRecord::new(),
        })
    }

    /// The next rows. One that does not fit is an error, or null and noted among the `ill`.
    fn block(&mut self, mut ill: Option<&mut Vec<Ill>>) -> Result<Option<Block>> {
        let mut rows = RowsBuilder::new(&self.schema);
        while rows.rows() < BATCH_ROWS {
            let read = self.reader.read_record(&mut self.record);
            if matches!(read, Ok(false)) {
                break;
            }
            rows.begin_row();
            let outcome = match read {
                Ok(_) => self.fill(&mut rows),
                // The next line can still be read.
                Err(error) if is_of_a_line(&error) => Err(broken(&self.name, &error)),
                Err(error) => return Err(broken(&self.name, &error)),
            };
            match (outcome, &mut ill) {
                (Ok(()), _) => {}
                (Err(error), None) => return Err(error),
                (Err(error), Some(ill)) => note(error, &mut rows, ill),
            }
        }
        Ok((rows.rows() > 0).then(|| rows.finish()))
    }

    /// Sets the current row as the record has it.
    fn fill(&self, rows: &mut RowsBuilder) -> Result<()> {
        for (at, place) in self.places.iter().enumerate() {
            let (field, slot) = (self.schema.field(at), self.schema.slot(at));
            let text = place
                .and_then(|place| self.record.get(place))
                .unwrap_or_default();
            cell::set(field, slot, text, rows).map_err(|message| {
                let line = self.record.position().map_or(0, csv::Position::line);
                Error::invalid(
                    format!("{}, line {line}, column \"{}\"", self.name, field.name),
                    message,
                )
            })?;
        }
        Ok(())
    }
}

pub fn is_of_a_line(error: &csv::Error) -> bool {
    matches!(
        error.kind(),
        csv::ErrorKind::UnequalLengths { .. } | csv::ErrorKind::Utf8 { .. }
    )
}

pub fn broken(name: &str, error: &csv::Error) -> Error {
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
