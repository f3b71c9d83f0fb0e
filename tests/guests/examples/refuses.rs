//! Refuses a row when `x` is 13: no fault, but what an author may do.

use guests::{X, Y, good, is_unlucky};
use tidemill_sdk::prelude::*;

/// One fault.
#[transform(name = "refuses")]
pub fn refuses(X { x }: X) -> Result<Y, Refusal> {
    if is_unlucky(x) {
        refuse!("{x} brings bad luck");
    }
    Ok(good(x))
}
