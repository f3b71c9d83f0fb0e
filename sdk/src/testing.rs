//! Run a transform natively on rows made by hand, along the path that the component takes.
//!
//! ```
//! # use tidemill_sdk::prelude::*;
//! # #[derive(Input)] struct Leg { scheduled: Timestamp, departed: Option<Timestamp> }
//! # #[derive(Output)] struct Delay { minutes_late: Option<f64>, is_late: bool }
//! # /// Minutes between schedule and departure.
//! # #[transform] fn departure_delay(leg: Leg) -> Delay {
//! #     let minutes_late = leg.departed.map(|departed| departed.minutes_since(leg.scheduled));
//! #     Delay { minutes_late, is_late: minutes_late.is_some_and(|minutes| minutes > 15.0) }
//! # }
//! use tidemill_sdk::testing::{rows, run};
//!
//! let answer = run::<departure_delay>(rows![
//!     { scheduled: "2013-01-01T05:15:00-05:00", departed: "2013-01-01T05:17:00-05:00" },
//!     { scheduled: "2013-01-01T05:15:00-05:00", departed: null },
//! ]);
//! assert_eq!(answer, rows![
//!     { minutes_late: 2.0, is_late: false },
//!     { minutes_late: null, is_late: false },
//! ]);
//! assert_eq!(answer.column::<Option<f64>>("minutes_late"), [Some(2.0), None]);
//! ```
//!
//! An ordinary call of the function tests its formula; `run` tests besides what the host will see: the names,
//! the types, the nulls, the refusals, and that ranges are kept. Whatever the host would not let pass is a panic
//! here, with a message that lists what there is.

mod answer;
mod block;
mod value;

pub use answer::Answer;
pub use value::{Rows, Value, null};

#[doc(inline)]
pub use crate::rows;

use crate::Transform;
use crate::bindings::tidemill::transform::types::Description;

/// Runs a transform on rows, natively.
///
/// # Panics
///
/// If the host would refuse the rows or the answer: an unknown or missing column, a wrong type, a number out of
/// its range.
pub fn run<T: Transform>(rows: Rows) -> Answer {
    let description = T::describe();
    let block = block::encode(&rows, &description.inputs);
    match T::transform(&block) {
        Ok(answer) => Answer::new(answer, description.outputs),
        Err(failure) => panic!("the block was not understood: {}", failure.message),
    }
}

/// What the host will see of a transform, as text: name, version, doc, and one line a column.
///
/// ```
/// # use tidemill_sdk::prelude::*;
/// # #[derive(Input)] struct Number { /// Any number.
/// # x: f64 }
/// # #[derive(Output)] struct Sum { #[field(min = 0.0)] y: Option<f64> }
/// # /// One more.
/// # #[transform(name = "more", version = "1.0.0")] fn more(number: Number) -> Sum { Sum { y: Some(number.x + 1.0) } }
/// assert_eq!(tidemill_sdk::testing::describe::<more>(), "\
/// more@1.0.0: One more.
///   in  x: f64. Any number.
///   out y: f64 or null, at least 0
/// ");
/// ```
pub fn describe<T: Transform>() -> String {
    let Description {
        name,
        version,
        doc,
        inputs,
        outputs,
        ..
    } = T::describe();
    let inputs = inputs
        .iter()
        .map(|field| format!("  in  {}\n", block::tell(field)));
    let outputs = outputs
        .iter()
        .map(|field| format!("  out {}\n", block::tell(field)));
    format!("{name}@{version}: {doc}\n") + &inputs.chain(outputs).collect::<String>()
}

/// Rows by hand: `rows![{ carrier: "UA", left: null }, …]`.
///
/// A value is a `bool`, a number, text (also for timestamps, as RFC 3339, and for json), a
/// [`Timestamp`](crate::Timestamp), a `Vec` or an array of these, an `Option`, or `null`. A nullable column that is
/// left out is null. A column whose name is no identifier is written in quotes.
#[macro_export]
macro_rules! rows {
    ($({ $($name:tt : $value:expr),* $(,)? }),* $(,)?) => {
        $crate::testing::Rows::from_iter([$(
            ::std::vec::Vec::<(::std::string::String, $crate::testing::Value)>::from_iter([$((
                $crate::testing::Rows::name(::core::stringify!($name)),
                {
                    #[allow(unused_imports)]
                    use $crate::testing::null;
                    $crate::testing::Value::from($value)
                },
            )),*])
        ),*])
    };
}
