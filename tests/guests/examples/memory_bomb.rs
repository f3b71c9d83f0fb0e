//! Takes memory until there is none when `x` is 13.

use guests::{X, Y, good, is_unlucky};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "memory-bomb")]
pub fn memory_bomb(X { x }: X) -> Y {
    let mut hoard = Vec::new();
    while is_unlucky(x) {
        hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
    good(x)
}
