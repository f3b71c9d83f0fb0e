//! Transforms: register, list, show, compare, and give back.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::changes::{change, changed};
use super::{Problem, Shared, blocking, body};
use crate::access::Change;
use crate::admission::diff::Diff;
use crate::error::Error;
use crate::registry::{Catalog, Item, Kind, Outcome, Retirement, TransformEntry};

/// The body is a `.wasm`: a component, or the core module that becomes one.
pub async fn register(State(shared): State<Shared>, body: Body) -> Response {
    let mut change = change("transform.register", "");
    let outcome = admitted(shared, body, &mut change).await;
    changed(change, outcome)
}

async fn admitted(
    shared: Shared,
    body: Body,
    change: &mut Change,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    // Compiling takes long; requests should not wait for it.
    let app = shared.app.clone();
    let (entry, outcome) = blocking(move || app.registry.register_transform(&bytes)).await?;
    change.subject = entry.id();
    change.digest = Some(entry.record.digest.clone());
    let catalog = shared.app.registry.catalog();
    Ok((status(outcome), Json(shown(&catalog, &entry))))
}

pub async fn list(State(shared): State<Shared>) -> Json<Value> {
    let catalog = shared.app.registry.catalog();
    let all = catalog
        .transforms
        .values()
        .flat_map(|versions| versions.values());
    let all: Vec<Value> = all
        .map(|entry| {
            let description = &entry.record.description;
            json!({
                "name": description.name,
                "version": description.version.to_string(),
                "digest": format!("sha256:{}", entry.record.digest),
                "doc": description.doc,
                "registered_at": entry.record.registered_at.to_string(),
                "retired": retirement(&catalog, entry).is_some(),
            })
        })
        .collect();
    Json(json!({ "transforms": all }))
}

/// `name@version`, `name@1` or `name`.
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let catalog = shared.app.registry.catalog();
    Ok(Json(shown(&catalog, catalog.transform(&id)?)))
}

/// With which version to compare.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Against {
    /// The version before it, where absent.
    against: Option<String>,
}

/// What a version changes: of its columns, and of its answers to generated rows.
pub async fn diff(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<Against>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Diff>, Problem> {
    let Query(Against { against }) =
        query.map_err(|error| Error::invalid("against", error.body_text()))?;
    let diff = blocking(move || shared.app.registry.diff_transforms(&id, against.as_deref()));
    Ok(Json(diff.await?))
}

/// The component as it was registered.
pub async fn component(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let file = blocking(move || shared.app.registry.component(&id)).await?;
    Ok(attached("application/wasm", "wasm", file))
}

/// The source it was built from, if it carries it: a tar archive, compressed with zstd.
pub async fn source(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let file = blocking(move || shared.app.registry.source(&id)).await?;
    Ok(attached("application/zstd", "tar.zst", file))
}

fn attached(
    content_type: &'static str,
    extension: &str,
    (entry, bytes): (std::sync::Arc<TransformEntry>, Vec<u8>),
) -> Response {
    let description = &entry.record.description;
    let name = format!(
        "attachment; filename=\"{}-{}.{extension}\"",
        description.name, description.version
    );
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, bytes).into_response()
}

fn retirement(catalog: &Catalog, entry: &TransformEntry) -> Option<Retirement> {
    let description = &entry.record.description;
    let item = Item::new(Kind::Transform, &description.name, &description.version);
    catalog.retirement(&item)
}

fn shown(catalog: &Catalog, entry: &TransformEntry) -> Value {
    let mut value = json!(entry.record);
    value["retired"] = json!(retirement(catalog, entry));
    value["digest"] = json!(format!("sha256:{}", entry.record.digest));
    value
}

pub(super) fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Unchanged => StatusCode::OK,
    }
}
