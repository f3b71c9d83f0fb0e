//! The scored file: Parquet, CSV or NDJSON, under another name until it is whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::RecordBatch;
use arrow_schema::{Schema as ArrowSchema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::columns::{Columns, PARTS};
use crate::block::Block;
use crate::offline::Extension;
use crate::offline::arrow::{arrow_field, to_array};
use crate::offline::json::{write_text, write_value};
use crate::schema::Scalar;

pub struct Output {
    format: Format,
    in_progress: PathBuf,
    path: PathBuf,
}

enum Format {
    Parquet(SchemaRef, Box<ArrowWriter<File>>),
    Csv(Box<csv::Writer<File>>),
    Ndjson(BufWriter<File>),
}

/// Rows of a Parquet file that are held before they are written.
const GROUP_ROWS: usize = 1 << 17;

/// What a file is, by its name.
pub fn extension(path: &Path) -> Result<Extension> {
    match Extension::of(path) {
        Some(extension) => Ok(extension),
        None => bail!(
            "{}: rows are written to files named .parquet, .csv, .ndjson or .jsonl",
            path.display()
        ),
    }
}

impl Output {
    /// Writes to `path` with `.inprogress` behind it, until [`Output::finish`].
    pub fn create(path: &Path, columns: &Columns) -> Result<Output> {
        let mut in_progress = path.as_os_str().to_owned();
        in_progress.push(".inprogress");
        let in_progress = PathBuf::from(in_progress);
        let file = || {
            File::create(&in_progress)
                .with_context(|| format!("cannot write {}", in_progress.display()))
        };
        let format = match extension(path)? {
            Extension::Parquet => {
                let fields = columns.columns.iter().map(|column| {
                    let field = columns.parts[column.part].field(column.field);
                    arrow_field(Some(&column.name), field)
                });
                let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                    .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .build();
                let writer = ArrowWriter::try_new(file()?, schema.clone(), Some(properties))?;
                Format::Parquet(schema, Box::new(writer))
            }
            Extension::Csv => {
                let mut writer = csv::Writer::from_writer(file()?);
                writer.write_record(columns.columns.iter().map(|column| &column.name))?;
                Format::Csv(Box::new(writer))
            }
            Extension::Ndjson => Format::Ndjson(BufWriter::new(file()?)),
        };
        Ok(Output {
            format,
            in_progress,
            path: path.to_owned(),
        })
    }

    /// Appends rows; one block a part.
    pub fn write(&mut self, columns: &Columns, blocks: &[Block; PARTS]) -> Result<()> {
        let place = |column: &super::columns::Column| {
            let schema = &columns.parts[column.part];
            (
                &blocks[column.part],
                schema.field(column.field),
                schema.slot(column.field),
            )
        };
        let mut text = Vec::new();
        match &mut self.format {
            Format::Parquet(schema, writer) => {
                let arrays = columns.columns.iter().map(|column| {
                    let (block, field, slot) = place(column);
                    to_array(block, field, slot)
                });
                writer.write(&RecordBatch::try_new(schema.clone(), arrays.collect())?)?;
            }
            Format::Csv(writer) => {
                for row in 0..blocks[0].rows() {
                    for column in &columns.columns {
                        let (block, field, slot) = place(column);
                        text.clear();
                        if block.is_valid(slot, row) {
                            match field.data_type.scalar() {
                                Scalar::Text | Scalar::Json if !slot.many => {
                                    text.extend_from_slice(block.text(slot, row).as_bytes());
                                }
                                _ => write_value(block, field, slot, row, &mut text),
                            }
                        }
                        writer.write_field(cell(&text, field.data_type.scalar(), slot.many))?;
                    }
                    writer.write_record(None::<&[u8]>)?;
                }
            }
            Format::Ndjson(writer) => {
                for row in 0..blocks[0].rows() {
                    text.clear();
                    for (at, column) in columns.columns.iter().enumerate() {
                        let (block, field, slot) = place(column);
                        text.push(if at == 0 { b'{' } else { b',' });
                        write_text(&column.name, &mut text);
                        text.push(b':');
                        write_value(block, field, slot, row, &mut text);
                    }
                    text.extend_from_slice(b"}\n");
                    writer.write_all(&text)?;
                }
            }
        }
        Ok(())
    }

    /// Gives the file its name. It is on disk before it has it.
    pub fn finish(mut self) -> Result<()> {
        match &mut self.format {
            Format::Parquet(_, writer) => {
                writer.finish()?;
                writer.inner().sync_all()?;
            }
            Format::Csv(writer) => {
                writer.flush()?;
                writer.get_ref().sync_all()?;
            }
            Format::Ndjson(writer) => {
                writer.flush()?;
                writer.get_ref().sync_all()?;
            }
        }
        std::fs::rename(&self.in_progress, &self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A finished file has another name.
        let _ = std::fs::remove_file(&self.in_progress);
    }
}

/// A value as JSON has it, as a cell has it: a timestamp without its quotes, nothing for what is not finite.
fn cell(json: &[u8], scalar: Scalar, many: bool) -> &[u8] {
    match scalar {
        _ if many => json,
        Scalar::Timestamp => json
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .unwrap_or(json),
        Scalar::Float if json == b"null" => b"",
        _ => json,
    }
}
