//! Rows of a schema out of files: Parquet, Arrow IPC, CSV with a header, NDJSON.
//!
//! Columns are matched by name; columns the schema does not name are passed over; a column the file does not have is
//! null, or an error where it may not be. Types are converted exactly (see [`convert`](super::convert) and
//! [`cell`](super::cell)) or refused, with the file, the line or row (from 1), and the column.

mod arrays;
mod columns;
mod csv;
mod forgiving;
mod ndjson;

use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use crate::block::Block;
use crate::error::{Error, Result, listed};
use crate::schema::Schema;

pub(super) use self::arrays::{Arrays, Batches};
pub(super) use self::csv::{broken as broken_line, is_of_a_line};
pub use self::forgiving::{Forgiving, Ill, forgiving};

/// How many rows a block of a file has, but for its last.
pub const BATCH_ROWS: usize = 8192;

/// The rows of a file, in blocks of at most [`BATCH_ROWS`]. After an error there are no more.
pub struct Reader {
    blocks: Box<dyn Iterator<Item = Result<Block>> + Send>,
    rows_hint: Option<u64>,
    failed: bool,
}

/// Opens a file; what it is, its name says: see [`Extension`].
pub fn open(path: &Path, schema: &Schema) -> Result<Reader> {
    let (file, name, extension) = opened(path)?;
    match extension {
        Extension::Parquet => columns::open(Arrays::parquet(file, &name)?, name, schema),
        Extension::Arrow | Extension::Stream => {
            columns::open(Arrays::ipc(file, &name)?, name, schema)
        }
        Extension::Csv => csv::open(file, name, schema),
        Extension::Ndjson => Ok(ndjson::open(file, name, schema)),
    }
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    Parquet,
    /// An Arrow IPC file, which is Feather of version 2.
    Arrow,
    /// An Arrow IPC stream.
    Stream,
    Csv,
    Ndjson,
}

impl Extension {
    pub fn of(path: &Path) -> Option<Extension> {
        let extension = path.extension()?.to_str()?;
        match extension.to_ascii_lowercase().as_str() {
            "parquet" => Some(Extension::Parquet),
            "arrow" | "feather" | "ipc" => Some(Extension::Arrow),
            "arrows" => Some(Extension::Stream),
            "csv" => Some(Extension::Csv),
            "ndjson" | "jsonl" => Some(Extension::Ndjson),
            _ => None,
        }
    }
}

/// The file, its name for messages, and what it is.
pub(super) fn opened(path: &Path) -> Result<(File, String, Extension)> {
    let extension = Extension::of(path).ok_or_else(|| {
        Error::invalid(
            shown(path),
            "rows are read from files named .parquet, .arrow, .feather, .ipc or .arrows, .csv, .ndjson or .jsonl",
        )
    })?;
    let file = File::open(path)
        .map_err(|error| Error::invalid(shown(path), format!("cannot be opened: {error}")))?;
    Ok((file, shown(path), extension))
}

/// The rows of a Parquet file that is in memory. `name` stands for it in messages.
pub fn open_parquet(bytes: Bytes, name: &str, schema: &Schema) -> Result<Reader> {
    columns::open(Arrays::parquet(bytes, name)?, name.to_owned(), schema)
}

impl Reader {
    fn new(
        blocks: impl Iterator<Item = Result<Block>> + Send + 'static,
        rows_hint: Option<u64>,
    ) -> Reader {
        Reader {
            blocks: Box::new(blocks),
            rows_hint,
            failed: false,
        }
    }

    /// How many rows the file says it has.
    pub fn rows_hint(&self) -> Option<u64> {
        self.rows_hint
    }
}

impl Iterator for Reader {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Result<Block>> {
        if self.failed {
            return None;
        }
        let block = self.blocks.next()?;
        self.failed = block.is_err();
        Some(block)
    }
}

/// Where each field of the schema stands among the file's columns.
fn match_columns(file: &str, there: &[String], schema: &Schema) -> Result<Vec<Option<usize>>> {
    let mut places = Vec::with_capacity(schema.len());
    for field in schema.fields() {
        let mut found = there
            .iter()
            .enumerate()
            .filter(|(_, name)| **name == field.name)
            .map(|(at, _)| at);
        let place = found.next();
        if found.next().is_some() {
            return Err(Error::invalid(
                file,
                format!("it has two columns \"{}\"", field.name),
            ));
        }
        if place.is_none() && !field.nullable && field.default.is_none() {
            let there = listed("column", there);
            let name = &field.name;
            return Err(Error::invalid(
                file,
                format!("it has no column \"{name}\", which may not be null; {there}"),
            ));
        }
        places.push(place);
    }
    if !schema.is_empty() && places.iter().all(Option::is_none) {
        // All would be null: this is some other file.
        let (wanted, there) = (schema.names().join(", "), listed("column", there));
        return Err(Error::invalid(
            file,
            format!("it has none of the columns {wanted}; {there}"),
        ));
    }
    Ok(places)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
