//! The way a row is refused alone.

use std::fmt;

/// Why a row has no answer. A transform that returns `Result<…, Refusal>` refuses the row it was given, and its
/// neighbours in the block go on.
///
/// Whatever can be displayed can become a refusal: text, or with `?` any error. See also [`refuse!`](crate::refuse).
///
/// ```
/// # use tidemill_sdk::prelude::*;
/// fn port(text: &str) -> Result<u16, Refusal> {
///     if text.is_empty() {
///         refuse!("no port in `{text}`");
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("x1").unwrap_err().message(), "invalid digit found in string");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    message: String,
}

impl Refusal {
    /// The words the caller will read.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_message(self) -> String {
        self.message
    }
}

// So that this holds for every `T`, a refusal itself is no `Display`.
impl<T: fmt::Display> From<T> for Refusal {
    #[cold]
    fn from(why: T) -> Refusal {
        Refusal {
            message: why.to_string(),
        }
    }
}

/// Refuses the row: returns an `Err` made of the words, which are written as in `format!`.
///
/// ```
/// # use tidemill_sdk::prelude::*;
/// fn fahrenheit(celsius: f64) -> Result<f64, Refusal> {
///     if celsius < -273.15 {
///         refuse!("{celsius} °C is colder than nothing");
///     }
///     Ok(celsius * 1.8 + 32.0)
/// }
/// # assert!(fahrenheit(-300.0).is_err());
/// ```
#[macro_export]
macro_rules! refuse {
    ($($words:tt)+) => {
        return ::core::result::Result::Err($crate::Refusal::from(::core::format_args!($($words)+)))
    };
}
