//! Parquet and Arrow IPC files, file and stream, as Arrow arrays.

use std::fs::File;
use std::io::{BufReader, Read, Seek};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use crate::error::{Error, Result};

/// Batches of columns in the order of the file.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// Opens the columns at these places, in batches of at most so many rows.
type Opener = Box<dyn FnOnce(&[usize], usize) -> Result<Batches, ArrowError>>;

/// A file that holds arrays.
pub struct Arrays {
    pub schema: SchemaRef,
    /// How many rows it says it has.
    pub rows: Option<u64>,
    name: String,
    open: Opener,
}

const MAGIC: &[u8] = b"ARROW1";

impl Arrays {
    pub fn parquet(file: impl ChunkReader + 'static, name: &str) -> Result<Arrays> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| broken(name, "Parquet", &error))?;
        Ok(Arrays {
            schema: builder.schema().clone(),
            rows: u64::try_from(builder.metadata().file_metadata().num_rows()).ok(),
            name: name.to_owned(),
            open: Box::new(|columns, rows| {
                let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
                let builder = builder.with_projection(mask).with_batch_size(rows);
                Ok(Box::new(builder.build()?))
            }),
        })
    }

    /// A file or a stream, whatever its name says.
    pub fn ipc(mut file: File, name: &str) -> Result<Arrays> {
        let broken = |error: &dyn std::fmt::Display| broken(name, "Arrow", error);
        let mut magic = Vec::new();
        (&mut file)
            .take(MAGIC.len() as u64)
            .read_to_end(&mut magic)
            .and_then(|_| file.rewind())
            .map_err(|error| broken(&error))?;
        let second = file.try_clone().map_err(|error| broken(&error))?;
        let (schema, open): (SchemaRef, Opener) = if magic == MAGIC {
            let reader =
                FileReader::try_new(BufReader::new(file), None).map_err(|error| broken(&error))?;
            let open: Opener = Box::new(|columns, rows| {
                let reader = FileReader::try_new(BufReader::new(second), Some(columns.to_vec()))?;
                Ok(sliced(reader, rows))
            });
            (reader.schema(), open)
        } else {
            let reader = StreamReader::try_new(BufReader::new(file), None)
                .map_err(|error| broken(&error))?;
            let open: Opener = Box::new(|columns, rows| {
                let mut second = second;
                second.rewind()?;
                let reader = StreamReader::try_new(BufReader::new(second), Some(columns.to_vec()))?;
                Ok(sliced(reader, rows))
            });
            (reader.schema(), open)
        };
        Ok(Arrays {
            schema,
            rows: None,
            name: name.to_owned(),
            open,
        })
    }

    /// The names of its columns.
    pub fn names(&self) -> Vec<String> {
        let fields = self.schema.fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// The rows of the columns at these places, given in ascending order.
    pub fn batches(self, columns: &[usize], rows: usize) -> Result<Batches> {
        (self.open)(columns, rows).map_err(|error| broken(&self.name, "file", &error))
    }
}

/// Large batches in parts.
fn sliced(
    reader: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
    rows: usize,
) -> Batches {
    Box::new(reader.flat_map(move |batch| {
        let batch = batch.map(|batch| {
            let starts = (0..batch.num_rows()).step_by(rows);
            starts
                .map(|start| batch.slice(start, rows.min(batch.num_rows() - start)))
                .collect::<Vec<_>>()
        });
        match batch {
            Ok(parts) => parts.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        }
    }))
}

fn broken(name: &str, kind: &str, error: &dyn std::fmt::Display) -> Error {
    let message = match kind {
        "file" => format!("it cannot be read: {error}"),
        _ => format!("it is no {kind} file that can be read: {error}"),
    };
    Error::invalid(name, message)
}
