//! Parquet files, as Arrow arrays.

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::{BATCH_ROWS, Reader, match_columns};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::offline::from_arrays;
use crate::schema::Schema;

pub(super) fn open(
    file: impl ChunkReader + 'static,
    name: String,
    schema: &Schema,
) -> Result<Reader> {
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
    let wanted = ProjectionMask::roots(builder.parquet_schema(), places.iter().flatten().copied());
    let reader = builder
        .with_projection(wanted)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(broken)?;
    let mut rows_read = Rows {
        reader,
        name,
        schema: schema.clone(),
        first: 0,
    };
    Ok(Reader::new(
        std::iter::from_fn(move || rows_read.block()),
        u64::try_from(rows).ok(),
    ))
}

struct Rows {
    reader: ParquetRecordBatchReader,
    name: String,
    schema: Schema,
    /// How many rows came before this batch.
    first: usize,
}

impl Rows {
    fn block(&mut self) -> Option<Result<Block>> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => {
                return Some(Err(Error::invalid(
                    &self.name,
                    format!("it cannot be read: {error}"),
                )));
            }
        };
        let block = self.convert(&batch);
        self.first += batch.num_rows();
        Some(block)
    }

    fn convert(&self, batch: &RecordBatch) -> Result<Block> {
        let wrong = |row: Option<usize>, column: &str, message: String| {
            let row = row
                .map(|row| format!(", row {}", self.first + row + 1))
                .unwrap_or_default();
            Error::invalid(format!("{}{row}, column \"{column}\"", self.name), message)
        };
        let arrays: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|field| batch.column_by_name(&field.name).cloned())
            .collect();
        let block = from_arrays(&self.schema, &arrays, batch.num_rows())
            .map_err(|fault| wrong(fault.row, &fault.column, fault.message))?;
        if let Some((row, at, value)) = block.first_out_of_range(&self.schema) {
            let field = self.schema.field(at);
            return Err(wrong(
                Some(row),
                &field.name,
                format!("{value} is outside its range {}", field.range_text()),
            ));
        }
        Ok(block)
    }
}
