//! Labels: what they are, put some, look at one, and join them to rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::changes::{Who, change, changed, name};
use super::openapi::RowLine;
use super::problem::Kind::{StoreFailed, TooLarge, UnsupportedMediaType};
use super::problem::{FINDING, WRITING};
use super::stream::lines::Lines;
use super::{Path, Problem, Shared, blocking, body};
use crate::access::Detail;
use crate::app::App;
use crate::error::{Error, Result};
use crate::labels::put::Putting;
use crate::labels::{Declared, Reported};
use crate::offline;
use crate::request::parse_timestamp;
use crate::{labels, training};

/// What became of labels that were put.
#[derive(Serialize, ToSchema)]
pub struct LabelsPut {
    labels: u64,
    /// The first of their rows.
    stored: u64,
    /// Those that count now in another's place, which stays in the history.
    replaced: u64,
    /// Those of an earlier time than one that is there: in the history alone.
    outdated: u64,
    /// Those that were there already: the newest of that row and of their own time says the same.
    unchanged: u64,
    /// How many of the answers they name are not in the feature log. Their labels are kept all the same: the log may have
    /// been moved, or may have lost a record. What was answered so lately that its file may still be open (`[log]
    /// file_seconds`, and a little more) is never among them: it may be on its way. Null where no log is written, or it
    /// cannot be read.
    #[schema(required)]
    unknown: Option<u64>,
    /// The first few of these answers.
    unknown_ids: Vec<String>,
}

/// What is known of a row.
#[derive(Serialize, ToSchema)]
pub struct LabelShown {
    service: String,
    /// What names the row.
    subject: Map<String, Value>,
    /// The label that counts; null where there is none.
    #[schema(required)]
    label: Option<Map<String, Value>>,
    /// All that was reported, by time; the last counts.
    history: Vec<Reported>,
}

/// Labels as JSON: one, or many.
#[derive(ToSchema)]
#[schema(as = LabelReports)]
#[serde(untagged)]
#[allow(dead_code, reason = "it is there for the document")]
pub enum Sent {
    One(Map<String, Value>),
    Many(Vec<Map<String, Value>>),
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// Only labels whose time is not after this: `2026-11-01T00:00:00Z`.
    as_of: Option<String>,
}

/// What labels a service has.
///
/// As its newest version that declares any says; they are kept for all versions.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/labels",
    operation_id = "show_labels",
    tag = "labels",
    params(("id" = String, Path, description = "The name of the service.")),
    responses((status = 200, description = "Their names and types, and the key.", body = Declared)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn declared(
    State(shared): State<Shared>,
    Path(service): Path<String>,
) -> Result<Json<Declared>, Problem> {
    Ok(Json(shared.app.registry.catalog().labels(&service)?))
}

/// Reports labels: what truly happened with rows that were answered.
///
/// A label names its row by `request_id` and `row` of the answer (`row` is 0 where it is left out), or by the fields of the
/// service's key. It may say with `time` when it was learnt. All reports of a row are kept; the one with the latest time
/// counts, where it has none the time of its arrival; of equal times the later arrival. So the same label again is kept once
/// where it has a time; without one it is another report each time it is sent, which says the same and counts.
///
/// JSON is one label or an array of them, of which all are kept or none. NDJSON is a label a line, any number, kept as they
/// are read: where a line is wrong, what stands some lines before it is kept already, and sending all of it again is harmless.
#[utoipa::path(
    post,
    path = "/v1/services/{id}/labels",
    operation_id = "put_labels",
    tag = "labels",
    params(("id" = String, Path, description = "The name of the service.")),
    request_body(content((Sent = "application/json"), (RowLine = "application/x-ndjson"))),
    responses((status = 200, description = "Kept, and on disk.", body = LabelsPut)),
    extensions(("x-problems" = json!([FINDING, WRITING, UnsupportedMediaType, TooLarge]))),
)]
pub async fn put(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    who: Who,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let change = change("label.put", &service);
    let outcome = kept(shared, service, name(who), headers, body).await;
    changed(change, outcome)
}

async fn kept(
    shared: Shared,
    service: String,
    by: String,
    headers: HeaderMap,
    body: Body,
) -> Result<(Extension<Detail>, Json<LabelsPut>), Problem> {
    let app = shared.app.clone();
    let declared = app.registry.catalog().labels(&service)?;
    let limit = app.config.server.body_limit;
    let log = app.log.as_ref().map(|_| {
        let seconds = app.config.log.settings.file_seconds;
        (app.config.data_dir.join("log"), seconds)
    });
    let mut putting = Putting::new(declared, by, log);
    match body::content_type(&headers) {
        _ if body::is_ndjson(&headers) => {
            let mut lines = Lines::new(body, limit, false);
            while let Some(chunk) = lines.next().await? {
                let app = app.clone();
                putting = blocking(move || {
                    let lines = 0..chunk.lines.len();
                    let lines = lines.map(|at| (chunk.lines[at].0, chunk.line(at)));
                    match putting.lines(&app.labels, lines) {
                        Ok(()) => Ok(putting),
                        Err(error) => Err(stopped(&app, &putting, error)),
                    }
                })
                .await?;
            }
        }
        "" | "application/json" | "application/x-www-form-urlencoded" => {
            let bytes = body::read(body, limit).await?;
            let app = app.clone();
            putting = blocking(move || {
                putting.json(&app.labels, &bytes)?;
                Ok(putting)
            })
            .await?;
        }
        other => {
            return Err(Problem::unsupported_media(
                other,
                "application/json or application/x-ndjson",
            ));
        }
    }
    let put = blocking(move || finished(&app, putting)).await?;
    let detail = format!(
        "{} labels, {} stored, {} replaced, {} outdated",
        put.labels, put.stored, put.replaced, put.outdated
    );
    Ok((Extension(Detail(detail)), Json(put)))
}

