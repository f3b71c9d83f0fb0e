//! Records of one shape as the columns of a Parquet file.
//!
//! `request_id`, `time`, `row`, `service`, `service_version`, `model`, `transforms`, `role`, `micros`; of each group
//! `group.column`, and of a look-up `group.status` and `group.event_time`; `vector`, `score`, `outcome`, `error`. One row a
//! row of a request. A group that did not run for a row is null there. Where a view has a column of such a name itself,
//! that of the look-up has `lookup_` before it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Field, Schema as ArrowSchema, SchemaRef};

use super::batch::Batch;
use super::{Group, Record, Shape};
use crate::block::{Rows, Source};
use crate::offline::arrow::{arrow_field, timestamp_type};

/// The answer that a row was given in.
pub(super) const REQUEST_ID: &str = "request_id";

/// Columns that make no sense of a row that nobody asked for: no inputs, features or scores.
pub const OF_ANSWERS: [&str; 10] = [
    REQUEST_ID,
    "time",
    "row",
    "service",
    "service_version",
    "model",
    "transforms",
    "role",
    "micros",
    "vector",
];

/// The columns of a shape's files.
pub fn arrow_schema(shape: &Shape) -> SchemaRef {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, false)));
    let mut fields = vec![
        Field::new(REQUEST_ID, DataType::Utf8, false),
        Field::new("time", timestamp_type(), false),
        Field::new("row", DataType::Int32, false),
        Field::new("service", DataType::Utf8, false),
        Field::new("service_version", DataType::Int64, false),
        Field::new("model", DataType::Utf8, true),
        Field::new("transforms", list(DataType::Utf8), false),
        Field::new("role", DataType::Utf8, false),
        Field::new("micros", DataType::Int64, false),
    ];
    for (at, group) in shape.groups.iter().enumerate() {
        let name = |column: &str| format!("{}.{column}", group.name);
        fields.extend(
            group
                .schema
                .fields()
                .iter()
                .map(|field| arrow_field(Some(&name(&field.name)), field))
                // Of the groups the request alone is always there.
                .map(|field| match at {
                    0 => field,
                    _ => field.with_nullable(true),
                }),
        );
        if group.lookup {
            fields.push(Field::new(status_column(group), DataType::Utf8, true));
            fields.push(Field::new(event_time_column(group), timestamp_type(), true));
        }
    }
    fields.push(Field::new("vector", list(DataType::Float32), true));
    fields.push(Field::new("score", DataType::Float64, true));
    fields.push(Field::new("outcome", DataType::Utf8, false));
    fields.push(Field::new("error", DataType::Utf8, true));
    Arc::new(ArrowSchema::new(fields))
}

/// The name of the column that holds the status of a look-up.
pub fn status_column(group: &Group) -> String {
    beside(group, "status")
}

/// The name of the column that holds the event time of the row a look-up found.
pub fn event_time_column(group: &Group) -> String {
    beside(group, "event_time")
}

fn beside(group: &Group, name: &str) -> String {
    let taken = group.schema.position(name).is_some();
    format!(
        "{}.{}{name}",
        group.name,
        if taken { "lookup_" } else { "" }
    )
}

/// Records of one shape, without [`fault`], as rows.
pub fn to_batch(
    schema: &SchemaRef,
    shape: &Arc<Shape>,
    records: Vec<Record>,
) -> Result<RecordBatch, ArrowError> {
    let mut batch = Batch::new(shape, 0);
    records.into_iter().for_each(|record| batch.push(record));
    batch.into_rows(schema)
}

/// What in a record is not of its shape. Records are made by this program; but a slip must cost a line in the log, not
/// the log.
pub(super) fn fault(record: &Record) -> Option<String> {
    let (shape, rows) = (&record.shape, record.rows());
    let lookups = shape.groups.iter().filter(|group| group.lookup).count();
    let held = |source: &Source| {
        let there = match &source.rows {
            Rows::Some(some) => some.iter().all(|&row| (row as usize) < rows),
            _ => true,
        };
        there && source.block.rows() == source.rows.len(rows)
    };
    let looked = |(group, looked): (&Source, &super::Looked)| {
        let count = group.rows.len(rows);
        looked.statuses.len() == count && looked.event_times.len() == count
    };
    let looking = || {
        let groups = record.groups.iter().zip(&shape.groups);
        groups.filter_map(|(source, group)| group.lookup.then_some(source))
    };
    if record.groups.len() != shape.groups.len() || !record.groups.iter().all(held) {
        Some(format!(
            "a record's groups are not {} of {rows} rows",
            shape.groups.len()
        ))
    } else if record.lookups.len() != lookups || !looking().zip(&record.lookups).all(looked) {
        Some(format!(
            "a record's look-ups are not {lookups} of {rows} rows"
        ))
    } else if record.errors.len() != rows || record.outcomes.len() != rows {
        Some(format!(
            "a record has {} errors for {rows} rows",
            record.errors.len()
        ))
    } else if record.vector.len() != record.vector_rows.len(rows) * shape.vector.len()
        && !record.vector.is_empty()
    {
        Some(format!(
            "a record's vector has {} values for {rows} rows",
            record.vector.len()
        ))
    } else {
        None
    }
}
