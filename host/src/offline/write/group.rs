//! A group of rows being encoded.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_select::concat::concat;
use parquet::arrow::arrow_writer::compute_leaves;

use super::{Bytes, Cells, Encoded, Encoder, text};
use crate::error::{Error, Result};
use crate::offline::Extension;

pub struct Group {
    encoder: Encoder,
    rows: usize,
    made: Made,
}

enum Made {
    /// The parts of each column. They are encoded together: into which parts the rows were cut shows nowhere.
    Arrays(Vec<Vec<ArrayRef>>),
    Text(Vec<u8>),
}

impl Encoder {
    /// A group without rows.
    pub fn group(&self) -> Group {
        let made = match self.0.extension {
            Extension::Csv | Extension::Ndjson => Made::Text(Vec::new()),
            _ => Made::Arrays(vec![Vec::new(); self.0.columns.len()]),
        };
        Group {
            encoder: self.clone(),
            rows: 0,
            made,
        }
    }
}

impl Group {
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends rows, one part a column.
    pub fn push(&mut self, rows: usize, cells: &[Cells<'_>]) {
        let shape = &self.encoder.0;
        debug_assert_eq!(cells.len(), shape.columns.len());
        self.rows += rows;
        match &mut self.made {
            Made::Arrays(parts) => {
                for ((cells, column), parts) in cells.iter().zip(&shape.columns).zip(parts) {
                    parts.push(cells.array(column));
                }
            }
            Made::Text(out) => match shape.extension {
                Extension::Csv => text::csv(rows, cells, &shape.columns, out),
                _ => text::ndjson(rows, cells, &shape.columns, out),
            },
        }
    }

    pub fn finish(self) -> Result<Encoded> {
        let shape = &self.encoder.0;
        let parts = match self.made {
            Made::Text(text) => return Ok(Encoded(Bytes::Text(text))),
            Made::Arrays(parts) => parts,
        };
        let Some(factory) = &shape.groups else {
            let whole = parts.into_iter().map(whole).collect::<Result<_>>()?;
            let batch = RecordBatch::try_new(shape.schema.clone(), whole).map_err(internal)?;
            return Ok(Encoded(Bytes::Batch(batch)));
        };
        // Which group of the file it is, only encryption asks.
        let writers = factory.create_column_writers(0).map_err(internal)?;
        let mut writers = writers.into_iter();
        let mut chunks = Vec::new();
        for (parts, field) in parts.into_iter().zip(shape.schema.fields()) {
            for leaf in compute_leaves(field, &whole(parts)?).map_err(internal)? {
                let mut writer = writers.next().expect("one a leaf");
                writer.write(&leaf).map_err(internal)?;
                chunks.push(writer.close().map_err(internal)?);
            }
        }
        Ok(Encoded(Bytes::Chunks(chunks)))
    }
}

/// The parts of a column as one.
fn whole(mut parts: Vec<ArrayRef>) -> Result<ArrayRef> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    concat(&parts).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("rows cannot be encoded: {error}"))
}
