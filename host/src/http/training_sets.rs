//! Training sets: register, list, show.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::changes::{change, changed};
use super::problem::{FINDING, Kind::Refused, WRITING};
use super::transforms::status;
use super::{Path, Problem, Shared, blocking, body};
use crate::access::Change;
use crate::registry::{Catalog, Item, Kind, Retirement, TrainingSetRecord};
use crate::training_set::Manifest;

#[derive(Serialize, ToSchema)]
pub struct TrainingSetShown {
    name: String,
    version: u32,
    /// Of the manifest.
    digest: String,
    registered_at: String,
    #[schema(required)]
    retired: Option<Retirement>,
    manifest: Manifest,
}

#[derive(Serialize, ToSchema)]
pub struct TrainingSetListed {
    name: String,
    version: u32,
    digest: String,
    service: String,
    rows: u64,
    registered_at: String,
    retired: bool,
}

#[derive(Serialize, ToSchema)]
pub struct TrainingSetList {
    training_sets: Vec<TrainingSetListed>,
}

/// Registers a training set, or its next version.
///
/// The files stay where they are; the registry keeps what is in them.
#[utoipa::path(
    post,
    path = "/v1/training-sets",
    operation_id = "register_training_set",
    tag = "training-sets",
    request_body = Manifest,
    responses((status = 201, description = "Registered.", body = TrainingSetShown), (status = 200, description = "It was there already.", body = TrainingSetShown)),
    extensions(("x-problems" = json!([Refused, WRITING]))),
)]
pub async fn register(State(shared): State<Shared>, body: Body) -> Response {
    let mut change = change("training-set.register", "");
    let outcome = admitted(shared, body, &mut change).await;
    changed(change, outcome)
}

async fn admitted(
    shared: Shared,
    body: Body,
    change: &mut Change,
) -> Result<(StatusCode, Json<TrainingSetShown>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let manifest = Manifest::from_json(&bytes)?;
    change.subject = manifest.name.clone();
    let app = shared.app.clone();
    let (record, outcome) = blocking(move || app.registry.register_training_set(manifest)).await?;
    change.subject = record.id();
    change.digest = Some(record.digest.clone());
    let retired = retirement(&shared.app.registry.catalog(), &record);
    Ok((status(outcome), Json(shown(&record, retired))))
}

/// All training sets.
#[utoipa::path(
    get,
    path = "/v1/training-sets",
    operation_id = "list_training_sets",
    tag = "training-sets",
    responses((status = 200, description = "By name and number.", body = TrainingSetList)),
)]
pub async fn list(State(shared): State<Shared>) -> Json<TrainingSetList> {
    let catalog = shared.app.registry.catalog();
    let all = catalog.training_sets.values().flat_map(|all| all.values());
    let training_sets = all.map(|record| TrainingSetListed {
        name: record.manifest.name.clone(),
        version: record.number,
        digest: format!("sha256:{}", record.digest),
        service: record.manifest.service.clone(),
        rows: record.manifest.rows,
        registered_at: record.registered_at.to_string(),
        retired: retirement(&catalog, record).is_some(),
    });
    Json(TrainingSetList {
        training_sets: training_sets.collect(),
    })
}

/// A version of a training set.
#[utoipa::path(
    get,
    path = "/v1/training-sets/{id}",
    operation_id = "show_training_set",
    tag = "training-sets",
    params(("id" = String, Path, description = "`name@number`, or `name` for the newest.")),
    responses((status = 200, description = "The version.", body = TrainingSetShown)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<TrainingSetShown>, Problem> {
    let catalog = shared.app.registry.catalog();
    let record = catalog.training_set(&id)?;
    Ok(Json(shown(record, retirement(&catalog, record))))
}

fn retirement(catalog: &Catalog, record: &TrainingSetRecord) -> Option<Retirement> {
    let item = Item::new(Kind::TrainingSet, &record.manifest.name, record.number);
    catalog.retirement(&item)
}

fn shown(record: &TrainingSetRecord, retired: Option<Retirement>) -> TrainingSetShown {
    TrainingSetShown {
        name: record.manifest.name.clone(),
        version: record.number,
        digest: format!("sha256:{}", record.digest),
        registered_at: record.registered_at.to_string(),
        retired,
        manifest: record.manifest.clone(),
    }
}
