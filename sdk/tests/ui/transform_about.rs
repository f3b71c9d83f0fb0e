//! Names, versions and docs that nobody could register.

use tidemill_sdk::prelude::*;

#[derive(Input)]
struct X {
    x: f64,
}

#[derive(Output)]
struct Y {
    y: f64,
}

#[transform]
fn without_doc(x: X) -> Y {
    Y { y: x.x }
}

/// A bad name.
#[transform(name = "Bad Name")]
fn bad_name(x: X) -> Y {
    Y { y: x.x }
}

/// A bad version.
#[transform(version = "one")]
fn bad_version(x: X) -> Y {
    Y { y: x.x }
}

/// An unknown option.
#[transform(nmae = "typo")]
fn unknown_option(x: X) -> Y {
    Y { y: x.x }
}

/// No function.
#[transform]
struct NoFunction;

fn main() {}
