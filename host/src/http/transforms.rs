//! Transforms: register, list, show.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Problem, Shared, body};
use crate::error::Error;
use crate::registry::{Outcome, TransformEntry};

/// The body is a `.wasm`: a component, or the core module that becomes one.
pub async fn register(
    State(shared): State<Shared>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    // Compiling takes long; requests should not wait for it.
    let app = shared.app.clone();
    let (entry, outcome) =
        tokio::task::spawn_blocking(move || app.registry.register_transform(&bytes))
            .await
            .map_err(|error| Error::Internal(error.to_string()))??;
    Ok((status(outcome), Json(shown(&entry))))
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
    Ok(Json(shown(catalog.transform(&id)?)))
}

fn shown(entry: &TransformEntry) -> Value {
    let mut value = json!(entry.record);
    value["digest"] = json!(format!("sha256:{}", entry.record.digest));
    value
}

pub(super) fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Unchanged => StatusCode::OK,
    }
}
