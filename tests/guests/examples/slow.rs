//! Takes a million turns for each unit of `x`: slow, but it ends.

use guests::{X, Y, good};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "slow")]
pub fn slow(X { x }: X) -> Y {
    let turns = (0..(x * 1e6) as u64).fold(0, |sum, turn| sum + std::hint::black_box(turn & 1));
    std::hint::black_box(turns);
    good(x)
}
