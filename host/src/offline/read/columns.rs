//! Rows of files that hold Arrow arrays: Parquet and Arrow IPC.

use arrow_array::RecordBatch;

use super::arrays::{Arrays, Batches};
use super::forgiving::{Blocks, Ill};
use super::{BATCH_ROWS, Reader, match_columns};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::offline::{Fault, from_arrays};
use crate::schema::Schema;

pub(super) fn open(file: Arrays, name: String, schema: &Schema) -> Result<Reader> {
    let (mut rows, count, _) = Rows::open(file, name, schema, schema)?;
    Ok(Reader::new(std::iter::from_fn(move || rows.block()), count))
}

/// The rows of `nullable`, which has the fields of `schema`; those that do not fit as nulls.
pub(super) fn forgiving(
    file: Arrays,
    name: String,
    schema: &Schema,
    nullable: &Schema,
) -> Result<(Vec<String>, Option<u64>, Blocks)> {
    let (mut rows, count, columns) = Rows::open(file, name, schema, nullable)?;
    let blocks = std::iter::from_fn(move || rows.forgiven());
    Ok((columns, count, Box::new(blocks)))
}

struct Rows {
    reader: Batches,
    name: String,
    schema: Schema,
    /// How many rows came before this batch.
    first: usize,
}

impl Rows {
    /// `schema` says what the file must have, `kept` what its rows become. Also how many rows there are, and the names of
    /// the columns.
    fn open(
        file: Arrays,
        name: String,
        schema: &Schema,
        kept: &Schema,
    ) -> Result<(Rows, Option<u64>, Vec<String>)> {
        let there = file.names();
        let mut places: Vec<usize> = match_columns(&name, &there, schema)?
            .into_iter()
            .flatten()
            .collect();
        places.sort_unstable();
        let count = file.rows;
        let rows = Rows {
            reader: file.batches(&places, BATCH_ROWS)?,
            name,
            schema: kept.clone(),
            first: 0,
        };
        Ok((rows, count, there))
    }

    fn batch(&mut self) -> Option<Result<RecordBatch>> {
        let batch = self.reader.next()?;
        Some(
            batch
                .map_err(|error| Error::invalid(&self.name, format!("it cannot be read: {error}"))),
        )
    }

    fn block(&mut self) -> Option<Result<Block>> {
        let batch = match self.batch()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let block = self.convert(&batch).map_err(|fault| self.wrong(fault));
        self.first += batch.num_rows();
        Some(block)
    }

    fn forgiven(&mut self) -> Option<Result<(Block, Vec<Ill>)>> {
        let batch = match self.batch()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        if let Ok(block) = self.convert(&batch) {
            self.first += batch.num_rows();
            return Some(Ok((block, Vec::new())));
        }
        // Some row does not fit: each for itself.
        let (mut parts, mut ill) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            match self.convert(&batch.slice(row, 1)) {
                Ok(block) => parts.push(block),
                // A column of another type fits in no row.
                Err(fault) if fault.row.is_none() => return Some(Err(self.wrong(fault))),
                Err(fault) => {
                    let message = self.wrong(fault).to_string();
                    ill.push(Ill { row, message });
                    parts.push(Block::nulls(&self.schema, 1));
                }
            }
            self.first += 1;
        }
        Some(Ok((Block::concat(&self.schema, &parts), ill)))
    }

    fn wrong(&self, fault: Fault) -> Error {
        let row = fault
            .row
            .map(|row| format!(", row {}", self.first + row + 1))
            .unwrap_or_default();
        let path = format!("{}{row}, column \"{}\"", self.name, fault.column);
        Error::invalid(path, fault.message)
    }

    fn convert(&self, batch: &RecordBatch) -> Result<Block, Fault> {
        let arrays: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|field| batch.column_by_name(&field.name).cloned())
            .collect();
        let block = from_arrays(&self.schema, &arrays, batch.num_rows())?;
        if let Some((row, at, value)) = block.first_out_of_range(&self.schema) {
            let field = self.schema.field(at);
            return Err(Fault {
                column: field.name.clone(),
                row: Some(row),
                message: format!("{value} is outside its range {}", field.range_text()),
            });
        }
        Ok(block)
    }
}
