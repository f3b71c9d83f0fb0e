//! Asks for the time: a component that imports something.

use guests::{X, Y};
use tidemill_sdk::prelude::*;

#[allow(unsafe_code, clippy::all, reason = "written by wit-bindgen")]
mod clock {
    wit_bindgen::generate!({
        inline: "
            package guests:clock;

            world clock {
                import now: func() -> f64;
            }
        ",
    });
}

/// One fault.
#[transform(name = "imports-clock")]
pub fn imports_clock(X { x }: X) -> Y {
    Y {
        y: x + clock::now(),
    }
}
