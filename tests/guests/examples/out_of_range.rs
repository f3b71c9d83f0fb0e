//! Promises at most 1, and gives 2 when `x` is 13.

use guests::{X, is_unlucky};
use tidemill_sdk::prelude::*;

/// A promise.
#[derive(Output)]
pub struct AtMostOne {
    #[field(max = 1.0)]
    pub y: f64,
}

/// One fault.
#[transform(name = "out-of-range")]
pub fn out_of_range(X { x }: X) -> AtMostOne {
    AtMostOne {
        y: if is_unlucky(x) { 2.0 } else { 0.5 },
    }
}
