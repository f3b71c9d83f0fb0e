//! Rows in files: Parquet, Arrow IPC, CSV and NDJSON in and out, and the way between blocks and Arrow arrays.
//!
//! This room knows neither HTTP nor tokio nor the steps of an answer.

pub mod arrow;
pub mod cell;
mod convert;
pub mod json;
pub mod parallel;
mod read;
pub mod table;
#[cfg(test)]
mod tests;
pub mod write;

pub use convert::{Fault, from_arrays};
pub use read::{BATCH_ROWS, Extension, Forgiving, Ill, Reader, forgiving, open, open_parquet};
