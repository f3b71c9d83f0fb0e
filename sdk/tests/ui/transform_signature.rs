//! Functions that cannot be transforms.

use tidemill_sdk::prelude::*;

#[derive(Input)]
struct X {
    x: f64,
}

#[derive(Output)]
struct Y {
    y: f64,
}

/// Two arguments.
#[transform]
fn two(x: X, more: X) -> Y {
    Y { y: x.x + more.x }
}

/// No argument.
#[transform]
fn none() -> Y {
    Y { y: 0.0 }
}

/// A reference.
#[transform]
fn by_reference(x: &X) -> Y {
    Y { y: x.x }
}

/// Nothing given.
#[transform]
fn gives_nothing(_: X) {}

/// It waits.
#[transform]
async fn waits(x: X) -> Y {
    Y { y: x.x }
}

/// Of many types.
#[transform]
fn generic<T>(x: X) -> Y {
    Y { y: x.x }
}

fn main() {}
