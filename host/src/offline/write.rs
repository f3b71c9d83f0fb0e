//! Files of rows: Parquet, Arrow IPC, CSV or NDJSON, under another name until they are whole.
//!
//! What costs time, encoding, is done by an [`Encoder`], which any number of threads may use at a time; an [`Output`] puts
//! what they made into the file, in the order it is given.

mod group;
mod text;

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Error as Io, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::Extension;
use super::arrow::{arrow_field, to_array};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::schema::{Field, Slot};
pub use group::Group;

/// Rows of a group of a Parquet file, or of a batch of an Arrow file, where the caller leaves it to the output.
const GROUP_ROWS: usize = 1 << 17;

/// A column of a file to be written.
#[derive(Clone)]
pub enum Column {
    /// Of a block.
    Values(String, Field),
    /// An Arrow array as it is: for Parquet and Arrow alone.
    Array(ArrowField),
}

/// Rows of a column.
pub enum Cells<'a> {
    Values(&'a Block, Slot),
    Array(&'a ArrayRef),
}

/// Makes groups of rows into what the file holds.
#[derive(Clone)]
pub struct Encoder(Arc<Shape>);

struct Shape {
    extension: Extension,
    columns: Vec<Column>,
    schema: SchemaRef,
    groups: Option<ArrowRowGroupWriterFactory>,
}

/// A group of rows as the file holds it.
pub struct Encoded(Bytes);

enum Bytes {
    Chunks(Vec<ArrowColumnChunk>),
    Batch(RecordBatch),
    Text(Vec<u8>),
}

pub struct Output {
    file: Open,
    encoder: Encoder,
    /// Rows that are not yet in the file.
    open: Option<Group>,
    in_progress: InProgress,
    path: PathBuf,
}

/// The file's name until it is whole.
struct InProgress(PathBuf);

enum Open {
    Parquet(Box<SerializedFileWriter<File>>),
    Arrow(Box<FileWriter<BufWriter<File>>>),
    Stream(Box<StreamWriter<BufWriter<File>>>),
    Text(File),
}

/// What a file to be written is, by its name.
pub fn extension(path: &Path) -> Result<Extension> {
    Extension::of(path).ok_or_else(|| {
        Error::invalid(
            path.display().to_string(),
            "rows are written to files named .parquet, .csv, .ndjson or .jsonl, .arrow, .feather or .ipc, or .arrows (a \
             stream)",
        )
    })
}

impl Column {
    pub fn name(&self) -> &str {
        match self {
            Column::Values(name, _) => name,
            Column::Array(field) => field.name(),
        }
    }

    fn arrow(&self) -> ArrowField {
        match self {
            Column::Values(name, field) => arrow_field(Some(name), field),
            Column::Array(field) => field.clone(),
        }
    }
}

impl Cells<'_> {
    fn array(&self, column: &Column) -> ArrayRef {
        match (self, column) {
            (Cells::Values(block, slot), Column::Values(_, field)) => to_array(block, field, *slot),
            (Cells::Array(array), _) => ArrayRef::clone(array),
            (Cells::Values(..), Column::Array(_)) => unreachable!("a column is of one kind"),
        }
    }
}

