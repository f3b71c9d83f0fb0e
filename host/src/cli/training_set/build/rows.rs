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

/// A Parquet file that has its name only once it is whole; before, it is gone with whoever writes it.
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

    /// Closes the file, gives it its name, and says what a manifest says of it. `none` is what is said where there are no rows.
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
            schema: std::mem::take(&mut self.columns),
            statistics: collector.statistics(),
        })
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // After `finish` there is none.
        let _ = std::fs::remove_file(self.in_progress());
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn a_file_that_is_never_whole_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let columns: [(&str, arrow_array::ArrayRef); 1] =
            [("x", std::sync::Arc::new(Int64Array::from(vec![1, 2])))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let there = || std::fs::read_dir(dir.path()).unwrap().count();
        let path = dir.path().join("rows.parquet");
        let mut rows = Rows::create(path.clone());
        rows.write(&batch).unwrap();
        assert_eq!(there(), 1);
        drop(rows);
        assert_eq!(there(), 0);
        let mut rows = Rows::create(path.clone());
        rows.write(&batch).unwrap();
        assert_eq!(rows.finish("none").unwrap().file.rows, 2);
        assert!(path.exists() && there() == 1);
    }
}
