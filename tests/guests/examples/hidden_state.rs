//! Counts its calls, and tells: a warm instance answers unlike a fresh one.

use std::sync::atomic::{AtomicU64, Ordering};

use guests::{X, Y};
use tidemill_sdk::prelude::*;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// One fault.
#[transform(name = "hidden-state")]
pub fn hidden_state(X { x }: X) -> Y {
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    Y {
        y: x + calls as f64,
    }
}
