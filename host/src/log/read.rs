//! Reading the log's files back, wherever they have been copied to: each says itself what it holds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

use super::Shape;
use super::file::SHAPE_KEY;
use crate::error::{Error, Result};

/// How deep below the folder files are looked for: the log itself has them two folders down.
const DEPTH: usize = 4;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// A closed file of the log.
#[derive(Clone, Debug)]
pub struct LogFile {
    pub path: PathBuf,
    pub shape: Shape,
    pub rows: usize,
}

/// The files of a service in `dir` and below, the oldest of a version before its newer ones. `since` (`YYYY-MM-DD`) passes
/// over the folders of days before it; Parquet files that are not the log's are passed over too.
pub fn files(dir: &Path, service: &str, since: Option<&str>) -> Result<Vec<LogFile>> {
    let mut paths = Vec::new();
    walk(dir, since, DEPTH, &mut paths)?;
    // By name: a name ends with when its file was opened.
    paths.sort_by(|a, b| (a.file_name(), a).cmp(&(b.file_name(), b)));
    let mut files = Vec::new();
    for path in paths {
        files.extend(file(path)?.filter(|file| file.shape.service == service));
    }
    Ok(files)
}

fn walk(dir: &Path, since: Option<&str>, depth: usize, paths: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |error| Error::invalid(dir.display().to_string(), format!("{error}"));
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let day = name.strip_prefix("day=");
            let early = day.zip(since).is_some_and(|(day, since)| day < since);
            if depth > 0 && !early {
                walk(&path, since, depth - 1, paths)?;
            }
        } else if name.ends_with(".parquet") && !name.starts_with('.') {
            paths.push(path);
        }
    }
    Ok(())
}

/// None where it is not of the log.
pub fn file(path: PathBuf) -> Result<Option<LogFile>> {
    let builder = builder(&path)?;
    let metadata = builder.metadata().file_metadata();
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let shape = |pair: &KeyValue| match pair.key == SHAPE_KEY {
        true => serde_json::from_str(pair.value.as_deref()?).ok(),
        false => None,
    };
    let shape = pairs.into_iter().find_map(shape);
    Ok(shape.map(|shape| LogFile {
        rows: usize::try_from(metadata.num_rows()).unwrap_or(0),
        shape,
        path,
    }))
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| broken(path, &error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| broken(path, &error))
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let message = format!("it is no Parquet file that can be read: {error}");
    Error::invalid(path.display().to_string(), message)
}

impl LogFile {
    /// Its rows from row `skip` on, in the order they were answered but for a little, with those of the columns that
    /// `wanted` names.
    pub fn read(
        &self,
        skip: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
        let builder = builder(&self.path)?;
        let fields = builder.schema().fields().iter().enumerate();
        let roots: Vec<usize> = fields
            .filter(|(_, field)| wanted(field.name()))
            .map(|(at, _)| at)
            .collect();
        let columns = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder
            .with_projection(columns)
            .with_batch_size(BATCH_ROWS)
            .with_offset(skip)
            .build()
            .map_err(|error| broken(&self.path, &error))?;
        let path = self.path.clone();
        Ok(reader.map(move |batch| batch.map_err(|error| broken(&path, &error))))
    }
}
