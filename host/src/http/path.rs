//! The parameters of a route's path.

use axum::extract::{FromRequestParts, rejection::PathRejection};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;
use crate::error::Error;

/// As axum's, but what cannot be read is a problem like any other.
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        let axum::extract::Path(read) = found.map_err(|error: PathRejection| {
            Error::invalid("path", format!("it cannot be read: {}", error.body_text()))
        })?;
        Ok(Path(read))
    }
}
