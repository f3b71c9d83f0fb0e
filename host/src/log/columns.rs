//! Records of one shape as the columns of a Parquet file.
//!
//! `request_id`, `time`, `row`, `service`, `service_version`, `model`, `transforms`, `role`, `micros`; of each group
//! `group.column`, and of a look-up `group.status` and `group.event_time`; `vector`, `score`, `outcome`, `error`. One row a
//! row of a request. A group that did not run for a row is null there. Where a view has a column of such a name itself,
//! that of the look-up has `lookup_` before it.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema as ArrowSchema, SchemaRef};

use arrow_select::take::take;

use super::{Group, Record, Shape};
use crate::block::{Block, Rows, Source};
use crate::offline::arrow::{arrow_field, timestamp_type, to_array};

/// The columns of a shape's files.
pub fn arrow_schema(shape: &Shape) -> SchemaRef {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, false)));
    let mut fields = vec![
        Field::new("request_id", DataType::Utf8, false),
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
    shape: &Shape,
    mut records: Vec<Record>,
) -> Result<RecordBatch, ArrowError> {
    let rows: usize = records.iter().map(Record::rows).sum();
    let mut columns: Vec<ArrayRef> = vec![
        request_ids(&records),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(each_row(&records, |record, _| {
                record.time
            }))
            .with_timezone("UTC"),
        ),
        Arc::new(Int32Array::from_iter_values(each_row(
            &records,
            |_, row| row as i32,
        ))),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            &shape.service,
            rows,
        ))),
        Arc::new(Int64Array::from_value(shape.service_version.into(), rows)),
        Arc::new(StringArray::from_iter(std::iter::repeat_n(
            shape.model.as_ref(),
            rows,
        ))),
        transforms(shape, rows),
        Arc::new(StringArray::from_iter_values(each_row(
            &records,
            |record, _| record.role.as_str(),
        ))),
        Arc::new(Int64Array::from_iter_values(each_row(
            &records,
            |record, _| record.micros,
        ))),
    ];
    let mut lookup = 0;
    for (at, group) in shape.groups.iter().enumerate() {
        let held = held(&records, |record| &record.groups[at].rows);
        let spread = |array: ArrayRef| match &held {
            None => Ok(array),
            Some(places) => take(&array, places, None),
        };
        let blocks: Vec<Block> = records
            .iter_mut()
            .map(|record| std::mem::take(&mut record.groups[at].block))
            // A group that did not run has no block of its schema at all.
            .filter(|block| block.rows() > 0)
            .collect();
        let block = Block::concat(&group.schema, &blocks);
        for (field, slot) in group.schema.fields().iter().zip(group.schema.slots()) {
            columns.push(spread(to_array(&block, field, *slot))?);
        }
        if group.lookup {
            let looked = || records.iter().map(|record| &record.lookups[lookup]);
            let statuses = looked()
                .flat_map(|looked| &looked.statuses)
                .map(|status| status.as_str());
            let statuses = StringArray::from_iter_values(statuses);
            columns.push(spread(Arc::new(statuses))?);
            let times = looked().flat_map(|looked| looked.event_times.iter().copied());
            let times = TimestampMicrosecondArray::from_iter(times).with_timezone("UTC");
            columns.push(spread(Arc::new(times))?);
            lookup += 1;
        }
    }
    columns.push(vectors(&records));
    columns.push(Arc::new(Float64Array::from_iter(
        records
            .iter()
            .flat_map(|record| record.scores.iter().copied()),
    )));
    columns.push(Arc::new(StringArray::from_iter_values(each_row(
        &records,
        |record, row| record.outcomes[row].as_str(),
    ))));
    columns.push(Arc::new(StringArray::from_iter(
        records
            .iter()
            .flat_map(|record| record.errors.iter().map(Option::as_deref)),
    )));
    RecordBatch::try_new(schema.clone(), columns)
}

/// For each row of each record its place among the rows that a group holds, of all records one after another; none where
/// the group holds just the rows there are.
fn held<'a>(records: &'a [Record], rows: impl Fn(&'a Record) -> &'a Rows) -> Option<UInt32Array> {
    if records.iter().all(|record| *rows(record) == Rows::All) {
        return None;
    }
    let mut places = UInt32Builder::new();
    let mut before = 0;
    for record in records {
        let held = rows(record);
        for row in 0..record.rows() {
            places.append_option(held.find(row).map(|at| before + at as u32));
        }
        before += held.len(record.rows()) as u32;
    }
    Some(places.finish())
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

/// A value for each row of each record, given the record and the row's place in it.
fn each_row<'a, T>(
    records: &'a [Record],
    value: impl Fn(&'a Record, usize) -> T + Copy + 'a,
) -> impl Iterator<Item = T> + 'a {
    records
        .iter()
        .flat_map(move |record| (0..record.rows()).map(move |row| value(record, row)))
}

fn request_ids(records: &[Record]) -> ArrayRef {
    let rows: usize = records.iter().map(Record::rows).sum();
    let mut ids = StringBuilder::with_capacity(rows, rows * uuid::fmt::Hyphenated::LENGTH);
    let mut buffer = uuid::Uuid::encode_buffer();
    for record in records {
        let id = record.request_id.hyphenated().encode_lower(&mut buffer);
        (0..record.rows()).for_each(|_| ids.append_value(&id));
    }
    Arc::new(ids.finish())
}

fn transforms(shape: &Shape, rows: usize) -> ArrayRef {
    let item = Field::new("item", DataType::Utf8, false);
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
    for _ in 0..rows {
        shape
            .transforms
            .iter()
            .for_each(|transform| lists.values().append_value(transform));
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// A list a row; null where the record has no vector.
fn vectors(records: &[Record]) -> ArrayRef {
    let item = Field::new("item", DataType::Float32, false);
    let mut lists = ListBuilder::new(Float32Builder::new()).with_field(item);
    for record in records {
        let held = record.vector_rows.len(record.rows());
        let width = record.vector.len() / held.max(1);
        for row in 0..record.rows() {
            let place = record.vector_rows.find(row).filter(|_| width > 0);
            if let Some(at) = place {
                lists
                    .values()
                    .append_slice(&record.vector[at * width..(at + 1) * width]);
            }
            lists.append(place.is_some());
        }
    }
    Arc::new(lists.finish())
}
