//! Reading what a client sends, up to a limit.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use tokio::time::timeout;

use super::Problem;
use super::connections::Slow;
use crate::error::Error;
use crate::load::{Overload, Weight};

/// The whole body, if it is at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    to_bytes(body, limit)
        .await
        .map_err(|error| broken(error, limit))
}

/// Why a request is not answered.
pub enum Refused {
    Wrong(Problem),
    /// With what is left of its body.
    Overload(Overload, Body),
}

impl<E: Into<Problem>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::Wrong(error.into())
    }
}

/// As [`read`]; what is read takes up `weight`.
pub async fn weighed(mut body: Body, limit: usize, weight: &mut Weight) -> Result<Bytes, Refused> {
    let mut pieces = Vec::new();
    let mut length = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| broken(error, limit))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        length += piece.len();
        if length > limit {
            return Err(too_large(limit).into());
        }
        if let Err(why) = weight.add(piece.len()) {
            return Err(Refused::Overload(why, body));
        }
        pieces.push(piece);
    }
    // Small ones come in one piece.
    Ok(match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    })
}

/// Reads what is still coming and throws it away, up to `limit` bytes and for so long. A connection closed before would be
/// reset, and the answer lost.
pub async fn drain(mut body: Body, limit: usize, patience: Duration) {
    let all = async {
        let mut left = limit;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    let _ = timeout(patience, all).await;
}

/// What Parquet files are sent as.
pub const PARQUET: &str = "application/vnd.apache.parquet";

/// A Parquet file, if the body is at most `limit` bytes and says nothing else of itself.
pub async fn parquet(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    match content_type(headers) {
        "" | PARQUET | "application/octet-stream" => read(body, limit).await,
        other => Err(Problem::unsupported_media(other, PARQUET)),
    }
}

/// Whether lines are sent, a row each.
pub fn is_ndjson(headers: &HeaderMap) -> bool {
    matches!(
        content_type(headers),
        "application/x-ndjson" | "application/ndjson"
    )
}

fn broken(error: axum::Error, limit: usize) -> Problem {
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        if let Some(slow) = cause.downcast_ref::<Slow>() {
            return Problem::slow_body(slow);
        }
        if cause.to_string().contains("length limit exceeded") {
            return too_large(limit);
        }
        source = cause.source();
    }
    Error::invalid("body", format!("it broke off: {error}")).into()
}

fn too_large(limit: usize) -> Problem {
    Error::TooLarge {
        what: "the body".to_owned(),
        limit: format!("{limit} bytes"),
    }
    .into()
}

/// The encoding of a body that is not sent as it is: none is read here, for a few bytes of it may stand for many.
pub fn encoding(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::CONTENT_ENCODING).iter();
    let named = all.find(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    });
    named.map(|value| value.to_str().unwrap_or("?"))
}

/// Whether a definition is sent as TOML: by that name, by none, or by those that tools give to any text.
pub fn is_toml(headers: &HeaderMap) -> bool {
    matches!(
        content_type(headers),
        "" | "application/toml"
            | "text/plain"
            | "application/octet-stream"
            | "application/x-www-form-urlencoded"
    )
}

/// The content type without its parameters; empty if there is none.
pub fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}
