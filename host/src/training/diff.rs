//! Two sets of rows compared, column by column, bit by bit.
//!
//! Rows are matched by key columns. Of each column that both have, the rows whose values differ are counted, and the first
//! few kept as evidence. Floats are compared by their bits: NaN equals itself, -0 is not 0.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

use crate::error::{Error, Result, listed};

/// How many differing rows of a column are kept.
const EVIDENCE: usize = 5;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Rows with a key that both have.
    pub matched: u64,
    pub only_left: u64,
    pub only_right: u64,
    /// Columns that only one side has.
    pub columns_only_left: Vec<String>,
    pub columns_only_right: Vec<String>,
    /// By name, of the columns compared, in the order of the left side.
    pub columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    pub name: String,
    /// Matched rows whose values differ.
    pub different: u64,
    /// The largest absolute difference of two numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<f64>,
    pub evidence: Vec<Evidence>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    pub key: Vec<String>,
    pub left: String,
    pub right: String,
    /// The raw inputs, as JSON, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Column {
    /// Notes two values that differ.
    pub fn differs(&mut self, left: &ArrayRef, at: usize, right: &ArrayRef, other: usize) {
        self.different += 1;
        if let (Some(a), Some(b)) = (number(left, at), number(right, other)) {
            let distance = (a - b).abs();
            self.largest = Some(
                self.largest
                    .map_or(distance, |largest| largest.max(distance)),
            );
        }
    }
}

impl Diff {
    /// Values that differ, and rows that only one side has.
    pub fn differences(&self) -> u64 {
        let values: u64 = self.columns.iter().map(|column| column.different).sum();
        values + self.only_left + self.only_right
    }
}

/// All Parquet files under a folder, or the one file, in order of name.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| {
        Error::invalid(
            path.display().to_string(),
            format!("cannot be read: {error}"),
        )
    };
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "parquet") {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Err(Error::invalid(
            path.display().to_string(),
            "there is no .parquet file in it",
        ));
    }
    found.sort();
    Ok(found)
}

