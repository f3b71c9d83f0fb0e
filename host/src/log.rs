//! The feature log: what the server saw and answered, for replay, for training sets, for audits.
//!
//! Offering a record costs an answer less than a microsecond and never waits: what does not fit in the queue is dropped
//! and counted.

mod batch;
mod columns;
mod file;
mod memory;
mod parquet;
mod queue;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::columns::{OF_ANSWERS, arrow_schema, event_time_column, status_column, to_batch};
pub use self::memory::MemoryLog;
pub use self::parquet::{ParquetLog, Saw, Settings};
pub use self::read::{LogFile, file, files};
use crate::block::{Block, Rows, Source};
use crate::error::Result;
use crate::schema::Schema;
use crate::store::Status;

/// What is the same for every answer of a service version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// A name as [`check_name`](crate::schema::check_name) has it: it becomes part of a path.
    pub service: String,
    pub service_version: u32,
    /// `name@number`.
    pub model: Option<String>,
    /// `name@version sha256:…`, in the order they run.
    pub transforms: Vec<String>,
    /// The blocks of a record, in order.
    pub groups: Vec<Group>,
    /// The names of the vector's features, in the model's order.
    pub vector: Vec<String>,
}

/// One block of every record: the request, a look-up, or a transform's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// `request`, `plane`, `delay`: what stands before the dot in the names of its columns.
    pub name: String,
    pub schema: Schema,
    /// Whether it is a look-up, with a status and an event time a row.
    pub lookup: bool,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Record {
    pub shape: Arc<Shape>,
    pub request_id: Uuid,
    /// When it was answered, µs since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// Whether the caller got it.
    pub role: Role,
    /// From the body to the answer, µs.
    pub micros: i64,
    /// One for each group of the shape, of the request's rows that it holds.
    pub groups: Vec<Source>,
    /// One for each group that is a look-up, in order; of the rows that the group holds.
    pub lookups: Vec<Looked>,
    /// Rows × features, row by row; empty without a model.
    pub vector: Vec<f32>,
    /// The rows that `vector` holds.
    pub vector_rows: Rows,
    /// One a row.
    pub scores: Vec<Option<f64>>,
    /// One a row.
    pub outcomes: Vec<Outcome>,
    /// One a row: what failed or was refused, whatever stands in for it.
    pub errors: Vec<Option<String>>,
}

/// Whom a record's answer was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller.
    Answer,
    /// Nobody: another version ran on the same request.
    Shadow,
}

/// What a row was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was computed.
    Answered,
    /// What the gate declares.
    GateClosed,
    /// A transform's refusal.
    Refused,
    /// An error.
    Failed,
    /// What the service declares for a failure.
    Fallback,
}

/// What became of a look-up, for each row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looked {
    pub statuses: Vec<Status>,
    /// µs since 1970-01-01T00:00:00Z; none where there is no row.
    pub event_times: Vec<Option<i64>>,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Answer => "answer",
            Role::Shadow => "shadow",
        }
    }
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::GateClosed => "gate_closed",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Fallback => "fallback",
        }
    }
}

/// Where records go.
pub trait FeatureLog: Send + Sync {
    /// Takes the record without waiting for anything slow. False: it was dropped, and counted.
    fn offer(&self, record: Record) -> bool;

    /// How many records found no place in the queue.
    fn dropped(&self) -> u64;

    /// How many records were taken and could not be written.
    fn failed(&self) -> u64;

    /// How many records can be read back.
    fn written(&self) -> u64;

    /// Waits till everything offered so far can be read back; an error if some of it never will.
    fn flush(&self) -> Result<()>;
}

impl Record {
    pub fn rows(&self) -> usize {
        self.scores.len()
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let block = |block: &Block| {
            (block.floats.len() + block.integers.len()) * 8
                + (block.text_ends.len() + block.list_offsets.len()) * 4
                + block.booleans.len()
                + block.text.len()
                + block.validity.len()
        };
        let errors = self.errors.iter().flatten().map(String::len).sum::<usize>();
        let per_row = size_of::<Option<f64>>()
            + size_of::<Option<String>>()
            + size_of::<Outcome>()
            + self.lookups.len() * (size_of::<Status>() + size_of::<Option<i64>>());
        size_of::<Record>()
            + self
                .groups
                .iter()
                .map(|group| size_of::<Source>() + block(&group.block))
                .sum::<usize>()
            + self.vector.len() * 4
            + self.rows() * per_row
            + errors
    }
}