/// A line that is wrong, and what is kept of those before it.
fn stopped(app: &App, putting: &Putting, error: Error) -> Error {
    let before = putting.kept().reports();
    match (error, app.labels.flush()) {
        (_, Err(error)) => error,
        (Error::Invalid { path, message }, Ok(())) if before > 0 => Error::Invalid {
            message: format!(
                "{message}; {before} labels before it are kept, and it does no harm to send them again"
            ),
            path,
        },
        (error, Ok(())) => error,
    }
}

/// On disk, and counted.
fn finished(app: &App, mut putting: Putting) -> Result<LabelsPut> {
    app.labels.flush()?;
    let kept = putting.kept();
    let unknown = putting.unknown();
    let ids = unknown.iter().flat_map(|unknown| &unknown.first);
    Ok(LabelsPut {
        labels: kept.reports(),
        stored: kept.stored,
        replaced: kept.replaced,
        outdated: kept.outdated,
        unchanged: kept.unchanged,
        unknown_ids: ids.map(|(id, row)| format!("{id} row {row}")).collect(),
        unknown: unknown.as_ref().map(|unknown| unknown.answers),
    })
}

/// The label of a row, and all that was reported of it.
///
/// By the answer, `…/label?request_id=…&row=3`, or by the fields of the key, `…/label?flight_id=…`.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/label",
    operation_id = "show_label",
    tag = "labels",
    params(("id" = String, Path, description = "The name of the service."), ("subject" = BTreeMap<String, String>, Query, style = Form, explode, description = "What names the row: `?request_id=…&row=3`, or the fields of the key.")),
    responses((status = 200, description = "The label, or that there is none.", body = LabelShown)),
    extensions(("x-problems" = json!([FINDING, StoreFailed]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    subject: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Result<Json<LabelShown>, Problem> {
    let Query(subject) = subject.map_err(|error| Error::invalid("query", error.body_text()))?;
    let app = shared.app.clone();
    let shown = blocking(move || {
        let declared = app.registry.catalog().labels(&service)?;
        let (named, subject) = labels::subject_of(&declared, &subject)?;
        let history = app.labels.history(&declared.service, &subject)?;
        Ok(LabelShown {
            service: declared.service,
            subject: named,
            label: history.last().map(|last| last.label.clone()),
            history,
        })
    });
    Ok(Json(shown.await?))
}

/// The labels of rows, for training sets: Parquet in, Parquet out, a row a row.
///
/// In: `request_id` and `row`, the fields of the key, or both. Out: `tidemill.found`, and each label as `label.NAME`. Of a
/// label by the request and one by the key, the later counts.
#[utoipa::path(
    post,
    path = "/v1/services/{id}/label-rows",
    operation_id = "label_rows",
    tag = "labels",
    params(("id" = String, Path, description = "The name of the service."), AsOf),
    request_body(content = Vec<u8>, content_type = "application/vnd.apache.parquet"),
    responses((status = 200, description = "The labels, in the order of the rows.", body = Vec<u8>, content_type = "application/vnd.apache.parquet")),
    extensions(("x-problems" = json!([FINDING, StoreFailed, UnsupportedMediaType]))),
)]
pub async fn rows(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    as_of: Result<Query<AsOf>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Query(as_of) = as_of.map_err(|error| Error::invalid("query", error.body_text()))?;
    let as_of = as_of.as_of.as_deref().map(parse_timestamp).transpose();
    let as_of = as_of.map_err(|reason| Error::invalid("as_of", reason))?;
    let rows = body::parquet(&headers, body, shared.app.config.server.upload_limit).await?;
    let _turn = shared.app.load.batch_turn().await;
    let app = shared.app.clone();
    let file = blocking(move || joined(&app, &service, rows, as_of.unwrap_or(i64::MAX))).await?;
    Ok(([(header::CONTENT_TYPE, body::PARQUET)], file).into_response())
}

fn joined(app: &Arc<App>, service: &str, rows: Bytes, as_of: i64) -> Result<Vec<u8>> {
    let declared = app.registry.catalog().labels(service)?;
    let mut subjects = Vec::new();
    for block in offline::open_parquet(rows, "the rows", &declared.subject())? {
        let before = subjects.len();
        let place = |row| format!("rows[{}]", before + row);
        subjects.extend(labels::subjects(&declared, &block?, place)?);
    }
    let joined = labels::asked(&app.labels, &declared, &subjects, as_of)?;
    training::to_parquet(&labels::to_batch(&declared, &joined)?)
}
