//! Calls itself without end when `x` is 13.

use guests::{X, Y, good, is_unlucky};
use tidemill_sdk::prelude::*;

#[allow(unconditional_recursion, reason = "the fault")]
fn down(depth: u64) -> f64 {
    // More than a tail call: the frame is needed after it.
    std::hint::black_box(depth) as f64 + down(depth + 1)
}

/// One fault.
#[transform(name = "stack-overflow")]
pub fn stack_overflow(X { x }: X) -> Y {
    if is_unlucky(x) {
        good(down(0))
    } else {
        good(x)
    }
}
