//! The audit log: its lines, and whether the chain is whole.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Problem, Shared};
use crate::access::audit::{self, Page, Verified};
use crate::error::Error;
use crate::request::parse_timestamp;

/// Lines of an answer.
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    since: Option<String>,
    before: Option<u64>,
    who: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    limit: Option<usize>,
}

/// The newest lines that fit, newest last: `?since=2026-11-01T00:00:00Z&who=ci&action=transform&subject=great-circle`.
/// `earlier` in the answer is the `before` of the page before.
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
