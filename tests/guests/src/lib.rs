//! A small zoo of bad guests: one fault a file in `examples`, each named for its fault.
//!
//! One command makes them all: `cargo build --package guests --examples --target wasm32-unknown-unknown`. Unless the
//! fault needs otherwise a guest takes `x: f64` and gives `y: f64`, is wrong when `x` is 13, and else gives `x + 1`,
//! so that one transform can be seen to fail and to go on.
//!
//! Some faults cannot be written with the SDK. Those guests go through its raw door: they implement [`Transform`]
//! by hand, and [`export`] themselves.

use tidemill_sdk::prelude::*;

pub use tidemill_sdk::__private::bindings::tidemill::transform::types::{
    Answer, Block, DataType, Description, Failure, Field, Refusal as RowRefusal, Scalar,
};
pub use tidemill_sdk::Transform;

/// What nearly every guest takes.
#[derive(Input)]
pub struct X {
    pub x: f64,
}

/// What nearly every guest gives.
#[derive(Output)]
pub struct Y {
    pub y: f64,
}

/// Whether the guest shall be wrong now.
pub fn is_unlucky(x: f64) -> bool {
    x == 13.0
}

/// The honest answer to one row.
pub fn good(x: f64) -> Y {
    Y { y: x + 1.0 }
}

/// The honest description of a guest, for those that describe themselves by hand.
pub fn description(name: &str) -> Description {
    let float = |name: &str| Field {
        name: name.into(),
        data_type: DataType::One(Scalar::Float),
        nullable: false,
        doc: String::new(),
        minimum: None,
        maximum: None,
    };
    Description {
        name: name.into(),
        version: "1.0.0".into(),
        doc: "One fault.".into(),
        inputs: vec![float("x")],
        outputs: vec![float("y")],
        provenance: Vec::new(),
    }
}

/// The honest answer to a block.
pub fn answer(rows: &Block) -> Answer {
    let floats = rows.floats.iter().map(|x| x + 1.0).collect();
    let none = || Block {
        rows: rows.rows,
        floats: Vec::new(),
        integers: Vec::new(),
        booleans: Vec::new(),
        text: Vec::new(),
        text_ends: Vec::new(),
        list_offsets: Vec::new(),
        validity: Vec::new(),
    };
    Answer {
        rows: Block { floats, ..none() },
        refusals: Vec::new(),
    }
}

/// Whether one of the rows asks for the fault.
pub fn has_unlucky(rows: &Block) -> bool {
    rows.floats.iter().any(|x| is_unlucky(*x))
}

/// Exports a type that implements [`Transform`] by hand.
#[macro_export]
macro_rules! export {
    ($guest:ident) => {
        #[cfg(target_family = "wasm")]
        ::tidemill_sdk::__private::bindings::export_transform!($guest);
    };
}
