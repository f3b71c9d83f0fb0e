//! One file while it is being written: hidden under another name until every reader can read it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::Shape;
use super::batch::Batch;
use super::columns::{REQUEST_ID, arrow_schema};
use crate::clock;

/// The ending of a file that is not closed yet. Its name begins with a dot.
const IN_PROGRESS: &str = ".parquet.inprogress";

/// About so many bytes of rows are a row group, before they are encoded.
const ROW_GROUP: usize = 16 << 20;

/// Where in the file's metadata the shape stands, as JSON.
pub(super) const SHAPE_KEY: &str = "tidemill.shape";

/// A file of the records of one shape and one day (UTC).
pub(super) struct OpenFile {
    pub shape: Arc<Shape>,
    /// Days since 1970-01-01.
    pub day: i64,
    pub opened: Instant,
    pub records: u64,
    pub rows: usize,
    schema: SchemaRef,
    /// What is in no row group yet. The writer would keep a buffer and a dictionary a column for it, which of a hundred
    /// services is more than all their rows.
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    writer: ArrowWriter<File>,
    in_progress: PathBuf,
    closed: PathBuf,
}

impl OpenFile {
    /// Opens `dir/service=NAME/day=YYYY-MM-DD/.NAME-vN-UUID.parquet.inprogress`.
    pub fn create(dir: &Path, shape: &Arc<Shape>, day: i64) -> Result<OpenFile, ParquetError> {
        let folder = dir
            .join(format!("service={}", shape.service))
            .join(format!("day={}", date(day)));
        fs::create_dir_all(&folder)?;
        // It begins with the time: names sort as the files were opened.
        let name = format!(
            "{}-v{}-{}",
            shape.service,
            shape.service_version,
            clock::id()
        );
        let in_progress = folder.join(format!(".{name}{IN_PROGRESS}"));
        let schema = arrow_schema(shape);
        let shape_text = serde_json::to_string(&**shape)
            .map_err(|error| ParquetError::External(error.into()))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(SHAPE_KEY.to_owned(), shape_text)]));
        // To look for a number among those before costs more than it saves, and no id comes twice.
        for field in schema.fields() {
            if field.data_type().is_primitive() || field.name() == REQUEST_ID {
                let path = ColumnPath::from(field.name().as_str());
                properties = properties.set_column_dictionary_enabled(path, false);
            }
        }
        let writer = ArrowWriter::try_new(
            File::create_new(&in_progress)?,
            schema.clone(),
            Some(properties.build()),
        )?;
        Ok(OpenFile {
            shape: shape.clone(),
            day,
            opened: Instant::now(),
            records: 0,
            rows: 0,
            schema,
            waiting: Vec::new(),
            waiting_bytes: 0,
            writer,
            in_progress,
            closed: folder.join(format!("{name}.parquet")),
        })
    }

    /// Appends a batch of the file's shape and day; gives it back as what was written.
    pub fn append(&mut self, batch: Batch) -> Result<RecordBatch, ParquetError> {
        self.records += batch.records();
        let rows = batch.into_rows(&self.schema)?;
        self.rows += rows.num_rows();
        self.waiting_bytes += rows.get_array_memory_size();
        self.waiting.push(rows.clone());
        if self.waiting_bytes >= ROW_GROUP {
            self.write_out()?;
        }
        Ok(rows)
    }

    /// About how long the file would be, were it closed now: at most.
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.waiting_bytes
    }

    /// About how much memory the rows take that are in no row group yet.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Makes a row group of what waits.
    pub fn write_out(&mut self) -> Result<(), ParquetError> {
        self.waiting_bytes = 0;
        for rows in std::mem::take(&mut self.waiting) {
            self.writer.write(&rows)?;
        }
        self.writer.flush()
    }

    /// Makes the file readable, under its own name. It is on the disk before it has that name: a crash leaves a whole
    /// file or none.
    pub fn close(mut self) -> Result<(), ParquetError> {
        self.write_out()?;
        self.writer.finish()?;
        self.writer.inner().sync_all()?;
        fs::rename(&self.in_progress, &self.closed)?;
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // A closed file has another name. Where this fails, the next start sweeps.
        let _ = fs::remove_file(&self.in_progress);
    }
}

/// Removes what a crash left unfinished.
pub(super) fn sweep(dir: &Path) {
    let below = |folder: PathBuf| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    for file in below(dir.to_owned()).flat_map(below).flat_map(below) {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with('.') && name.ends_with(IN_PROGRESS) {
            tracing::info!(file = %file.display(), "removing an unfinished file of the feature log");
            let _ = fs::remove_file(&file);
        }
    }
}

/// `YYYY-MM-DD` of a number of days since 1970-01-01.
fn date(day: i64) -> String {
    let time = day
        .checked_mul(86_400)
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(
        || format!("{day}"),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}