/// Calls `each` with the rows of the Parquet files at `path`, batch by batch.
pub fn read(path: &Path, mut each: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    for path in files(path)? {
        let failed = |error: &dyn std::fmt::Display| {
            Error::invalid(path.display().to_string(), error.to_string())
        };
        let file = File::open(&path).map_err(|error| failed(&error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(8192).build())
            .map_err(|error| failed(&error))?;
        for batch in reader {
            each(batch.map_err(|error| failed(&error))?)?;
        }
    }
    Ok(())
}

/// Compares the rows of two sets of files. The left side is held in memory, the right one passes by.
pub fn diff(left: &Path, right: &Path, key: &[String]) -> Result<Diff> {
    let mut held: Vec<RecordBatch> = Vec::new();
    let mut places: HashMap<Vec<String>, (usize, usize, bool)> = HashMap::new();
    let mut diff = Diff::default();
    read(left, |batch| {
        let keys = keys(&batch, key, left)?;
        for (row, key) in keys.into_iter().enumerate() {
            if places.contains_key(&key) {
                return Err(twice(left, &key));
            }
            places.insert(key, (held.len(), row, false));
        }
        held.push(batch);
        Ok(())
    })?;
    // Of each column of the left side how its values fared.
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    let mut right_names: Option<Vec<String>> = None;
    read(right, |batch| {
        right_names.get_or_insert_with(|| names(&batch));
        // Places on both sides, of rows that both have.
        let mut pairs = Vec::new();
        for (row, key) in keys(&batch, key, right)?.into_iter().enumerate() {
            match places.get_mut(&key) {
                None => diff.only_right += 1,
                Some((_, _, true)) => return Err(twice(right, &key)),
                Some((at, left, seen)) => {
                    *seen = true;
                    pairs.push((*at, *left, row, key));
                }
            }
        }
        diff.matched += pairs.len() as u64;
        for (at, field) in batch.schema().fields().iter().enumerate() {
            let values = batch.column(at);
            for (held_at, left_row, row, row_key) in &pairs {
                let Some(other) = held[*held_at].column_by_name(field.name()) else {
                    continue;
                };
                let column = match columns.get_mut(field.name()) {
                    Some(column) => column,
                    None => columns
                        .entry(field.name().clone())
                        .or_insert_with(|| Column {
                            name: field.name().clone(),
                            different: 0,
                            largest: None,
                            evidence: Vec::new(),
                        }),
                };
                if same(other, *left_row, values, *row) {
                    continue;
                }
                column.differs(other, *left_row, values, *row);
                if column.evidence.len() < EVIDENCE {
                    column.evidence.push(Evidence {
                        key: row_key.clone(),
                        left: shown(other, *left_row),
                        right: shown(values, *row),
                        request: None,
                    });
                }
            }
        }
        Ok(())
    })?;
    diff.only_left = places.values().filter(|(_, _, seen)| !seen).count() as u64;
    let left_names = held.first().map(names).unwrap_or_default();
    let right_names = right_names.unwrap_or_default();
    let only = |mine: &[String], theirs: &[String]| {
        mine.iter()
            .filter(|name| !theirs.contains(name))
            .cloned()
            .collect()
    };
    diff.columns_only_left = only(&left_names, &right_names);
    diff.columns_only_right = only(&right_names, &left_names);
    diff.columns = left_names
        .iter()
        .filter_map(|name| columns.remove(name))
        .collect();
    Ok(diff)
}

fn names(batch: &RecordBatch) -> Vec<String> {
    let schema = batch.schema();
    schema.fields().iter().map(|f| f.name().clone()).collect()
}

/// The key of each row, as texts.
fn keys(batch: &RecordBatch, key: &[String], path: &Path) -> Result<Vec<Vec<String>>> {
    let columns = key
        .iter()
        .map(|name| {
            batch.column_by_name(name).ok_or_else(|| {
                let known = listed("column", &names(batch));
                Error::invalid(
                    path.display().to_string(),
                    format!("there is no column \"{name}\" to match rows by; {known}"),
                )
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let row = |row| columns.iter().map(|column| shown(column, row)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

fn twice(path: &Path, key: &[String]) -> Error {
    Error::invalid(
        path.display().to_string(),
        format!(
            "two rows have the key {}; name columns that tell rows apart",
            key.join(", ")
        ),
    )
}

/// Whether two values have the same bits.
pub fn same(a: &ArrayRef, at: usize, b: &ArrayRef, other: usize) -> bool {
    match (a.is_null(at), b.is_null(other)) {
        (true, true) => return true,
        (false, false) => {}
        _ => return false,
    }
    match (a.data_type(), b.data_type()) {
        (DataType::Float64, DataType::Float64) => {
            let bits =
                |array: &ArrayRef, at| array.as_primitive::<Float64Type>().value(at).to_bits();
            bits(a, at) == bits(b, other)
        }
        (DataType::Float32, DataType::Float32) => {
            let bits =
                |array: &ArrayRef, at| array.as_primitive::<Float32Type>().value(at).to_bits();
            bits(a, at) == bits(b, other)
        }
        (DataType::Int64, DataType::Int64) => {
            let value = |array: &ArrayRef, at| array.as_primitive::<Int64Type>().value(at);
            value(a, at) == value(b, other)
        }
        (
            DataType::Timestamp(TimeUnit::Microsecond, _),
            DataType::Timestamp(TimeUnit::Microsecond, _),
        ) => {
            let value =
                |array: &ArrayRef, at| array.as_primitive::<TimestampMicrosecondType>().value(at);
            value(a, at) == value(b, other)
        }
        (DataType::Boolean, DataType::Boolean) => {
            a.as_boolean().value(at) == b.as_boolean().value(other)
        }
        (DataType::Utf8, DataType::Utf8) => {
            a.as_string::<i32>().value(at) == b.as_string::<i32>().value(other)
        }
        // Arrow compares the bytes.
        _ => a.slice(at, 1).to_data() == b.slice(other, 1).to_data(),
    }
}

pub fn number(array: &ArrayRef, at: usize) -> Option<f64> {
    if array.is_null(at) {
        return None;
    }
    match array.data_type() {
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(at)),
        DataType::Float32 => Some(f64::from(array.as_primitive::<Float32Type>().value(at))),
        DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(at) as f64),
        DataType::Int32 => Some(f64::from(array.as_primitive::<Int32Type>().value(at))),
        _ => None,
    }
}

/// A value as a person reads it.
pub fn shown(array: &ArrayRef, at: usize) -> String {
    if array.is_null(at) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(at).to_owned(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(at).to_string(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(at).to_string(),
        DataType::Boolean => array.as_boolean().value(at).to_string(),
        DataType::Timestamp(_, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(at);
            let mut out = Vec::new();
            crate::offline::json::write_timestamp(micros, &mut out);
            String::from_utf8_lossy(&out).trim_matches('"').to_owned()
        }
        _ => format!("{:?}", array.slice(at, 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, ListArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn values_are_compared_by_their_bits() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(f64::NAN),
            Some(0.0),
            Some(-0.0),
            None,
        ]));
        for at in 0..4 {
            for other in 0..4 {
                assert_eq!(
                    same(&floats, at, &floats, other),
                    at == other,
                    "{at} {other}"
                );
            }
        }
        let times: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("UTC"));
        assert!(same(&times, 1, &times, 1) && !same(&times, 0, &times, 1));
        let lists = vec![
            Some(vec![Some(1.0), Some(f64::NAN)]),
            Some(vec![Some(1.0)]),
            Some(vec![Some(1.0), Some(f64::NAN)]),
            None,
            Some(vec![]),
        ];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists));
        let equal = |a, b| same(&lists, a, &lists, b);
        assert!(equal(0, 2) && equal(3, 3) && equal(4, 4));
        assert!(!equal(0, 1) && !equal(3, 4) && !equal(1, 4));
    }
}
