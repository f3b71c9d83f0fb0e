//! Records of one shape and day, side by side: what waits to be written.
//!
//! A record is taken apart on the thread that made it, so that its many small pieces go back to where they came from; what
//! the writer gets are a few long ones.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};
use arrow_select::take::take;
use uuid::Uuid;

use super::{Looked, Outcome, Record, Role, Shape};
use crate::block::{Rows, RowsBuilder, Source};
use crate::offline::arrow::to_array;
use crate::schema::Schema;

pub(super) struct Batch {
    pub shape: Arc<Shape>,
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    /// About how much memory it takes.
    pub bytes: usize,
    heads: Vec<Head>,
    rows: usize,
    groups: Vec<Gathered>,
    lookups: Vec<Looked>,
    /// Of the rows that have a vector, one after another.
    vectors: Vec<f32>,
    has_vector: Vec<bool>,
    scores: Vec<Option<f64>>,
    outcomes: Vec<Outcome>,
    errors: Vec<Option<String>>,
}

/// What is a record's own, whatever its rows.
struct Head {
    request_id: Uuid,
    time: i64,
    role: Role,
    micros: i64,
    rows: usize,
}

/// The rows of a group.
struct Gathered {
    rows: RowsBuilder,
    /// Of each row of a request its place among them; none as long as they are just the rows there are.
    places: Option<Vec<Option<u32>>>,
}

