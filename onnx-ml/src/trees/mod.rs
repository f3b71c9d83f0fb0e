//! Tree ensembles: `TreeEnsemble`, `TreeEnsembleClassifier`, `TreeEnsembleRegressor`.
//!
//! `parse_v3` and `parse_v5` read the two attribute schemes into a [`raw::Raw`], which is checked and laid out as
//! an [`ensemble::Ensemble`] (in `compact` where it fits, in `general` otherwise); `finish` turns a row's sums into
//! its outputs; `ops` carries all of it as operators.

pub(crate) mod compact;
pub(crate) mod ensemble;
pub(crate) mod finish;
pub(crate) mod general;
pub(crate) mod leaves;
pub(crate) mod number;
pub(crate) mod ops;
pub(crate) mod parse_v3;
pub(crate) mod parse_v5;
pub(crate) mod raw;
