//! Things that are no struct with named fields.

use tidemill_sdk::prelude::*;

#[derive(Input)]
struct Pair(f64, f64);

#[derive(Input)]
struct Nothing;

#[derive(Output)]
enum Level {
    Low,
    High,
}

fn main() {}
