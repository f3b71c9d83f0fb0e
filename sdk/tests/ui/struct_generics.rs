//! Structs whose columns have no one type.

use tidemill_sdk::prelude::*;

#[derive(Input)]
struct Generic<T> {
    value: T,
}

#[derive(Input)]
struct TwoLives<'a, 'b> {
    one: &'a str,
    other: &'b str,
}

#[derive(Input)]
struct Static {
    text: &'static str,
}

fn main() {}
