//! Behaves until it has seen one number that nobody tries, and counts its calls from then on: state that no admission
//! finds, and that only a running server can.

use std::sync::atomic::{AtomicU64, Ordering};

use guests::{X, Y};
use tidemill_sdk::prelude::*;

/// What wakes it: no edge of a type, and no number that a person would write.
const WORD: f64 = 271_828.182_845_904_5;

static AWAKE: AtomicU64 = AtomicU64::new(0);

/// One fault.
#[transform(name = "sleeper")]
pub fn sleeper(X { x }: X) -> Y {
    let calls = AWAKE.load(Ordering::Relaxed);
    if calls > 0 || x == WORD {
        AWAKE.store(calls + 1, Ordering::Relaxed);
    }
    Y {
        y: x + 1.0 + calls as f64,
    }
}
