//! Parquet files, as Arrow arrays.

use std::fs::File;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::forgiving::{Blocks, Ill};
use super::{BATCH_ROWS, Reader, match_columns};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::offline::{Fault, from_arrays};
use crate::schema::Schema;

pub(super) fn open(
    file: impl ChunkReader + 'static,
    name: String,
    schema: &Schema,
) -> Result<Reader> {
    let (mut rows, count, _) = Rows::open(file, name, schema, schema)?;
    Ok(Reader::new(std::iter::from_fn(move || rows.block()), count))
}

/// The rows of `nullable`, which has the fields of `schema`; those that do not fit as nulls.
pub(super) fn forgiving(
    file: File,
    name: String,
    schema: &Schema,
    nullable: &Schema,
) -> Result<(Vec<String>, Option<u64>, Blocks)> {
    let (mut rows, count, columns) = Rows::open(file, name, schema, nullable)?;
    let blocks = std::iter::from_fn(move || rows.forgiven());
    Ok((columns, count, Box::new(blocks)))
}

struct Rows {
    reader: ParquetRecordBatchReader,
    name: String,
    schema: Schema,
    /// How many rows came before this batch.
    first: usize,
}

impl Rows {
    /// `schema` says what the file must have, `kept` what its rows become. Also how many rows there are, and the names of
    /// the columns.
    fn open(
        file: impl ChunkReader + 'static,
        name: String,
        schema: &Schema,
        kept: &Schema,
    ) -> Result<(Rows, Option<u64>, Vec<String>)> {
        let broken = |error| {
            Error::invalid(
                &name,
                format!("it is no Parquet file that can be read: {error}"),
            )
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken)?;
        let there: Vec<String> = builder
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let places = match_columns(&name, &there, schema)?;
        let rows = builder.metadata().file_metadata().num_rows();
        let wanted =
            ProjectionMask::roots(builder.parquet_schema(), places.iter().flatten().copied());
        let reader = builder
            .with_projection(wanted)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(broken)?;
        let rows_read = Rows {
            reader,
            name,
            schema: kept.clone(),
            first: 0,
        };
        Ok((rows_read, u64::try_from(rows).ok(), there))
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
