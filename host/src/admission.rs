//! Whether a transform may be registered: it is run on generated rows in every way the host may ever run it, and refused
//! if one bit of the answers differs.
//!
//! The host keeps instances warm, splits large blocks and puts strangers' rows side by side. That is right only for a
//! transform whose answer to a row depends on nothing but the row, and a transform's word for it is not enough. A row
//! that is refused is an answer like another; a trap is none, and refuses the transform with the smallest row that shows
//! it. This proves nothing of rows that were not tried: the host goes on sampling in service.
//!
//! Rows and seed are the same for everyone, so an author sees at home what the registry will see.

mod cause;
mod numbers;
mod random;
mod rows;
mod smallest;
#[cfg(test)]
mod tests;
mod ways;
mod words;

pub use rows::rows;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::error::Result;
use crate::transform::Transform;

/// Of all generated rows. One for all transforms: versions of one are tried on the same rows.
pub const SEED: u64 = 1;

/// What running a transform on rows showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Rows run, in every way; fewer than there were if each is very dear.
    pub rows: usize,
    /// Of the generated rows; none where the rows were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Rows that the transform refused, as it may.
    pub refused_rows: usize,
    /// Fuel of a call of one row.
    pub fuel_per_row: Spread,
    /// Most linear memory that an instance had.
    pub memory_bytes: usize,
    pub component_bytes: usize,
    /// None where it came from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_millis: Option<u64>,
}

/// Of numbers, one a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub median: u64,
    pub p99: u64,
    pub worst: u64,
}

/// Runs generated rows: what a transform must bear to be registered. Errors as [`prove`].
pub fn admit(transform: &Transform) -> Result<Report> {
    let rows = rows(&transform.description().inputs, SEED);
    Ok(Report {
        seed: Some(SEED),
        ..prove(transform, &rows)?
    })
}

/// Runs `rows`, a block of the declared inputs: fresh and warm, whole and split, one by one, in order and shuffled.
///
/// [`crate::error::Error::Refused`] in one sentence: with the way in which answers differ and what the answers hang on,
/// or with the fault and the smallest row that shows it.
pub fn prove(transform: &Transform, rows: &Block) -> Result<Report> {
    let trial = ways::Trial::begin(transform, rows)?;
    let mut memory = trial.expected().memory;
    memory = memory.max(trial.whole()?);
    memory = memory.max(trial.warm()?);
    memory = memory.max(trial.shuffled()?);
    trial.one_by_one_fresh()?;
    let (fuel, most) = trial.one_by_one()?;
    Ok(Report {
        rows: trial.expected().rows.rows(),
        seed: None,
        refused_rows: trial.expected().refusals.len(),
        fuel_per_row: Spread::of(fuel),
        memory_bytes: memory.max(most),
        component_bytes: transform.component_size(),
        compile_millis: transform.compile_time().map(|took| took.as_millis() as u64),
    })
}

impl Spread {
    fn of(mut all: Vec<u64>) -> Spread {
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
        let Report {
            rows, fuel_per_row, ..
        } = self;
        let Spread { median, p99, worst } = fuel_per_row;
        write!(
            f,
            "{rows} rows, fresh and warm, whole, split and one by one, in order and shuffled: the same bits; {} refused; \
             fuel a row {median} (median), {p99} (p99), {worst} (worst); {} KiB of memory; a component of {} KiB",
            self.refused_rows,
            self.memory_bytes.div_ceil(1 << 10),
            self.component_bytes.div_ceil(1 << 10)
        )?;
        match self.compile_millis {
            Some(millis) => write!(f, ", compiled in {millis} ms"),
            None => Ok(()),
        }
    }
}
