//! NDJSON in, NDJSON out: any number of rows in the memory of a few hundred.
//!
//! The answer pulls: a chunk of lines is read only when the one before it has been written out, so a client that does not
//! read is not read from. A chunk is what has arrived, up to [`CHUNK_ROWS`] or [`CHUNK_BYTES`]; it is answered as one
//! request, with a request id of its own, which each of its results carries.

mod chunk;
pub(super) mod lines;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use self::chunk::Scoring;
use self::lines::Lines;
use super::Shared;
use super::score::answerable;
use crate::error::{Error, Result};
use crate::metrics::InFlight;
use crate::service::Wanted;

/// Rows of a chunk, at most.
const CHUNK_ROWS: usize = 1_000;

/// Bytes of a chunk at which it is full.
const CHUNK_BYTES: usize = 256 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The features in each result, as `"features": true` in a JSON body.
    #[serde(default)]
    features: bool,
}

/// Answers a request whose body is NDJSON.
pub fn stream(shared: &Shared, id: &str, wanted: Wanted, request: Request) -> Result<Response> {
    let service = shared.app.registry.catalog().service_by_id(id)?.clone();
    answerable(&service, wanted)?;
    let Query(options) = Query::<Options>::try_from_uri(request.uri()).map_err(|error| {
        Error::invalid(
            "query",
            format!("{}; there is features=true", error.body_text()),
        )
    })?;
    // Who announces a short body will likely read only when it is sent: then it is all read before the first answer.
    let whole = length(request.headers()).is_some_and(|length| length <= CHUNK_BYTES);
    let name = format!("{}@{}", service.name(), service.plan.number);
    let scoring = Scoring {
        app: shared.app.clone(),
        service,
        wanted,
        features: options.features,
    };
    let stream = Stream::new(scoring, request.into_body(), whole);
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/x-ndjson"),
        ("tidemill-service", name.as_str()),
    ];
    Ok((headers, Body::from_stream(stream.answers())).into_response())
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A request being answered. When the client goes away this is dropped, and with it what waits to be computed.
struct Stream {
    lines: Lines,
    scoring: Arc<Scoring>,
    /// How many rows have been taken.
    rows: u64,
    ended: bool,
    _in_flight: InFlight,
}

impl Stream {
    fn new(scoring: Scoring, body: Body, whole: bool) -> Stream {
        let (app, limit) = (&scoring.app, scoring.app.config.server.body_limit);
        Stream {
            lines: Lines::new(body, limit, whole),
            _in_flight: InFlight::new(&app.metrics),
            scoring: Arc::new(scoring),
            rows: 0,
            ended: false,
        }
    }

    /// Chunk after chunk, each when it is asked for.
    fn answers(self) -> impl futures_util::Stream<Item = Result<Vec<u8>, Infallible>> {
        futures_util::stream::unfold(self, |mut stream| async {
            let answer = stream.next().await?;
            Some((Ok(answer), stream))
        })
    }

    /// The results of the next chunk, a line each; after a line that nothing can follow, no more.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let outcome = match self.lines.next().await {
            Ok(None) => return None,
            Ok(Some(chunk)) => {
                let (first, scoring) = (self.rows, self.scoring.clone());
                self.rows += chunk.lines.len() as u64;
                let permit = self.scoring.app.load.batch_turn().await;
                let here = tokio::runtime::Handle::current();
                tokio::task::spawn_blocking(move || {
                    // Held until the work is done, also where nobody waits for it any more.
                    let _permit = permit;
                    here.block_on(scoring.answer(&chunk, first))
                })
                .await
                .map_err(|error| Error::Internal(error.to_string()))
            }
            Err(error) => Err(error),
        };
        Some(outcome.unwrap_or_else(|error| {
            self.ended = true;
            self.scoring.last_line(self.rows, self.lines.line(), error)
        }))
    }
}
