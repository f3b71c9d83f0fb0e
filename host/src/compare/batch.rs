//! Rows of the log with the columns that are compared.

use std::borrow::Cow;
use std::fmt::Write as _;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_select::filter::filter_record_batch;
use uuid::Uuid;

use crate::error::{Error, Result};

/// What makes two rows a pair: the request's id, and the row's number in it.
pub type Key = (u128, i32);

/// The columns of every file that are read beside the features.
pub const COLUMNS: [&str; 7] = [
    "request_id",
    "row",
    "time",
    "role",
    "micros",
    "score",
    "outcome",
];

pub struct Batch {
    pub keys: Vec<Key>,
    pub time: TimestampMicrosecondArray,
    pub role: StringArray,
    pub micros: Int64Array,
    pub score: Column,
    pub outcome: StringArray,
    /// In the order of the names that are compared.
    pub features: Vec<Column>,
    /// What they were made of, where a part may be wanted.
    whole: RecordBatch,
    names: std::sync::Arc<[String]>,
}

/// A column by its type.
pub enum Column {
    /// This version has no such column.
    Absent,
    Float(Float64Array),
    Integer(Int64Array),
    Time(TimestampMicrosecondArray),
    Boolean(BooleanArray),
    Text(StringArray),
    List(ListArray),
}

/// A value.
#[derive(Clone, Debug)]
pub enum Cell<'a> {
    Null,
    Float(f64),
    Integer(i64),
    Boolean(bool),
    Text(Cow<'a, str>),
}

impl Batch {
    pub fn of(whole: RecordBatch, names: &std::sync::Arc<[String]>) -> Result<Batch> {
        fn column<T: Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<T> {
            let column = batch.column_by_name(name);
            let column = column.and_then(|column| column.as_any().downcast_ref::<T>());
            column.cloned().ok_or_else(|| {
                Error::invalid(name, "a file of the log has no such column of its type")
            })
        }
        let ids: StringArray = column(&whole, "request_id")?;
        let rows: Int32Array = column(&whole, "row")?;
        let key = |at: usize| match Uuid::try_parse(ids.value(at)) {
            Ok(id) => Ok((id.as_u128(), rows.value(at))),
            Err(error) => Err(Error::invalid("request_id", error.to_string())),
        };
        let feature = |name: &String| Column::of(whole.column_by_name(name));
        Ok(Batch {
            keys: (0..ids.len()).map(key).collect::<Result<_>>()?,
            time: column(&whole, "time")?,
            role: column(&whole, "role")?,
            micros: column(&whole, "micros")?,
            score: Column::of(whole.column_by_name("score")),
            outcome: column(&whole, "outcome")?,
            features: names.iter().map(feature).collect(),
            names: names.clone(),
            whole,
        })
    }

    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// The rows that are wanted.
    pub fn kept(self, wanted: impl Fn(&Batch, usize) -> bool) -> Result<Batch> {
        let flags: Vec<bool> = (0..self.rows()).map(|row| wanted(&self, row)).collect();
        if flags.iter().all(|flag| *flag) {
            return Ok(self);
        }
        let kept = filter_record_batch(&self.whole, &BooleanArray::from(flags));
        let kept = kept.map_err(|error| Error::Internal(error.to_string()))?;
        Batch::of(kept, &self.names)
    }

    /// The rows of one of so many parts. The parts of a request's rows are the same in every version.
    pub fn part(self, part: u64, parts: u64) -> Result<Batch> {
        // The end of an id is random.
        self.kept(|batch, row| batch.keys[row].0 as u64 % parts == part)
    }
}

impl Column {
    fn of(array: Option<&ArrayRef>) -> Column {
        let Some(array) = array.map(|array| array.as_any()) else {
            return Column::Absent;
        };
        fn cast<T: Clone + 'static>(array: &dyn std::any::Any) -> Option<T> {
            array.downcast_ref::<T>().cloned()
        }
        cast(array)
            .map(Column::Float)
            .or_else(|| cast(array).map(Column::Integer))
            .or_else(|| cast(array).map(Column::Time))
            .or_else(|| cast(array).map(Column::Boolean))
            .or_else(|| cast(array).map(Column::Text))
            .or_else(|| cast(array).map(Column::List))
            .unwrap_or(Column::Absent)
    }

    pub fn cell(&self, row: usize) -> Cell<'_> {
        let null = match self {
            Column::Absent => true,
            Column::Float(values) => values.is_null(row),
            Column::Integer(values) => values.is_null(row),
            Column::Time(values) => values.is_null(row),
            Column::Boolean(values) => values.is_null(row),
            Column::Text(values) => values.is_null(row),
            Column::List(values) => values.is_null(row),
        };
        match self {
            _ if null => Cell::Null,
            Column::Absent => Cell::Null,
            Column::Float(values) => Cell::Float(values.value(row)),
            Column::Integer(values) => Cell::Integer(values.value(row)),
            Column::Time(values) => Cell::Integer(values.value(row)),
            Column::Boolean(values) => Cell::Boolean(values.value(row)),
            Column::Text(values) => Cell::Text(values.value(row).into()),
            Column::List(values) => {
                let items = values.value(row);
                let column = Column::of(Some(&items));
                let mut text = String::from("[");
                for at in 0..items.len() {
                    let _ = write!(text, "{:?},", column.cell(at));
                }
                Cell::Text((text + "]").into())
            }
        }
    }
}

impl Cell<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Float(value) => Some(*value),
            Cell::Integer(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// Whether the two are the same bit by bit.
    pub fn is(&self, other: &Cell<'_>) -> bool {
        match (self, other) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Float(a), Cell::Float(b)) => a.to_bits() == b.to_bits(),
            (Cell::Integer(a), Cell::Integer(b)) => a == b,
            (Cell::Boolean(a), Cell::Boolean(b)) => a == b,
            (Cell::Text(a), Cell::Text(b)) => a == b,
            _ => false,
        }
    }

    /// How far two numbers are apart; none where one is none, is not finite, or is text.
    pub fn distance(&self, other: &Cell<'_>) -> Option<f64> {
        let distance = match (self, other) {
            (Cell::Integer(a), Cell::Integer(b)) => a.abs_diff(*b) as f64,
            _ => (self.number()? - other.number()?).abs(),
        };
        distance.is_finite().then_some(distance)
    }
}
