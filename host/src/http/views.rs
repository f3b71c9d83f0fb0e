//! Views and their rows.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::transforms::status;
use super::{Problem, Shared, body};
use crate::access::Detail;
use crate::error::Error;
use crate::ingest;
use crate::view::View;

/// The body is a view definition: TOML, or the same as JSON.
pub async fn register(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let view = match body::content_type(&headers) {
        "application/json" => View::from_json(&bytes)?,
        _ => {
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Error::invalid("body", "it is no UTF-8 text"))?;
            View::from_toml(text)?
        }
    };
    let (view, outcome) = shared.app.registry.register_view(view)?;
    Ok((status(outcome), Json(json!(*view))))
}

pub async fn list(State(shared): State<Shared>) -> Result<Json<Value>, Problem> {
    let catalog = shared.app.registry.catalog();
    let mut views = Vec::new();
    for view in catalog.views.values() {
        let entities = shared.app.store.view(&view.name)?.count()?;
        views.push(
            json!({ "name": view.name, "key": view.key, "doc": view.doc, "entities": entities }),
        );
    }
    Ok(Json(json!({ "views": views })))
}

pub async fn show(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let catalog = shared.app.registry.catalog();
    Ok(Json(json!(**catalog.view(&name)?)))
}

/// The body is NDJSON, a row a line. All lines are read before the first row is written.
pub async fn load(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Result<(Extension<Detail>, Json<Value>), Problem> {
    let view = shared.app.registry.catalog().view(&name)?.clone();
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let app = shared.app.clone();
    let written =
        tokio::task::spawn_blocking(move || ingest::load(app.store.as_ref(), &view, &bytes))
            .await
            .map_err(|error| Error::Internal(error.to_string()))??;
    let rows = written.stored + written.outdated;
    let detail = format!(
        "{rows} rows, {} stored, {} outdated",
        written.stored, written.outdated
    );
    Ok((
        Extension(Detail(detail)),
        Json(json!({ "rows": rows, "stored": written.stored, "outdated": written.outdated })),
    ))
}

/// One row, by the columns of the key: `…/row?origin=EWR`.
pub async fn row(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(key): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, Problem> {
    let view = shared.app.registry.catalog().view(&name)?.clone();
    let found = ingest::get(shared.app.store.as_ref(), &view, &key)?;
    Ok(Json(found))
}
