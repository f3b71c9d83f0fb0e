//! The audit log: its lines, and whether the chain is whole.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::Deserialize;

use super::problem::Kind::Internal;
use super::{Problem, Shared};
use crate::access::audit::{self, Page, Verified};
use crate::error::Error;
use crate::request::parse_timestamp;

/// Lines of an answer.
const MOST: usize = 1000;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Not older: `2026-11-01T00:00:00Z`.
    since: Option<String>,
    /// Only lines with smaller numbers. `earlier` in an answer is the `before` of the page before it.
    before: Option<u64>,
    who: Option<String>,
    /// `token.create`, or `token` for all of its kind.
    action: Option<String>,
    /// `great-circle@1.0.0`, or `great-circle` for all of it.
    subject: Option<String>,
    /// At most so many, the newest; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}
/// The newest lines of the audit log that fit, newest last.
#[utoipa::path(
    get,
    path = "/v1/audit",
    operation_id = "list_audit",
    tag = "audit",
    params(Asked),
    responses((status = 200, description = "The lines.", body = Page)),
    extensions(("x-problems" = json!([Internal]))),
)]
pub async fn list(
    State(shared): State<Shared>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(asked) = asked.map_err(|error| Error::invalid("query", error.body_text()))?;
    let since = asked
        .since
        .map(|text| {
            let micros = parse_timestamp(&text)?;
            Timestamp::from_microsecond(micros).map_err(|error| error.to_string())
        })
        .transpose()
        .map_err(|reason| Error::invalid("since", reason))?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(Error::invalid("limit", format!("{limit} is not between 1 and {MOST}")).into());
    }
    let query = audit::Query {
        since,
        before: asked.before,
        who: asked.who,
        action: asked.action,
        subject: asked.subject,
        limit,
    };
    let app = shared.app.clone();
    let page = tokio::task::spawn_blocking(move || audit::page(app.access.audit.dir(), &query))
        .await
        .map_err(|error| Error::Internal(error.to_string()))??;
    Ok(Json(page))
}
/// Reads the whole log, and compares its end with what this server knows of it.
#[utoipa::path(
    get,
    path = "/v1/audit/verify",
    operation_id = "verify_audit",
    tag = "audit",
    responses((status = 200, description = "What was read, and the first line that is wrong.", body = Verified)),
    extensions(("x-problems" = json!([Internal]))),
)]
pub async fn verify(State(shared): State<Shared>) -> Result<Json<Verified>, Problem> {
    let app = shared.app.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let audit = &app.access.audit;
        let known = audit.head();
        audit::verify(audit.dir(), Some(&known))
    })
    .await
    .map_err(|error| Error::Internal(error.to_string()))??;
    Ok(Json(verified))
}
