//! What a request is told that cannot be taken now: 503, after how long to come again, and nothing read of it.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::body;
use crate::load::{Load, Overload};

/// Bytes of a body that are looked for nowhere but in what has been read already.
const SMALL: u64 = 4 << 10;

/// How long a client may go on sending what nobody reads. Cut off at once, it would not get to read the answer, and what
/// it sends next needed a new connection.
const DRAIN: Duration = Duration::from_secs(5);

macro_rules! problem {
    ($detail:literal) => {
        concat!(
            r#"{"type":"urn:tidemill:problem:overloaded","title":"The server has more to do than it can","status":503,"detail":""#,
            $detail,
            r#"; come again after the seconds in Retry-After"}"#
        )
    };
}

/// The answer, its bytes made beforehand: what is turned away should cost little. What is left of the body is read and
/// thrown away beside it, up to `limit` bytes.
pub fn answer(load: &Load, why: Overload, body: Body, limit: usize) -> Response {
    let problem = match why {
        Overload::InFlight => {
            problem!("as many requests are in flight as may be (server.in_flight)")
        }
        Overload::Wait => {
            problem!("the requests in flight take longer than a request may wait (server.wait_ms)")
        }
        Overload::Bytes => {
            problem!("the bodies of requests take up what they may (server.in_flight_bytes)")
        }
        Overload::Batch => {
            problem!(
                "as many large requests are in flight as may be (a quarter of server.in_flight)"
            )
        }
        Overload::Connections => {
            problem!("as many connections are open as may be (server.connections)")
        }
    };
    // A small one has come with the head, and is gone with it.
    if body.size_hint().exact().is_none_or(|bytes| bytes > SMALL) {
        tokio::spawn(body::drain(body, limit, DRAIN));
    }
    let mut response = Response::new(Body::from(problem));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::RETRY_AFTER, HeaderValue::from(load.retry_after()));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::http::problem::Kind;

    #[test]
    fn it_is_the_problem_of_the_table() {
        let problem: Value = serde_json::from_str(problem!("as many …")).unwrap();
        let row = Kind::Overloaded.row();
        assert_eq!(problem["type"], json!(Kind::Overloaded.urn()));
        assert_eq!(problem["title"], json!(row.title));
        assert_eq!(problem["status"], json!(row.status));
        assert_eq!(problem.as_object().unwrap().len(), 4 + row.members.len());
    }
}
