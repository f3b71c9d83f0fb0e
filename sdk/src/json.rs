//! Nested raw payload, as text.

use std::borrow::Cow;
use std::fmt;

/// Text that holds one JSON value. In an [`Input`](crate::Input) it is borrowed from the block and known to be
/// valid; bring the parser you like. In an [`Output`](crate::Output) it is yours to be valid.
///
/// ```
/// # use tidemill_sdk::prelude::*;
/// let payload = Json::new(r#"{"clicks":[1,2]}"#);
/// assert_eq!(payload.as_str().len(), 16);
/// let answer = Json::new(format!("[{}]", payload.as_str()));
/// # let _ = answer;
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// Takes text that holds one JSON value.
    #[inline]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Json<'a> {
        Json(text.into())
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[inline]
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        self.0
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
