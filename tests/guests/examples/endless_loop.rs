//! Never comes back when `x` is 13.

use guests::{X, Y, good, is_unlucky};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "endless-loop")]
pub fn endless_loop(X { x }: X) -> Y {
    while is_unlucky(x) {
        std::hint::spin_loop();
    }
    good(x)
}
