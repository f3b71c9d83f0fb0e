//! Fields of an output whose types no column has.

use tidemill_sdk::prelude::*;

struct Kelvin(f64);

#[derive(Output)]
struct Reading {
    level: Kelvin,
    count: Option<usize>,
    twice: Option<Option<f64>>,
    history: Vec<f32>,
    good: f64,
}

fn main() {}
