//! Options of fields that make no sense.

use tidemill_sdk::prelude::*;

#[derive(Output)]
struct Unknown {
    #[field(minimum = 0.0)]
    level: f64,
}

#[derive(Output)]
struct Text {
    #[field(max = 10)]
    name: String,
}

#[derive(Output)]
struct Upside {
    #[field(min = 1, max = -1)]
    level: f64,
}

#[derive(Output)]
struct Twins {
    level: f64,
    #[field(rename = "level")]
    depth: f64,
}

#[derive(Output)]
struct Dotted {
    #[field(rename = "plane.seats")]
    seats: i64,
}

fn main() {}
