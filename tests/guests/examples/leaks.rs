//! Loses a mebibyte of memory in every row, and is right besides.

use guests::{X, Y, good};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "leaks")]
pub fn leaks(X { x }: X) -> Y {
    std::hint::black_box(Vec::leak(vec![1_u8; 1 << 20]));
    good(x)
}
