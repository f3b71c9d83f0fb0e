//! Rows of CSV files. An empty cell is null.

use std::fs::File;

use csv::{ByteRecord, ReaderBuilder};

use super::{CHUNK_BYTES, CHUNK_ROWS, Chunk, Decoder, Raw, Rows, TEXT, TableColumn};
use crate::block::RowsBuilder;
use crate::error::{Error, Result};
use crate::offline::cell;
use crate::offline::read::{Ill, broken_line, is_of_a_line};

pub struct Cells {
    reader: csv::Reader<File>,
    header: Vec<String>,
    name: String,
}

/// A line, or why it is none.
pub type Record = Result<ByteRecord, String>;

impl Cells {
    pub fn open(file: File, name: &str) -> Result<Cells> {
        let mut reader = ReaderBuilder::new()
            .buffer_capacity(1 << 18)
            .from_reader(file);
        let header = reader
            .headers()
            .map_err(|error| broken_line(name, &error))?;
        let header: Vec<String> = header.iter().map(str::to_owned).collect();
        if header.is_empty() {
            return Err(Error::invalid(
                name,
                "it has no first line with the names of its columns",
            ));
        }
        Ok(Cells {
            reader,
            header,
            name: name.to_owned(),
        })
    }

    pub fn columns(&self) -> Vec<TableColumn> {
        let columns = self.header.iter().map(|name| TableColumn {
            name: name.clone(),
            data_type: Some(TEXT),
            arrow: None,
        });
        columns.collect()
    }

    pub fn chunks(mut self) -> impl Iterator<Item = Result<Chunk>> + Send {
        let (mut first, mut over) = (0, false);
        std::iter::from_fn(move || {
            if over {
                return None;
            }
            let (mut records, mut bytes) = (Vec::new(), 0);
            while records.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
                let mut record = ByteRecord::new();
                match self.reader.read_byte_record(&mut record) {
                    Ok(false) => {
                        over = true;
                        break;
                    }
                    Ok(true) => {
                        bytes += record.as_slice().len();
                        records.push(Ok(record));
                    }
                    // The next line can still be read.
                    Err(error) if is_of_a_line(&error) => {
                        records.push(Err(broken_line(&self.name, &error).to_string()));
                    }
                    Err(error) => {
                        over = true;
                        return Some(Err(broken_line(&self.name, &error)));
                    }
                }
            }
            let chunk = Chunk {
                first,
                raw: Raw::Cells(records),
            };
            first += chunk.rows() as u64;
            (chunk.rows() > 0).then_some(Ok(chunk))
        })
    }
}

pub fn decode(decoder: &Decoder, records: &[Record]) -> Rows {
    let schema = &decoder.wanted.schema;
    let mut rows = RowsBuilder::new(schema);
    let mut ill = Vec::new();
    for (row, record) in records.iter().enumerate() {
        rows.begin_row();
        let record = match record {
            Ok(record) => record,
            Err(message) => {
                let message = message.clone();
                ill.push(Ill { row, message });
                continue;
            }
        };
        let mut first = None;
        for (at, place) in decoder.wanted.places.iter().enumerate() {
            let (field, slot) = (schema.field(at), schema.slot(at));
            let Some(cell) = place.and_then(|place| record.get(place)) else {
                continue;
            };
            let set = match str::from_utf8(cell) {
                Ok(text) => cell::set(field, slot, text, &mut rows),
                Err(_) => Err("it is no UTF-8".to_owned()),
            };
            if let Err(message) = set {
                first.get_or_insert((at, message));
            }
        }
        if let Some((at, message)) = first {
            let line = record.position().map_or(0, csv::Position::line);
            let column = &schema.field(at).name;
            let message = format!(
                "{}, line {line}, column \"{column}\": {message}",
                decoder.name
            );
            ill.push(Ill { row, message });
        }
    }
    Rows {
        block: rows.finish(),
        arrays: Vec::new(),
        ill,
    }
}
