//! Transforms: register, list, show, compare, and give back.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changes::{change, changed};
use super::problem::Kind::{Busy, Conflict, Refused, TransformFailed};
use super::problem::{FINDING, WRITING};
use super::{Path, Problem, Shared, blocking, body};
use crate::access::Change;
use crate::admission::diff::Diff;
use crate::error::Error;
use crate::registry::{Catalog, Item, Kind, Outcome, Retirement, TransformEntry, TransformRecord};

#[derive(Serialize, ToSchema)]
pub struct TransformShown {
    #[serde(flatten)]
    record: TransformRecord,
    #[schema(required)]
    retired: Option<Retirement>,
}

#[derive(Serialize, ToSchema)]
pub struct TransformListed {
    name: String,
    version: String,
    digest: String,
    doc: String,
    registered_at: Timestamp,
    retired: bool,
}

#[derive(Serialize, ToSchema)]
pub struct TransformList {
    transforms: Vec<TransformListed>,
}

/// Registers a version of a transform.
///
/// The body is a `.wasm`: a component, or the core module that becomes one. It is run on generated rows, and refused if its
/// answers depend on anything but the row.
#[utoipa::path(
    post,
    path = "/v1/transforms",
    operation_id = "register_transform",
    tag = "transforms",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, description = "Registered.", body = TransformShown), (status = 200, description = "It was there already.", body = TransformShown)),
    extensions(("x-problems" = json!([Busy, Conflict, Refused, WRITING]))),
)]
pub async fn register(State(shared): State<Shared>, body: Body) -> Response {
    let mut change = change("transform.register", "");
    let outcome = admitted(shared, body, &mut change).await;
    changed(change, outcome)
}

async fn admitted(
    shared: Shared,
    body: Body,
    change: &mut Change,
) -> Result<(StatusCode, Json<TransformShown>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    // Compiling takes long; requests should not wait for it.
    let app = shared.app.clone();
    let (entry, outcome) = blocking(move || app.registry.register_transform(&bytes)).await?;
    change.subject = entry.id();
    change.digest = Some(entry.record.digest.clone());
    let catalog = shared.app.registry.catalog();
    Ok((status(outcome), Json(shown(&catalog, &entry))))
}

/// All transforms.
#[utoipa::path(
    get,
    path = "/v1/transforms",
    operation_id = "list_transforms",
    tag = "transforms",
    responses((status = 200, description = "By name and version.", body = TransformList)),
)]
pub async fn list(State(shared): State<Shared>) -> Json<TransformList> {
    let catalog = shared.app.registry.catalog();
    let all = catalog
        .transforms
        .values()
        .flat_map(|versions| versions.values());
    let transforms = all.map(|entry| {
        let description = &entry.record.description;
        TransformListed {
            name: description.name.clone(),
            version: description.version.to_string(),
            digest: format!("sha256:{}", entry.record.digest),
            doc: description.doc.clone(),
            registered_at: entry.record.registered_at,
            retired: retirement(&catalog, entry).is_some(),
        }
    });
    Json(TransformList {
        transforms: transforms.collect(),
    })
}

/// A version of a transform.
#[utoipa::path(
    get,
    path = "/v1/transforms/{id}",
    operation_id = "show_transform",
    tag = "transforms",
    params(("id" = String, Path, description = "`name@version`; `name@1` is the newest 1.x, `name` the newest of all.")),
    responses((status = 200, description = "The version.", body = TransformShown)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<TransformShown>, Problem> {
    let catalog = shared.app.registry.catalog();
    Ok(Json(shown(&catalog, catalog.transform(&id)?)))
}

/// With which version to compare.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Against {
    /// The version before it, where absent.
    against: Option<String>,
}
/// What a version changes: of its columns, and of its answers to generated rows.
#[utoipa::path(
    get,
    path = "/v1/transforms/{id}/diff",
    operation_id = "diff_transforms",
    tag = "transforms",
    params(("id" = String, Path, description = "`name@version`; `name@1` is the newest 1.x, `name` the newest of all."), Against),
    responses((status = 200, description = "What changes.", body = Diff)),
    extensions(("x-problems" = json!([FINDING, Refused, TransformFailed]))),
)]
pub async fn diff(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<Against>, QueryRejection>,
) -> Result<Json<Diff>, Problem> {
    let Query(Against { against }) =
        query.map_err(|error| Error::invalid("against", error.body_text()))?;
    let diff = blocking(move || shared.app.registry.diff_transforms(&id, against.as_deref()));
    Ok(Json(diff.await?))
}
/// The component as it was registered.
#[utoipa::path(
    get,
    path = "/v1/transforms/{id}/component",
    operation_id = "transform_component",
    tag = "transforms",
    params(("id" = String, Path, description = "`name@version`; `name@1` is the newest 1.x, `name` the newest of all.")),
    responses((status = 200, description = "The component.", body = Vec<u8>, content_type = "application/wasm")),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn component(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let file = blocking(move || shared.app.registry.component(&id)).await?;
    Ok(attached("application/wasm", "wasm", file))
}
/// The source it was built from, if it carries it.
#[utoipa::path(
    get,
    path = "/v1/transforms/{id}/source",
    operation_id = "transform_source",
    tag = "transforms",
    params(("id" = String, Path, description = "`name@version`; `name@1` is the newest 1.x, `name` the newest of all.")),
    responses((status = 200, description = "A tar archive, compressed with zstd.", body = Vec<u8>, content_type = "application/zstd")),
    extensions(("x-problems" = json!([FINDING]))),
)]
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

fn shown(catalog: &Catalog, entry: &TransformEntry) -> TransformShown {
    let mut record = entry.record.clone();
    record.digest = format!("sha256:{}", record.digest);
    TransformShown {
        record,
        retired: retirement(catalog, entry),
    }
}

pub(super) fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Unchanged => StatusCode::OK,
    }
}
