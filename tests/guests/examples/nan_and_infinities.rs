//! Gives NaN, +∞ and −∞ when `x` is 13, 14 and 15.

use guests::{X, Y, good};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "nan-and-infinities")]
pub fn nan_and_infinities(X { x }: X) -> Y {
    match x {
        13.0 => Y { y: f64::NAN },
        14.0 => Y { y: f64::INFINITY },
        15.0 => Y {
            y: f64::NEG_INFINITY,
        },
        _ => good(x),
    }
}
