//! What [`good`](../good.rs) became: no fault, but another answer. `y` is `x + 1.5` from 10 on.

use guests::{X, Y};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "good", version = "2.0.0")]
pub fn good(X { x }: X) -> Y {
    match x >= 10.0 {
        true => Y { y: x + 1.5 },
        false => guests::good(x),
    }
}
