//! No fault at all: `y` is `x + 1`.

use guests::{X, Y};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "good")]
pub fn good(X { x }: X) -> Y {
    guests::good(x)
}
