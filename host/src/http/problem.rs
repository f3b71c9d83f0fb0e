//! The one place where an error becomes an answer: RFC 9457 `application/problem+json`.
//!
//! The caller was wrong: 4xx, told in full. A transform failed: 500, told in full, for its author has to mend it. We
//! failed: 5xx, told in a sentence, and logged.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::Role;
use crate::error::{Error, TransformName, listed};

/// An error on its way out.
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    /// Further members: `field`, `transform`, …
    members: Map<String, Value>,
    /// Seconds after which the same request may be answered otherwise.
    retry_after: Option<u32>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl ToString,
    ) -> Problem {
        Problem {
            status,
            kind,
            title,
            detail: detail.to_string(),
            members: Map::new(),
            retry_after: None,
        }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// One word for metrics, and the end of the problem's type.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    pub fn unsupported_media(found: &str, wanted: &str) -> Problem {
        let detail = format!("content-type {found} is not read here; send {wanted}");
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            detail,
        )
    }

    /// Who asks could not be told. The answer says how to: `WWW-Authenticate`.
    pub fn unauthenticated(detail: impl ToString) -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "A valid token is needed",
            detail,
        )
    }

    /// Who asks may not.
    pub fn forbidden(detail: impl ToString, needed: Role) -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Another role is needed",
            detail,
        )
        .with("needed", needed.name())
    }

    /// Without a token, and on behalf of another site.
    pub fn not_local(detail: impl ToString) -> Problem {
        Problem::new(
            StatusCode::FORBIDDEN,
            "not-local",
            "The request is from elsewhere",
            detail,
        )
    }

    pub fn too_many_attempts(detail: impl ToString) -> Problem {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-attempts",
            "Too many wrong tokens",
            detail,
        )
    }

    /// The audit log cannot be written.
    pub fn audit_failed(detail: impl ToString) -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "audit-failed",
            "The audit log cannot be written",
            detail,
        )
    }

    /// A job more than may wait.
    pub fn jobs_full(limit: usize, retry_after: u32) -> Problem {
        let mut problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "jobs-full",
            "Too many jobs wait",
            format!("{limit} jobs wait already, which is what jobs.queue allows; come again later"),
        )
        .with("limit", limit);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// The answer of a job that has none yet.
    pub fn not_done(id: &str, state: crate::jobs::State, retry_after: u32) -> Problem {
        let state = json!(state);
        let mut problem = Problem::new(
            StatusCode::NOT_FOUND,
            "not-done",
            "The job is not done yet",
            format!(
                "job {id} is {}; ask again",
                state.as_str().unwrap_or_default()
            ),
        )
        .with("state", state);
        problem.retry_after = Some(retry_after);
        problem
    }

    /// The members of RFC 9457, and ours.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:tidemill:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
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
            Error::Invalid { path, .. } => Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-request",
                "The request does not fit",
                detail,
            )
            .with("field", path),
            Error::NotFound { kind, name, known } => Problem::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "There is no such thing",
                detail,
            )
            .with("kind", kind)
            .with("name", name)
            .with("known", known),
            Error::Conflict(_) => Problem::new(
                StatusCode::CONFLICT,
                "conflict",
                "The name is taken",
                detail,
            ),
            Error::TooLarge { limit, .. } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Over a limit",
                detail,
            )
            .with("limit", limit),
            Error::Refused { report, .. } => {
                let problem = Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "refused",
                    "Not admitted",
                    detail,
                );
                match report {
                    Some(report) => problem.with("report", *report),
                    None => problem,
                }
            }
            Error::Busy(_) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too busy", detail)
            }
            Error::Rejected {
                transform,
                row,
                message,
            } => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "row-refused",
                "A transform refused the row",
                detail,
            )
            .with("transform", named(&transform))
            .with("row", row)
            .with("message", message),
            Error::Transform { transform, fault } => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "transform-failed",
                "A transform failed",
                detail,
            )
            .with("transform", named(&transform))
            .with("cause", fault.kind())
            .with("frames", fault.frames()),
            Error::Model { model, .. } => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "model-failed",
                "The model failed",
                detail,
            )
            .with("model", model),
            Error::Store(_) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store-failed",
                "The online store failed",
                detail,
            ),
            Error::Late { .. } => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "late",
                "Not there in time",
                detail,
            ),
            Error::Internal(_) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The server failed",
                detail,
            ),
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
        if self.status.is_server_error() {
            tracing::error!(
                kind = self.kind,
                status = self.status.as_u16(),
                "{}",
                self.detail
            );
        } else {
            tracing::debug!(
                kind = self.kind,
                status = self.status.as_u16(),
                "{}",
                self.detail
            );
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.trace();
        let mut response = (
            self.status,
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
            kind: self.kind,
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
    ];
    let known: Vec<String> = known.map(str::to_owned).into();
    let detail = format!("nothing is at {}; {}", uri.path(), listed("route", &known));
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-route",
        "There is no such route",
        detail,
    )
    .with("known", known)
}

pub(super) async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not answered at {}", uri.path());
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Another method is needed",
        detail,
    )
}
