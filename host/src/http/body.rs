//! Reading what a client sends, up to a limit.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use bytes::Bytes;

use super::Problem;
use crate::error::Error;

/// The whole body, if it is at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|error| {
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(cause) = source {
            if cause.to_string().contains("length limit exceeded") {
                return Error::TooLarge {
                    what: "the body".to_owned(),
                    limit: format!("{limit} bytes"),
                }
                .into();
            }
            source = cause.source();
        }
        Error::invalid("body", format!("it broke off: {error}")).into()
    })
}

/// The content type without its parameters; empty if there is none.
pub fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}
