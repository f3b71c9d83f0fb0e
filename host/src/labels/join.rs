//! Labels beside the rows they speak of.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType as ArrowType, Field as ArrowField, Schema as ArrowSchema};

use super::{Declared, Labels, Subject, column};
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::offline::arrow::{arrow_field, to_array};
use crate::request::decode_row;

/// The column, beside the labels', that says whether there is one: all a label says may be null.
pub const FOUND: &str = "tidemill.found";

/// A label for each of some rows.
pub struct Joined {
    pub found: Vec<bool>,
    /// Of [`Declared::fields`], [`opened`](crate::schema::Schema::opened): null where there is none, or where it does not say.
    pub block: Block,
}

/// [`FOUND`], and the labels as they stand in a training set: `label.late`.
pub fn to_batch(declared: &Declared, joined: &Joined) -> Result<RecordBatch> {
    let found: ArrayRef = Arc::new(BooleanArray::from(joined.found.clone()));
    let mut fields = vec![ArrowField::new(FOUND, ArrowType::Boolean, false)];
    let mut columns = vec![found];
    let schema = declared.fields.opened();
    for (field, slot) in schema.fields().iter().zip(schema.slots()) {
        let name = column(&field.name);
        fields.push(arrow_field(Some(&name), field));
        columns.push(to_array(&joined.block, field, *slot));
    }
    RecordBatch::try_new(ArrowSchema::new(fields).into(), columns)
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Of a row's label by its request and one by its key, each with its time, the one that counts: the later, of equal times
/// that by the request.
pub fn later<T>(by_request: Option<(i64, T)>, by_key: Option<(i64, T)>) -> Option<(i64, T)> {
    match (by_request, by_key) {
        (Some(one), Some(other)) if other.0 > one.0 => Some(other),
        (one, other) => one.or(other),
    }
}

/// The labels the store has of these rows as of a time (µs), by [`later`].
pub fn asked(
    labels: &Labels,
    declared: &Declared,
    subjects: &[[Option<Subject>; 2]],
    as_of: i64,
) -> Result<Joined> {
    let schema = declared.fields.opened();
    let last = labels.last(&declared.service, as_of)?;
    let mut rows = RowsBuilder::new(&schema);
    let mut found = Vec::with_capacity(subjects.len());
    for (at, [by_request, by_key]) in subjects.iter().enumerate() {
        let last = |subject: &Option<Subject>| match subject {
            Some(subject) => last(subject),
            None => Ok(None),
        };
        let label = later(last(by_request)?, last(by_key)?);
        match &label {
            Some((_, json)) => decode_row(&schema, json, at + 1, &mut rows)?,
            None => rows.begin_row(),
        }
        found.push(label.is_some());
    }
    Ok(Joined {
        found,
        block: rows.finish(),
    })
}
