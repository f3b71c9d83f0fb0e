//! The file of a training set's rows.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Result, bail};
use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::digest;
use crate::offline::arrow::type_name;
use crate::statistics::{Collector, Limits, Statistics};
use crate::training_set::{File as Described, FileColumn};

/// A Parquet file that has its name only once it is whole.
pub struct Rows {
    path: PathBuf,
    writer: Option<(ArrowWriter<File>, Collector)>,
    rows: u64,
    columns: Vec<FileColumn>,
}

/// What a manifest says of the file.
pub struct Finished {
    pub file: Described,
    pub schema: Vec<FileColumn>,
    pub statistics: Vec<Statistics>,
}

impl Rows {
    pub fn create(path: PathBuf) -> Rows {
        Rows {
            path,
            writer: None,
            rows: 0,
            columns: Vec::new(),
        }
    }

    fn in_progress(&self) -> PathBuf {
        self.path.with_extension("parquet.inprogress")
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.writer.is_none() {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .build();
            let file = File::create(self.in_progress())?;
            let schema = batch.schema();
            let columns = schema.fields().iter().map(|field| FileColumn {
                name: field.name().clone(),
                data_type: type_name(field.data_type()),
                nullable: field.is_nullable(),
            });
            self.columns = columns.collect();
            let collector = Collector::new(&schema, Limits::WHOLE);
            let writer = ArrowWriter::try_new(file, schema, Some(properties))?;
            self.writer = Some((writer, collector));
        }
        if let Some((writer, collector)) = &mut self.writer {
            writer.write(batch)?;
            collector.add(batch);
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the file, and says what a manifest says of it. `none` is what is said where there are no rows.
    pub fn finish(mut self, none: &str) -> Result<Finished> {
        let Some((mut writer, collector)) = self.writer.take() else {
            bail!("{none}");
        };
        writer.finish()?;
        writer.inner().sync_all()?;
        std::fs::rename(self.in_progress(), &self.path)?;
        let (sha256, bytes) = digest::of_file(&self.path)?;
        let name = self.path.file_name().map(|name| name.to_string_lossy());
        Ok(Finished {
            file: Described {
                path: name.unwrap_or_default().into_owned(),
                sha256,
                rows: self.rows,
                bytes,
            },
            schema: self.columns,
            statistics: collector.statistics(),
        })
    }
}
