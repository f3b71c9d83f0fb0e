//! What a trial showed, for those who register and for those who look later.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::Error;
use crate::transform::Transform;

/// What running a transform on rows showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AdmissionReport)]
pub struct Report {
    #[serde(default)]
    pub verdict: Verdict,
    /// Rows tried, in every way if it was admitted; fewer than there were if each is very dear.
    pub rows: usize,
    /// Of the generated rows; none where the rows were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Rows that the transform refused, as it may.
    pub refused_rows: usize,
    /// Fuel of a call of one row. Of a refused transform, of the first of those rows that it could answer.
    pub fuel_per_row: Spread,
    /// Most linear memory that an instance had.
    pub memory_bytes: usize,
    pub component_bytes: usize,
    /// None where it came from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_millis: Option<u64>,
    /// Most rows of one call, most calls to one instance and most rows of one instance: as many as the host's limits
    /// let there be, unless the transform is so dear that its trial ended before.
    #[serde(default)]
    pub largest_call: usize,
    #[serde(default)]
    pub calls_of_one_instance: usize,
    #[serde(default)]
    pub rows_of_one_instance: usize,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    #[default]
    Admitted,
    Refused,
}

/// Of numbers, one a row. All zero where no row was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    pub median: u64,
    pub p99: u64,
    pub worst: u64,
}

/// Why a transform was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AdmissionFailure)]
pub struct Failure {
    /// One word: a fault's (`trap`, `out_of_fuel`, `bad_answer`, …); `state`, `neighbours`, `order`, `rows` or `unknown` for
    /// what its answer hangs on beside the row; `component` where it could not be run at all.
    pub cause: String,
    /// In a sentence.
    pub reason: String,
    /// The smallest row that shows it, where one row does; none if it is very long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Value>,
    /// What JSON cannot say of the row: `"x" is NaN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_notes: Vec<String>,
}

impl Report {
    pub(super) fn begun(transform: &Transform, seed: Option<u64>) -> Report {
        Report {
            seed,
            compile_millis: transform.compile_time().map(|took| took.as_millis() as u64),
            ..Report::empty(transform.component_size())
        }
    }

    fn empty(component_bytes: usize) -> Report {
        Report {
            verdict: Verdict::Admitted,
            rows: 0,
            seed: None,
            refused_rows: 0,
            fuel_per_row: Spread::default(),
            memory_bytes: 0,
            component_bytes,
            compile_millis: None,
            largest_call: 0,
            calls_of_one_instance: 0,
            rows_of_one_instance: 0,
            failure: None,
        }
    }

    /// Notes the memory that an instance had after a call of `rows` rows.
    pub(super) fn saw(&mut self, memory: usize, rows: usize) {
        self.memory_bytes = self.memory_bytes.max(memory);
        self.largest_call = self.largest_call.max(rows);
    }

    pub(super) fn refusal(self, transform: &Transform, failure: Failure) -> Error {
        self.into_refusal(format!("transform {}", transform.name()), failure)
    }

    fn into_refusal(mut self, what: String, failure: Failure) -> Error {
        let reason = failure.reason.clone();
        self.verdict = Verdict::Refused;
        self.failure = Some(failure);
        Error::Refused {
            what,
            reason,
            report: serde_json::to_value(self).ok().map(Box::new),
        }
    }
}

/// The refusal of `bytes` that could not be run at all, with a report too.
pub fn unproven(error: Error, bytes: usize) -> Error {
    let Error::Refused {
        what,
        reason,
        report: None,
    } = error
    else {
        return error;
    };
    let failure = Failure {
        cause: "component".to_owned(),
        reason,
        row: None,
        row_notes: Vec::new(),
    };
    Report::empty(bytes).into_refusal(what, failure)
}

impl Spread {
    pub(super) fn of(mut all: Vec<u64>) -> Spread {
        all.sort_unstable();
        let Some(last) = all.len().checked_sub(1) else {
            return Spread::default();
        };
        Spread {
            median: all[last / 2],
            p99: all[last * 99 / 100],
            worst: all[last],
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows;
        match (&self.failure, self.verdict) {
            (_, Verdict::Admitted) => write!(
                f,
                "admitted: {rows} rows, fresh and warm, whole, split and one by one, in order and shuffled, {} in one call, \
                 {} calls and {} rows in the life of one instance: the same bits; {} refused",
                self.largest_call,
                self.calls_of_one_instance,
                self.rows_of_one_instance,
                self.refused_rows,
            )?,
            (Some(failure), Verdict::Refused) => {
                write!(f, "refused: {}", failure.cause)?;
                if let Some(row) = &failure.row {
                    write!(f, " on the row {row}")?;
                }
                if !failure.row_notes.is_empty() {
                    write!(f, ", where {}", failure.row_notes.join(", "))?;
                }
                write!(f, "; {rows} rows tried")?;
            }
            (None, Verdict::Refused) => write!(f, "refused; {rows} rows tried")?,
        }
        let Spread { median, p99, worst } = self.fuel_per_row;
        if worst > 0 {
            write!(
                f,
                "; fuel a row {median} (median), {p99} (p99), {worst} (worst)"
            )?;
        }
        if self.memory_bytes > 0 {
            write!(f, "; {} KiB of memory", self.memory_bytes.div_ceil(1 << 10))?;
        }
        write!(
            f,
            "; a component of {} KiB",
            self.component_bytes.div_ceil(1 << 10)
        )?;
        match self.compile_millis {
            Some(millis) => write!(f, ", compiled in {millis} ms"),
            None => Ok(()),
        }
    }
}
