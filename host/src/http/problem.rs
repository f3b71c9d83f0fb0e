//! The one place where an error becomes an answer: RFC 9457 `application/problem+json`.
//!
//! The caller was wrong: 4xx, told in full. A transform failed: 500, told in full, for its author has to mend it. We
//! failed: 5xx, told in a sentence, and logged.

mod kind;

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::Role;
use crate::error::{Error, TransformName, listed};
pub use kind::{Form, Kind};

/// What happens where something registered is named.
pub(super) const FINDING: &[Kind] = &[Kind::NotFound, Kind::Internal];

/// What happens where something is written.
pub(super) const WRITING: &[Kind] = &[Kind::Internal, Kind::StoreFailed];

/// What happens where rows are answered.
pub(super) const SCORING: &[Kind] = &[
    Kind::RowRefused,
    Kind::TransformFailed,
    Kind::ModelFailed,
    Kind::StoreFailed,
    Kind::Late,
];

/// An error on its way out.
pub struct Problem {
    kind: Kind,
    detail: String,
    /// The members of its kind: `field`, `transform`, …
    members: Map<String, Value>,
    /// Seconds after which the same request may be answered otherwise.
    retry_after: Option<u32>,
}

impl Problem {
    fn new(kind: Kind, detail: impl ToString) -> Problem {
        Problem {
            kind,
            detail: detail.to_string(),
            members: Map::new(),
            retry_after: None,
        }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        debug_assert!(
            self.kind
                .row()
                .members
                .iter()
                .any(|member| member.name == name),
            "{:?} has no member {name}",
            self.kind
        );
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// One word for metrics, and the end of the problem's type.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn unsupported_media(found: &str, wanted: &str) -> Problem {
        let detail = format!("content-type {found} is not read here; send {wanted}");
        Problem::new(Kind::UnsupportedMediaType, detail)
    }

    pub fn unsupported_encoding(found: &str) -> Problem {
        let detail = format!("content-encoding {found} is not read here; send the body as it is");
        Problem::new(Kind::UnsupportedMediaType, detail)
    }

    /// Who asks could not be told. The answer says how to: `WWW-Authenticate`.
    pub fn unauthenticated(detail: impl ToString) -> Problem {
        Problem::new(Kind::Unauthenticated, detail)
    }

    /// Who asks may not.
    pub fn forbidden(detail: impl ToString, needed: Role) -> Problem {
        Problem::new(Kind::Forbidden, detail).with("needed", needed.name())
    }

    /// Without a token, and on behalf of another site.
    pub fn not_local(detail: impl ToString) -> Problem {
        Problem::new(Kind::NotLocal, detail)
    }

    pub fn too_many_attempts(detail: impl ToString) -> Problem {
        Problem::new(Kind::TooManyAttempts, detail)
    }

    /// The audit log cannot be written.
    pub fn audit_failed(detail: impl ToString) -> Problem {
        Problem::new(Kind::AuditFailed, detail)
    }

    /// A job more than may wait.
    pub fn jobs_full(limit: usize, retry_after: u32) -> Problem {
        let detail =
            format!("{limit} jobs wait already, which is what jobs.queue allows; come again later");
        let mut problem = Problem::new(Kind::JobsFull, detail).with("limit", limit);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// The answer of a job that has none yet.
    pub fn not_done(id: &str, state: crate::jobs::State, retry_after: u32) -> Problem {
        let state = json!(state);
        let word = state.as_str().unwrap_or_default();
        let detail = format!("job {id} is {word}; ask again");
        let mut problem = Problem::new(Kind::NotDone, detail).with("state", state);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// A port that speaks TLS was spoken to without it.
    pub fn tls_needed() -> Problem {
        Problem::new(Kind::TlsNeeded, "this port speaks TLS: use https://")
    }

    pub fn slow_body(why: impl ToString) -> Problem {
        Problem::new(Kind::SlowBody, format!("body: {}", why.to_string())).with("field", "body")
    }

    /// The members of RFC 9457, and ours.
    pub fn body(&self) -> Value {
        let row = self.kind.row();
        let mut body = json!({
            "type": self.kind.urn(),
            "title": row.title,
            "status": row.status,
            "detail": self.detail,
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.members.clone());
        }
        body
    }
}

/// What an answer that is a problem says, for the audit log: an extension of it.
#[derive(Clone)]
pub(super) struct Told {
    pub kind: &'static str,
    pub detail: String,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let detail = error.to_string();
        match error {
            Error::Invalid { path, .. } => {
                Problem::new(Kind::InvalidRequest, detail).with("field", path)
            }
            Error::NotFound { kind, name, known } => Problem::new(Kind::NotFound, detail)
                .with("kind", kind)
                .with("name", name)
                .with("known", known),
            Error::Conflict(_) => Problem::new(Kind::Conflict, detail),
            Error::TooLarge { limit, .. } => {
                Problem::new(Kind::TooLarge, detail).with("limit", limit)
            }
            Error::Refused { report, .. } => {
                let problem = Problem::new(Kind::Refused, detail);
                match report {
                    Some(report) => problem.with("report", *report),
                    None => problem,
                }
            }
            Error::Busy(_) => Problem::new(Kind::Busy, detail),
            Error::Rejected {
                transform,
                row,
                message,
            } => Problem::new(Kind::RowRefused, detail)
                .with("transform", named(&transform))
                .with("row", row)
                .with("message", message),
            Error::Transform { transform, fault } => Problem::new(Kind::TransformFailed, detail)
                .with("transform", named(&transform))
                .with("cause", fault.kind())
                .with("frames", fault.frames()),
            Error::Model { model, .. } => {
                Problem::new(Kind::ModelFailed, detail).with("model", model)
            }
            Error::Store(_) => Problem::new(Kind::StoreFailed, detail),
            Error::Late { .. } => Problem::new(Kind::Late, detail),
            Error::Internal(_) => Problem::new(Kind::Internal, detail),
        }
    }
}

/// A transform, as problems and results name it.
pub(super) fn named(transform: &TransformName) -> Value {
    json!({
        "name": transform.name,
        "version": transform.version.to_string(),
        "digest": format!("sha256:{}", transform.digest),
    })
}

impl Problem {
    /// Tells the log.
    pub fn trace(&self) {
        let (kind, status) = (self.kind(), self.status());
        match status.is_server_error() {
            true => tracing::error!(kind, status = status.as_u16(), "{}", self.detail),
            false => tracing::debug!(kind, status = status.as_u16(), "{}", self.detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.trace();
        let mut response = (
            self.status(),
            [(header::CONTENT_TYPE, "application/problem+json")],
            self.body().to_string(),
        )
            .into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(Told {
            kind: self.kind(),
            detail: self.detail,
        });
        response
    }
}

pub(super) async fn no_route(uri: Uri) -> Problem {
    let known = [
        "/v1/services",
        "/v1/transforms",
        "/v1/views",
        "/v1/models",
        "/v1/training-sets",
        "/v1/lineage",
        "/v1/tokens",
        "/v1/audit",
        "/v1/jobs",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ];
    let known: Vec<String> = known.map(str::to_owned).into();
    let detail = format!("nothing is at {}; {}", uri.path(), listed("route", &known));
    Problem::new(Kind::NoRoute, detail).with("known", known)
}

pub(super) async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not answered at {}", uri.path());
    Problem::new(Kind::MethodNotAllowed, detail)
}
