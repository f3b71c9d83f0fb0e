//! Labels: what truly happened, learnt later, and more than once.
//!
//! A label speaks of a row that was answered: by the answer's `request_id` (and `row`), or by the service's own key, fields of
//! its request. Labels belong to a service's name and outlive its versions. All that ever was reported of a row is kept; what
//! counts is the **last**: of the latest `time`, which is the label's own where it has one, else when it arrived; of equal
//! times the later arrival. It counts as a whole: what it leaves out is null.

mod book;
mod declared;
mod join;
mod known;
pub mod put;
mod report;
mod store;
#[cfg(test)]
mod tests;

pub use book::Book;
pub use declared::{Declared, LabelsDefinition, column};
pub use join::{FOUND, Joined, asked, to_batch};
pub use known::unknown;
pub use report::{REQUEST_ID, ROW, Report, Subject, TIME, reports, subject_of, subjects};
pub use store::{Kept, Labels, Reported};
