//! Answers with 200 MB of text when `x` is 13.

use guests::{X, is_unlucky};
use tidemill_sdk::prelude::*;

/// Text of any length.
#[derive(Output)]
pub struct Words {
    pub y: String,
}

/// One fault.
#[transform(name = "oversized-answer")]
pub fn oversized_answer(X { x }: X) -> Words {
    Words {
        y: if is_unlucky(x) {
            "x".repeat(200_000_000)
        } else {
            "x".into()
        },
    }
}
