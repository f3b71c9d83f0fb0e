//! Arguments and answers that are no blocks.

use tidemill_sdk::prelude::*;

#[derive(Input)]
struct X {
    x: f64,
}

#[derive(Output)]
struct Y {
    y: f64,
}

/// Not an input.
#[transform]
fn of_a_number(x: f64) -> Y {
    Y { y: x }
}

/// Not an output.
#[transform]
fn to_a_number(x: X) -> f64 {
    x.x
}

/// An output that may be missing.
#[transform]
fn to_an_option(x: X) -> Option<Y> {
    Some(Y { y: x.x })
}

fn main() {}