impl Output {
    /// Writes to `path` with `.inprogress` behind it, until [`Output::finish`]. `about` is said of the whole file, where
    /// its kind has a place for it.
    pub fn create(path: &Path, columns: Vec<Column>, about: &[(String, String)]) -> Result<Output> {
        let extension = extension(path)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".inprogress");
        let in_progress = InProgress(PathBuf::from(name));
        let fields: Vec<ArrowField> = columns.iter().map(Column::arrow).collect();
        let about = about.iter().cloned();
        let schema = Arc::new(ArrowSchema::new_with_metadata(
            fields,
            about.collect::<HashMap<_, _>>(),
        ));
        let (file, groups) = File::create(&in_progress.0)
            .and_then(|file| Open::new(file, extension, &columns, &schema))
            .map_err(|error| unwritten(path, &error))?;
        Ok(Output {
            file,
            encoder: Encoder(Arc::new(Shape {
                extension,
                columns,
                schema,
                groups,
            })),
            open: None,
            in_progress,
            path: path.to_owned(),
        })
    }

    pub fn encoder(&self) -> Encoder {
        self.encoder.clone()
    }

    /// Appends rows, one part a column, and looks itself after how many make a group.
    pub fn write(&mut self, rows: usize, cells: &[Cells<'_>]) -> Result<()> {
        let mut group = match self.open.take() {
            Some(group) => group,
            None => self.encoder.group(),
        };
        group.push(rows, cells);
        match group.rows() >= GROUP_ROWS {
            true => self.append(group.finish()?),
            false => {
                self.open = Some(group);
                Ok(())
            }
        }
    }

    /// Puts a group behind those that are there.
    pub fn append(&mut self, encoded: Encoded) -> Result<()> {
        let unwritten = |error: &dyn Display| unwritten(&self.path, error);
        match (&mut self.file, encoded.0) {
            (Open::Parquet(writer), Bytes::Chunks(chunks)) => {
                let mut group = writer.next_row_group().map_err(|error| unwritten(&error))?;
                for chunk in chunks {
                    chunk
                        .append_to_row_group(&mut group)
                        .map_err(|error| unwritten(&error))?;
                }
                group.close().map(drop).map_err(|error| unwritten(&error))
            }
            (Open::Arrow(writer), Bytes::Batch(batch)) => {
                writer.write(&batch).map_err(|error| unwritten(&error))
            }
            (Open::Stream(writer), Bytes::Batch(batch)) => {
                writer.write(&batch).map_err(|error| unwritten(&error))
            }
            (Open::Text(file), Bytes::Text(text)) => {
                file.write_all(&text).map_err(|error| unwritten(&error))
            }
            _ => unreachable!("a group is of its output's kind"),
        }
    }

    /// Gives the file its name. It is on disk before it has it.
    pub fn finish(mut self) -> Result<()> {
        if let Some(group) = self.open.take() {
            self.append(group.finish()?)?;
        }
        self.file
            .end()
            .and_then(|()| std::fs::rename(&self.in_progress.0, &self.path))
            .map_err(|error| unwritten(&self.path, &error))
    }
}

impl Open {
    fn new(
        mut file: File,
        extension: Extension,
        columns: &[Column],
        schema: &SchemaRef,
    ) -> std::io::Result<(Open, Option<ArrowRowGroupWriterFactory>)> {
        let buffered = |file| BufWriter::with_capacity(1 << 18, file);
        let open = match extension {
            Extension::Parquet => {
                let zstd = ZstdLevel::try_new(1).map_err(Io::other)?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(zstd))
                    // zstd finds what repeats nearly as well, and to look every number up costs more than all the rest.
                    .set_dictionary_enabled(false)
                    .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
                    .build();
                let (writer, groups) = ArrowWriter::try_new(file, schema.clone(), Some(properties))
                    .and_then(ArrowWriter::into_serialized_writer)
                    .map_err(Io::other)?;
                return Ok((Open::Parquet(Box::new(writer)), Some(groups)));
            }
            Extension::Arrow => {
                let writer = FileWriter::try_new(buffered(file), schema).map_err(Io::other)?;
                Open::Arrow(Box::new(writer))
            }
            Extension::Stream => {
                let writer = StreamWriter::try_new(buffered(file), schema).map_err(Io::other)?;
                Open::Stream(Box::new(writer))
            }
            Extension::Csv => {
                file.write_all(&text::header(columns))?;
                Open::Text(file)
            }
            Extension::Ndjson => Open::Text(file),
        };
        Ok((open, None))
    }

    fn end(&mut self) -> std::io::Result<()> {
        match self {
            Open::Parquet(writer) => {
                writer.finish().map_err(Io::other)?;
                writer.inner().sync_all()
            }
            Open::Arrow(writer) => {
                writer.finish().map_err(Io::other)?;
                writer.get_mut().flush()?;
                writer.get_ref().get_ref().sync_all()
            }
            Open::Stream(writer) => {
                writer.finish().map_err(Io::other)?;
                writer.get_mut().flush()?;
                writer.get_ref().get_ref().sync_all()
            }
            Open::Text(file) => file.sync_all(),
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        // A finished file has another name.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn unwritten(path: &Path, error: &dyn Display) -> Error {
    Error::invalid(
        path.display().to_string(),
        format!("it cannot be written: {error}"),
    )
}
