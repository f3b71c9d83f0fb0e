//! The one place where an error becomes an answer: RFC 9457 `application/problem+json`.
//!
//! The caller was wrong: 4xx, told in full. A transform failed: 500, told in full, for its author has to mend it. We
//! failed: 5xx, told in a sentence, and logged.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::error::{Error, TransformName, listed};

/// An error on its way out.
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    /// Further members: `field`, `transform`, …
    members: Map<String, Value>,
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

    pub fn slow_body(why: impl ToString) -> Problem {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow-body",
            "The body did not come in time",
            format!("body: {}", why.to_string()),
        )
        .with("field", "body")
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
            Error::Refused { .. } => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "refused",
                "Not admitted",
                detail,
            ),
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

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
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
        (
            self.status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            self.body().to_string(),
        )
            .into_response()
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
