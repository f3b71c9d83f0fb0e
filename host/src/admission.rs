//! Whether a transform may be registered: it is run on generated rows in every way the host may ever run it, and refused
//! if one bit of the answers differs.
//!
//! The host keeps instances warm, splits large blocks and puts strangers' rows side by side. That is right only for a
//! transform whose answer to a row depends on nothing but the row, and a transform's word for it is not enough. A row
//! that is refused is an answer like another; a trap is none, and refuses the transform with the smallest row that shows
//! it.
//!
//! An instance is tried for the whole of the life that `calls_per_instance` and `rows_per_instance` give it, and a call
//! is tried as large as `rows_per_call` lets it be: what counts calls or rows is found out, wherever it begins to tell.
//! What is left is what hangs on rows that were not tried: a state that one rare value sets, two neighbours that only
//! together are odd. And a dear transform is tried only for as long as the fuel of its trial reaches, which the report
//! says. For these the host goes on sampling in service.
//!
//! Rows and seed are the same for everyone, so an author sees at home what the registry will see.

mod cause;
pub mod diff;
mod life;
mod numbers;
mod random;
mod report;
mod rows;
mod smallest;
#[cfg(test)]
mod tests;
mod turns;
mod ways;
mod words;

pub use report::{Failure, Report, Spread, Verdict, unproven};
pub use rows::rows;
pub use turns::Turns;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::transform::Transform;

/// Of all generated rows. One for all transforms: versions of one are tried on the same rows.
pub const SEED: u64 = 1;

/// Why a trial ends before its time.
enum Stop {
    /// The transform is not to be admitted.
    Broken(Box<Failure>),
    /// It could not be tried.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Broken(Box::new(failure))
    }
}

/// Runs generated rows: what a transform must bear to be registered. Errors as [`prove`].
pub fn admit(transform: &Transform) -> Result<Report> {
    let rows = rows(&transform.description().inputs, SEED);
    tried(transform, &rows, Some(SEED))
}

/// Runs `rows`, a block of the declared inputs: fresh and warm, whole and split, one by one, in order and shuffled, in the
/// largest call there may be, and for the whole life of an instance.
///
/// [`Error::Refused`] in one sentence, with the report: with the way in which answers differ and what the answers hang
/// on, or with the fault and the smallest row that shows it.
pub fn prove(transform: &Transform, rows: &Block) -> Result<Report> {
    tried(transform, rows, None)
}

fn tried(transform: &Transform, rows: &Block, seed: Option<u64>) -> Result<Report> {
    let mut report = Report::begun(transform, seed);
    match run(transform, rows, &mut report) {
        Ok(()) => Ok(report),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Broken(failure)) => {
            report.fuel_per_row = life::fuel_of_some(transform, rows);
            Err(report.refusal(transform, *failure))
        }
    }
}

fn run(transform: &Transform, rows: &Block, report: &mut Report) -> Result<(), Stop> {
    let trial = ways::Trial::begin(transform, rows, report)?;
    report.refused_rows = trial.expected().refusals.len();
    trial.whole(report)?;
    trial.life_of_rows(report)?;
    trial.shuffled(report)?;
    trial.one_by_one_fresh()?;
    trial.largest(report)?;
    trial.life_of_calls(report)
}
