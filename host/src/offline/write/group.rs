//! A group of rows being encoded.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_select::concat::concat;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};

use super::{Bytes, Cells, Encoded, Encoder, text};
use crate::error::{Error, Result};
use crate::offline::Extension;

pub struct Group {
    encoder: Encoder,
    rows: usize,
    made: Made,
}

enum Made {
    Parquet(Vec<ArrowColumnWriter>),
    /// The parts of each column.
    Arrow(Vec<Vec<ArrayRef>>),
    Text(Vec<u8>),
}

impl Encoder {
    /// A group without rows.
    pub fn group(&self) -> Result<Group> {
        let made = match (&self.0.groups, self.0.extension) {
            (Some(factory), _) => {
                Made::Parquet(factory.create_column_writers(0).map_err(internal)?)
            }
            (None, Extension::Arrow | Extension::Stream) => {
                Made::Arrow(vec![Vec::new(); self.0.columns.len()])
            }
            (None, _) => Made::Text(Vec::new()),
        };
        Ok(Group {
            encoder: self.clone(),
            rows: 0,
            made,
        })
    }
}

impl Group {
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends rows, one part a column.
    pub fn push(&mut self, rows: usize, cells: &[Cells<'_>]) -> Result<()> {
        let shape = &self.encoder.0;
        debug_assert_eq!(cells.len(), shape.columns.len());
        self.rows += rows;
        match &mut self.made {
            Made::Parquet(writers) => {
                let mut writers = writers.iter_mut();
                for ((cells, column), field) in
                    cells.iter().zip(&shape.columns).zip(shape.schema.fields())
                {
                    for leaf in compute_leaves(field, &cells.array(column)).map_err(internal)? {
                        let writer = writers.next().expect("one a leaf");
                        writer.write(&leaf).map_err(internal)?;
                    }
                }
            }
            Made::Arrow(parts) => {
                for ((cells, column), parts) in cells.iter().zip(&shape.columns).zip(parts) {
                    parts.push(cells.array(column));
                }
            }
            Made::Text(out) => match shape.extension {
                Extension::Csv => text::csv(rows, cells, &shape.columns, out),
                _ => text::ndjson(rows, cells, &shape.columns, out),
            },
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Encoded> {
        let made = match self.made {
            Made::Parquet(writers) => {
                let chunks = writers.into_iter().map(ArrowColumnWriter::close);
                Bytes::Chunks(chunks.collect::<Result<_, _>>().map_err(internal)?)
            }
            Made::Arrow(parts) => {
                let whole = parts.into_iter().map(|mut parts| match parts.len() {
                    1 => Ok(parts.remove(0)),
                    _ => {
                        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
                        concat(&parts)
                    }
                });
                let whole = whole.collect::<Result<_, _>>().map_err(internal)?;
                let schema = self.encoder.0.schema.clone();
                Bytes::Batch(RecordBatch::try_new(schema, whole).map_err(internal)?)
            }
            Made::Text(text) => Bytes::Text(text),
        };
        Ok(Encoded(made))
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("rows cannot be encoded: {error}"))
}
