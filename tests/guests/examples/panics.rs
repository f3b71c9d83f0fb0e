//! Panics when `x` is 13.

use guests::{X, Y, good, is_unlucky};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "panics")]
pub fn panics(X { x }: X) -> Y {
    if is_unlucky(x) {
        panic!("{x} brings bad luck");
    }
    good(x)
}
