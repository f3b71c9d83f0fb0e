//! Fields of an input whose types no column has.

use tidemill_sdk::prelude::*;

#[derive(Input)]
struct Reading<'a> {
    place: String,
    count: u32,
    level: Option<f32>,
    history: Vec<f64>,
    tags: &'a [&'a str],
    good: &'a str,
}

fn main() {}
