//! Training sets: register, list, show.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::changes::{change, changed};
use super::transforms::status;
use super::{Problem, Shared, blocking, body};
use crate::access::Change;
use crate::registry::{Catalog, Item, Kind, Retirement, TrainingSetRecord};
use crate::training_set::Manifest;

#[derive(Serialize)]
pub struct TrainingSetShown {
    name: String,
    version: u32,
    /// Of the manifest.
    digest: String,
    registered_at: String,
    retired: Option<Retirement>,
    manifest: Manifest,
}

#[derive(Serialize)]
pub struct TrainingSetListed {
    name: String,
    version: u32,
    digest: String,
    service: String,
    rows: u64,
    registered_at: String,
    retired: bool,
}

#[derive(Serialize)]
pub struct TrainingSetList {
    training_sets: Vec<TrainingSetListed>,
}

/// The body is a manifest, in JSON.
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

/// `name@number`, or `name` for the newest.
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
