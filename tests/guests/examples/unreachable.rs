//! Executes the instruction `unreachable` when `x` is 13.

use guests::{X, Y, good, is_unlucky};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "unreachable")]
pub fn unreachable(X { x }: X) -> Y {
    if is_unlucky(x) {
        // On this target an abort is that instruction and nothing else.
        std::process::abort();
    }
    good(x)
}
