//! A file's columns as somebody wants them: some as a block, others as the arrays they are.
//!
//! Reading a file is one thread's work, making blocks of it every thread's. So a [`Table`] is asked for [`Chunk`]s, which
//! cost little, and a [`Decoder`] makes each of them into [`Rows`].

mod arrays;
mod cells;
mod lines;

use std::ops::Range;
use std::path::Path;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Field as ArrowField;

use super::read::{Arrays, Extension, Ill, opened};
use crate::block::Block;
use crate::error::{Result, listed};
use crate::schema::{DataType, Scalar, Schema};

/// Rows of a chunk, but for the last.
pub const CHUNK_ROWS: usize = 1 << 15;
/// Bytes of text of a chunk, beyond which it has fewer.
const CHUNK_BYTES: usize = 32 << 20;

/// A file that was opened, and of which the columns are known.
pub struct Table {
    pub columns: Vec<TableColumn>,
    /// How many rows the file says it has.
    pub rows: Option<u64>,
    pub name: String,
    kind: Kind,
}

pub struct TableColumn {
    pub name: String,
    /// What it is in a block: of CSV text, of NDJSON what its first rows show. None where a block has no such type.
    pub data_type: Option<DataType>,
    /// What it is in the file, if that has Arrow's types.
    pub arrow: Option<ArrowField>,
}

enum Kind {
    Arrays(Arrays),
    Cells(cells::Cells),
    Lines(lines::Lines),
}

/// What is wanted of a table.
#[derive(Clone)]
pub struct Wanted {
    /// The columns of the blocks. Each may be null and has no range.
    pub schema: Schema,
    /// Where in the table each is; none for one of nulls.
    pub places: Vec<Option<usize>>,
    /// Columns wanted as arrays.
    pub arrays: Vec<usize>,
}

/// Rows as they were read.
pub struct Chunk {
    /// How many rows came before.
    pub first: u64,
    raw: Raw,
}

enum Raw {
    Arrays(RecordBatch),
    Cells(Vec<cells::Record>),
    Lines(lines::Text),
}

/// Makes chunks into rows.
pub struct Decoder {
    name: String,
    wanted: Wanted,
    /// Of a file of arrays, where in its batches the columns are.
    batch: Vec<usize>,
}

/// Some rows.
pub struct Rows {
    pub block: Block,
    pub arrays: Vec<ArrayRef>,
    /// Rows with a value that is not of its column's type, in ascending order. The value is null in the block.
    pub ill: Vec<Ill>,
}

pub type Chunks = Box<dyn Iterator<Item = Result<Chunk>> + Send>;

impl Table {
    /// Opens a file; what it is, its name says: see [`Extension`].
    pub fn open(path: &Path) -> Result<Table> {
        let (file, name, extension) = opened(path)?;
        let (kind, columns) = match extension {
            Extension::Csv => {
                let cells = cells::Cells::open(file, &name)?;
                let columns = cells.columns();
                (Kind::Cells(cells), columns)
            }
            Extension::Ndjson => {
                let (lines, columns) = lines::Lines::open(file, &name)?;
                (Kind::Lines(lines), columns)
            }
            Extension::Parquet => of_arrays(Arrays::parquet(file, &name)?),
            Extension::Arrow | Extension::Stream => of_arrays(Arrays::ipc(file, &name)?),
        };
        let rows = match &kind {
            Kind::Arrays(arrays) => arrays.rows,
            _ => None,
        };
        Ok(Table {
            columns,
            rows,
            name,
            kind,
        })
    }

    /// Where the column of that name is; an error that lists the columns where there is none, or are two.
    pub fn position(&self, name: &str) -> Result<usize, String> {
        let mut found = (0..self.columns.len()).filter(|&at| self.columns[at].name == name);
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at),
            (Some(_), Some(_)) => Err(format!("{} has two columns \"{name}\"", self.name)),
            (None, _) => Err(format!(
                "{} has no column \"{name}\"; {}",
                self.name,
                listed("column", &self.names())
            )),
        }
    }

    pub fn names(&self) -> Vec<String> {
        let names = self.columns.iter().map(|column| column.name.clone());
        names.collect()
    }

    /// Whether its columns are those of some rows only, and others may come.
    pub fn may_have_more(&self) -> bool {
        matches!(self.kind, Kind::Lines(_))
    }

    /// Its rows. An error where a column is of another type than is wanted of it.
    pub fn read(self, wanted: Wanted) -> Result<(Decoder, Chunks)> {
        let mut decoder = Decoder {
            name: self.name,
            wanted,
            batch: Vec::new(),
        };
        let chunks: Chunks = match self.kind {
            Kind::Arrays(arrays) => arrays::chunks(arrays, &mut decoder)?,
            Kind::Cells(cells) => Box::new(cells.chunks()),
            Kind::Lines(lines) => Box::new(lines.chunks()),
        };
        Ok((decoder, chunks))
    }
}

fn of_arrays(arrays: Arrays) -> (Kind, Vec<TableColumn>) {
    let fields = arrays.schema.fields().iter();
    let columns = fields.map(|field| TableColumn {
        name: field.name().clone(),
        data_type: arrays::data_type(field.data_type()),
        arrow: Some(field.as_ref().clone()),
    });
    let columns = columns.collect();
    (Kind::Arrays(arrays), columns)
}

impl Decoder {
    /// Some rows of a chunk, as they are counted there.
    pub fn decode(&self, chunk: &Chunk, rows: Range<usize>) -> Result<Rows> {
        match &chunk.raw {
            Raw::Arrays(batch) => {
                let first = chunk.first + rows.start as u64;
                arrays::decode(self, &batch.slice(rows.start, rows.len()), first)
            }
            Raw::Cells(records) => Ok(cells::decode(self, &records[rows])),
            Raw::Lines(text) => Ok(lines::decode(self, text, rows)),
        }
    }
}

impl Chunk {
    pub fn rows(&self) -> usize {
        match &self.raw {
            Raw::Arrays(batch) => batch.num_rows(),
            Raw::Cells(records) => records.len(),
            Raw::Lines(text) => text.rows(),
        }
    }
}

const TEXT: DataType = DataType::One(Scalar::Text);
