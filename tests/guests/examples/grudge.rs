//! Remembers one number that nobody tries, and traps at every call from then on: state that costs answers rather than
//! changes them.

use std::sync::atomic::{AtomicBool, Ordering};

use guests::{X, Y, good};
use tidemill_sdk::prelude::*;

/// What wakes it.
const WORD: f64 = 271_828.182_845_904_5;

static AWAKE: AtomicBool = AtomicBool::new(false);

/// One fault.
#[transform(name = "grudge")]
pub fn grudge(X { x }: X) -> Y {
    assert!(!AWAKE.load(Ordering::Relaxed), "never again");
    AWAKE.store(x == WORD, Ordering::Relaxed);
    good(x)
}
