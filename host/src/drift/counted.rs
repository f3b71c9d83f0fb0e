//! What was seen of a service version's columns.

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use super::Reference;
use crate::log::OF_ANSWERS;
use crate::statistics::{Column, Limits};

/// Rows of the feature log, counted column by column, in the bins of a training set where there is one.
#[derive(Clone)]
pub struct Counted {
    pub rows: u64,
    pub(super) columns: Vec<CountedColumn>,
}

#[derive(Clone)]
pub(super) struct CountedColumn {
    /// Its place in the log's files.
    at: usize,
    pub column: Column,
    /// As many as the training set has bins of it; none where it does not know the column.
    pub bins: Vec<u64>,
}

impl Counted {
    /// Nothing yet, of files with these columns.
    pub fn new(schema: &Schema, reference: Option<&Reference>, limits: Limits) -> Counted {
        let fields = schema.fields().iter().enumerate();
        // An error's words are counted as its outcome.
        let left_out = |name: &str| OF_ANSWERS.contains(&name) || name == "error";
        let compared = fields.filter(|(_, field)| !left_out(field.name()));
        let columns = compared.map(|(at, field)| CountedColumn {
            at,
            column: Column::new(field.name(), field.data_type(), limits),
            bins: reference
                .and_then(|reference| reference.columns.get(field.name()))
                .map_or_else(Vec::new, |known| vec![0; known.counts.len()]),
        });
        Counted {
            rows: 0,
            columns: columns.collect(),
        }
    }

    /// Counts rows of files with the columns that it was made for.
    pub fn add(&mut self, reference: Option<&Reference>, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for counted in &mut self.columns {
            let Some(array) = batch.columns().get(counted.at) else {
                continue;
            };
            counted.column.add(array);
            let columns = reference.map(|reference| &reference.columns);
            if let Some(known) = columns.and_then(|all| all.get(counted.column.name())) {
                known.bins.count(array, &mut counted.bins);
            }
        }
    }

    /// Adds what was counted of the same columns.
    pub fn merge(&mut self, other: &Counted) {
        self.rows += other.rows;
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.column.merge(&theirs.column);
            for (mine, theirs) in mine.bins.iter_mut().zip(&theirs.bins) {
                *mine += theirs;
            }
        }
    }
}
