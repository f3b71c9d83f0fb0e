//! Reading on after a row that does not fit, for those who answer each row for itself.

use std::path::Path;

use super::arrays::Arrays;
use super::{Extension, columns, csv, ndjson, opened};
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::schema::Schema;

/// A row that does not fit, and comes as nulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ill {
    /// Within its block.
    pub row: usize,
    /// What is wrong, with the file, the line or row, and the column.
    pub message: String,
}

/// Blocks, and the rows of each that do not fit.
pub(super) type Blocks = Box<dyn Iterator<Item = Result<(Block, Vec<Ill>)>> + Send>;

/// The rows of a file, in blocks of at most [`BATCH_ROWS`](super::BATCH_ROWS). After an error there are no more.
pub struct Forgiving {
    /// The schema of the blocks: the fields that were asked for, each of which may be null, and none of which has a range.
    pub schema: Schema,
    /// The names of the file's columns, in their order; of NDJSON, those of the first row.
    pub columns: Vec<String>,
    /// How many rows the file says it has.
    pub rows_hint: Option<u64>,
    blocks: Blocks,
    failed: bool,
}

/// Opens a file as [`open`](super::open) does. A value that cannot be read as its field's type makes its row ill; a column
/// that is missing and may not be null, or that is of another type in all rows, is still an error.
pub fn forgiving(path: &Path, schema: &Schema) -> Result<Forgiving> {
    let nullable = schema.opened();
    let (file, name, extension) = opened(path)?;
    let (there, rows_hint, blocks) = match extension {
        Extension::Parquet => {
            columns::forgiving(Arrays::parquet(file, &name)?, name, schema, &nullable)?
        }
        Extension::Arrow | Extension::Stream => {
            columns::forgiving(Arrays::ipc(file, &name)?, name, schema, &nullable)?
        }
        Extension::Csv => {
            let (there, blocks) = csv::forgiving(file, name, schema, &nullable)?;
            (there, None, blocks)
        }
        Extension::Ndjson => {
            let (there, blocks) = ndjson::forgiving(file, name, &nullable)?;
            (there, None, blocks)
        }
    };
    Ok(Forgiving {
        schema: nullable,
        columns: there,
        rows_hint,
        blocks,
        failed: false,
    })
}

impl Iterator for Forgiving {
    type Item = Result<(Block, Vec<Ill>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let block = self.blocks.next()?;
        self.failed = block.is_err();
        Some(block)
    }
}

/// Puts nulls in place of the current row.
pub(super) fn note(error: Error, rows: &mut RowsBuilder, ill: &mut Vec<Ill>) {
    rows.drop_row();
    ill.push(Ill {
        row: rows.rows(),
        message: error.to_string(),
    });
    rows.begin_row();
}
