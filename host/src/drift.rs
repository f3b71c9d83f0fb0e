//! Drift: whether what a service sees and answers still looks as it did when its model was trained.
//!
//! Each column of the feature log is compared with the statistics in the manifest of the model's training set: in which bins
//! its values lie ([`psi`]), how many are missing, mean and quantiles. The server does it on the feature log's own thread, with
//! what was written anyway ([`Watch`]): no answer waits, and what is kept is bounded. `tidemill drift --log` does the same
//! with the files.

mod bins;
mod counted;
mod psi;
mod reference;
mod report;
#[cfg(test)]
mod tests;
mod watch;

pub use counted::Counted;
pub use psi::{EPSILON, psi};
pub use reference::Reference;
pub use report::{ColumnDrift, DRIFTED, FEW, LOOK, Moved, Reading, Report, Side, Span};
pub use watch::{Settings, Watch, unknown};