impl Batch {
    pub fn new(shape: &Arc<Shape>, day: i64) -> Batch {
        let gathered = |schema: &Schema| Gathered {
            rows: RowsBuilder::new(schema),
            places: None,
        };
        let lookups = shape.groups.iter().filter(|group| group.lookup);
        Batch {
            shape: shape.clone(),
            day,
            bytes: 0,
            heads: Vec::new(),
            rows: 0,
            groups: (shape.groups.iter())
                .map(|group| gathered(&group.schema))
                .collect(),
            lookups: lookups.map(|_| Looked::default()).collect(),
            vectors: Vec::new(),
            has_vector: Vec::new(),
            scores: Vec::new(),
            outcomes: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// How many records it holds.
    pub fn records(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Appends a record of its shape, without [`fault`](super::columns::fault).
    pub fn push(&mut self, record: Record) {
        let rows = record.rows();
        for (gathered, source) in self.groups.iter_mut().zip(&record.groups) {
            gathered.push(source, self.rows, rows);
        }
        for (all, looked) in self.lookups.iter_mut().zip(&record.lookups) {
            all.statuses.extend_from_slice(&looked.statuses);
            all.event_times.extend_from_slice(&looked.event_times);
        }
        let held = record.vector_rows.len(rows);
        let width = record.vector.len() / held.max(1);
        if width > 0 && record.vector_rows == Rows::All {
            self.vectors.extend_from_slice(&record.vector);
            self.has_vector.resize(self.rows + rows, true);
        } else {
            for row in 0..rows {
                let place = record.vector_rows.find(row).filter(|_| width > 0);
                if let Some(at) = place {
                    let vector = &record.vector[at * width..(at + 1) * width];
                    self.vectors.extend_from_slice(vector);
                }
                self.has_vector.push(place.is_some());
            }
        }
        self.scores.extend_from_slice(&record.scores);
        self.outcomes.extend_from_slice(&record.outcomes);
        self.errors.extend(record.errors);
        self.heads.push(Head {
            request_id: record.request_id,
            time: record.time,
            role: record.role,
            micros: record.micros,
            rows,
        });
        self.rows += rows;
    }

    /// As rows of [`arrow_schema`](super::arrow_schema).
    pub fn into_rows(self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let (shape, rows) = (&self.shape, self.rows);
        let places = self.heads.iter().flat_map(|head| 0..head.rows as i32);
        let times = TimestampMicrosecondArray::from_iter_values(self.each(|head| head.time));
        let roles = self.each(|head| head.role.as_str());
        let mut columns: Vec<ArrayRef> = vec![
            self.request_ids(),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(Int32Array::from_iter_values(places)),
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
            Arc::new(StringArray::from_iter_values(roles)),
            Arc::new(Int64Array::from_iter_values(self.each(|head| head.micros))),
        ];
        let vectors = vectors(self.vectors, self.has_vector, shape.vector.len())?;
        let mut lookups = self.lookups.into_iter();
        for (group, gathered) in shape.groups.iter().zip(self.groups) {
            let places = gathered.places.map(|places| {
                let mut builder = UInt32Builder::with_capacity(rows);
                builder.extend(places);
                builder.finish()
            });
            let spread = |array: ArrayRef| spread(array, places.as_ref());
            let block = gathered.rows.finish();
            for (field, slot) in group.schema.fields().iter().zip(group.schema.slots()) {
                columns.push(spread(to_array(&block, field, *slot))?);
            }
            if group.lookup
                && let Some(looked) = lookups.next()
            {
                let statuses = looked.statuses.iter().map(|status| status.as_str());
                let statuses = StringArray::from_iter_values(statuses);
                columns.push(spread(Arc::new(statuses))?);
                let times = TimestampMicrosecondArray::from(looked.event_times);
                columns.push(spread(Arc::new(times.with_timezone("UTC")))?);
            }
        }
        columns.push(vectors);
        columns.push(Arc::new(Float64Array::from(self.scores)));
        let outcomes = self.outcomes.iter().map(|outcome| outcome.as_str());
        columns.push(Arc::new(StringArray::from_iter_values(outcomes)));
        columns.push(Arc::new(StringArray::from(self.errors)));
        RecordBatch::try_new(schema.clone(), columns)
    }

    /// A value for each row of each record.
    fn each<'a, T: Clone + 'a>(
        &'a self,
        value: impl Fn(&'a Head) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        let heads = self.heads.iter();
        heads.flat_map(move |head| std::iter::repeat_n(value(head), head.rows))
    }

    fn request_ids(&self) -> ArrayRef {
        let length = uuid::fmt::Hyphenated::LENGTH;
        let mut ids = StringBuilder::with_capacity(self.rows, self.rows * length);
        let mut buffer = Uuid::encode_buffer();
        for head in &self.heads {
            let id = head.request_id.hyphenated().encode_lower(&mut buffer);
            (0..head.rows).for_each(|_| ids.append_value(&id));
        }
        Arc::new(ids.finish())
    }
}

impl Gathered {
    /// Appends what a record of `rows` rows, with `before` rows of others before it, has of the group.
    fn push(&mut self, source: &Source, before: usize, rows: usize) {
        if self.places.is_some() || source.rows != Rows::All {
            let first = self.rows.rows() as u32;
            let places = self
                .places
                .get_or_insert_with(|| (0..before as u32).map(Some).collect());
            let place = |row| source.rows.find(row).map(|at| first + at as u32);
            places.extend((0..rows).map(place));
        }
        // A group that did not run has no block of its schema at all.
        if source.block.rows() > 0 {
            self.rows.append(&source.block);
        }
    }
}

fn spread(array: ArrayRef, places: Option<&UInt32Array>) -> Result<ArrayRef, ArrowError> {
    match places {
        None => Ok(array),
        Some(places) => take(&array, places, None),
    }
}

fn transforms(shape: &Shape, rows: usize) -> ArrayRef {
    let item = Field::new("item", DataType::Utf8, false);
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
    for _ in 0..rows {
        let texts = lists.values();
        (shape.transforms.iter()).for_each(|transform| texts.append_value(transform));
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// A list a row; null where the row has no vector.
fn vectors(values: Vec<f32>, there: Vec<bool>, width: usize) -> Result<ArrayRef, ArrowError> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let lengths = there.iter().map(|there| if *there { width } else { 0 });
    let offsets = OffsetBuffer::from_lengths(lengths);
    let values = Arc::new(Float32Array::from(values));
    let lists = ListArray::try_new(item, offsets, values, Some(NullBuffer::from(there)))?;
    Ok(Arc::new(lists))
}
