//! Write a Tidemill transform: two structs and one function.
//!
//! ```
//! use tidemill_sdk::prelude::*;
//!
//! #[derive(Input)]
//! struct Leg<'a> {
//!     /// Two-letter IATA code.
//!     carrier: &'a str,
//!     scheduled: Timestamp,
//!     departed: Option<Timestamp>,
//! }
//!
//! #[derive(Output)]
//! struct Delay {
//!     minutes_late: Option<f64>,
//!     is_late: bool,
//! }
//!
//! /// Minutes between schedule and departure.
//! #[transform(name = "departure-delay")]
//! fn departure_delay(leg: Leg) -> Delay {
//!     let minutes_late = leg.departed.map(|departed| departed.minutes_since(leg.scheduled));
//!     Delay { minutes_late, is_late: minutes_late.is_some_and(|minutes| minutes > 15.0) }
//! }
//! # fn main() {}
//! ```
//!
//! The function stays an ordinary function: call it in a test, or run it on rows as the host does with
//! [`testing`]. Built for `wasm32-unknown-unknown` the same file is the component that Tidemill registers.
//!
//! # The types of a field
//!
//! | a column of | in an [`Input`] | in an [`Output`] |
//! |---|---|---|
//! | `bool`, `i64`, `f64` | the same | the same |
//! | text | `&'a str` | `String`, `&'a str`, `&'static str` |
//! | timestamp | [`Timestamp`] | [`Timestamp`] |
//! | json | [`Json<'a>`](Json) | [`Json<'a>`](Json) |
//! | list of `f64`, `i64`, timestamp | `&'a [f64]`, `&'a [i64]`, `&'a [Timestamp]` | the same, or `Vec` |
//! | list of `bool`, text, json | [`Bools<'a>`](Bools), [`Texts<'a>`](Texts), [`Jsons<'a>`](Jsons) | `Vec` or slice of these |
//!
//! and `Option` of each, where a row may have no value. Doc comments of fields and of the function are carried in
//! the component. A field may say more with `#[field(min = 0.0, max = 1.0, rename = "type")]`; `r#type` is named `type`.
//!
//! A range binds both sides. A row with an input outside of it never reaches the function: it is refused in the
//! transform's name, wherever it comes from. An output outside of it is a fault. NaN is in no range; without one, a float
//! may be anything.
//!
//! # What it costs
//!
//! Numbers, text and lists are borrowed from the block: reading a row allocates nothing and copies no text.
//! Writing numbers and booleans goes straight to their place in the answer. A `String` costs its own allocation and,
//! unless it is the only row, one copy; a `Vec` costs its own allocation and one copy.
//!
//! # What a transform must not do
//!
//! Remember. Equal rows give equal answers, whatever was asked before and whatever stands beside them: Tidemill
//! checks this on generated rows when a transform is registered. A cache of something that cannot
//! change, like a parsed time zone, is no memory in this sense.

#![deny(missing_docs, unsafe_code)]

// The macros name this crate `::tidemill_sdk`, also in its own tests.
extern crate self as tidemill_sdk;

#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    reason = "written by wit-bindgen"
)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "transform",
        path: "../wit",
        additional_derives: [Clone, PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_transform",
        default_bindings_module: "::tidemill_sdk::__private::bindings",
        runtime_path: "::tidemill_sdk::__private::wit_bindgen::rt",
    });
}
#[allow(missing_docs, reason = "what the macros use is told where it is used")]
mod input;
mod json;
mod list;
#[allow(missing_docs, reason = "what the macros use is told where it is used")]
mod output;
mod read;
mod refusal;
#[allow(missing_docs, reason = "what the macros use is told where it is used")]
mod run;
#[allow(missing_docs, reason = "what the macros use is told where it is used")]
mod shape;
pub mod testing;
mod timestamp;
mod write;

pub use input::Input;
pub use json::Json;
pub use list::{Bools, Jsons, List, Texts};
pub use output::Output;
pub use refusal::Refusal;
pub use run::Transform;
pub use timestamp::{BadTimestamp, Timestamp};

pub use tidemill_sdk_derive::{Input, Output, transform};

/// All that a transform's file needs.
pub mod prelude {
    pub use crate::{
        Bools, Input, Json, Jsons, Output, Refusal, Texts, Timestamp, refuse, transform,
    };
}

/// What the macros write down. No part of the SDK's promise: it may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::input::{FromColumn, Input};
    pub use crate::output::{IntoColumn, Outcome, Output, Ranged};
    pub use crate::read::Reader;
    pub use crate::run::{About, Function, Visitor};
    pub use crate::shape::{Field, Shape, Slot, ascending};
    pub use crate::write::Pools;
    pub use wit_bindgen;
}
