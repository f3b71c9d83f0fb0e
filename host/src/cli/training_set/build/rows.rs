//! The file of a training set's rows.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Result, bail};
use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A Parquet file that has its name only once it is whole.
pub struct Rows {
    path: PathBuf,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
}

impl Rows {
    pub fn create(path: PathBuf) -> Rows {
        Rows {
            path,
            writer: None,
            rows: 0,
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
            self.writer = Some(ArrowWriter::try_new(
                file,
                batch.schema(),
                Some(properties),
            )?);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the file, and says what a manifest says of it. `none` is what is said where there are no rows.
    pub fn finish(mut self, none: &str) -> Result<Value> {
        let Some(mut writer) = self.writer.take() else {
            bail!("{none}");
        };
        writer.finish()?;
        writer.inner().sync_all()?;
        std::fs::rename(self.in_progress(), &self.path)?;
        let mut file = File::open(&self.path)?;
        let mut digest = Sha256::new();
        let bytes = std::io::copy(&mut file, &mut digest)?;
        let sha256: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = self.path.file_name().map(|name| name.to_string_lossy());
        Ok(json!({ "path": name, "sha256": sha256, "rows": self.rows, "bytes": bytes }))
    }
}
