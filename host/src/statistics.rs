//! Statistics of columns: what a training set's manifest says of its rows, and what drift is measured with.
//!
//! One pass, bounded memory, and the same rows give the same numbers to the bit, in whatever order and in however many
//! pieces they are counted: integers are counted, sums are exact ([`sum`]), and the sketch ([`sketch`]) forgets by a rule that
//! knows no order. Of texts this holds up to [`Limits::values`] different ones; beyond it the counts say how far they may
//! be short ([`texts`]).

mod column;
pub mod sketch;
pub mod sum;
mod summary;
#[cfg(test)]
mod tests;
pub mod texts;

pub use column::{Column, each_number};
pub use summary::{
    Bin, BooleanStatistics, Kind, NumberStatistics, Quantile, Statistics, TextStatistics,
    TimeStatistics, ValueCount,
};

use arrow_array::RecordBatch;
use arrow_schema::Schema;

/// How much a column may remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Buckets of a sketch.
    pub buckets: usize,
    /// Different texts that are counted exactly.
    pub values: usize,
}

impl Limits {
    /// Of a training set: at most some 250 KB a column of numbers, some MB one of texts.
    pub const WHOLE: Limits = Limits {
        buckets: 2048,
        values: 8192,
    };
    /// Of what is watched while the server runs, of which there are many.
    pub const LIVE: Limits = Limits {
        buckets: 256,
        values: 0,
    };
}

/// Counts the columns of batches of one schema.
#[derive(Clone, Debug)]
pub struct Collector {
    columns: Vec<Column>,
}

impl Collector {
    pub fn new(schema: &Schema, limits: Limits) -> Collector {
        let columns = schema.fields().iter();
        let columns = columns.map(|field| Column::new(field.name(), field.data_type(), limits));
        Collector {
            columns: columns.collect(),
        }
    }

    /// Counts rows. The batch has the schema's columns, in its order.
    pub fn add(&mut self, batch: &RecordBatch) {
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            column.add(array);
        }
    }

    /// One a column.
    pub fn statistics(&self) -> Vec<Statistics> {
        self.columns.iter().map(Column::statistics).collect()
    }
}
