//! Describes itself in other words each time.

use std::sync::atomic::{AtomicU64, Ordering};

use guests::{Answer, Block, Description, Failure, Transform};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// One fault.
pub struct ChangingDescription;

impl Transform for ChangingDescription {
    fn describe() -> Description {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        Description {
            doc: format!("Call {calls}."),
            ..guests::description("changing-description")
        }
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        Ok(guests::answer(rows))
    }
}

guests::export!(ChangingDescription);
