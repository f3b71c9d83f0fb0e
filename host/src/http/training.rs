//! Training rows: a spine in, the joined rows out, both Parquet, so that no bit is lost on the way.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::problem::{FINDING, Kind::UnsupportedMediaType, SCORING};
use super::{Path, Problem, Shared, blocking, body};
use crate::error::Result;
use crate::offline;
use crate::registry::Registry;
use crate::schema::Field;
use crate::training::{self, ARRIVAL, Builder};

/// The training rows of a service, for a Parquet file of its request's fields.
///
/// A column [`ARRIVAL`] says when each row was asked.
#[utoipa::path(
    post,
    path = "/v1/services/{id}/training-rows",
    operation_id = "training_rows",
    tag = "training-sets",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest.")),
    request_body(content = Vec<u8>, content_type = "application/vnd.apache.parquet"),
    responses((status = 200, description = "The rows, with what was looked up and computed.", body = Vec<u8>, content_type = "application/vnd.apache.parquet")),
    extensions(("x-problems" = json!([FINDING, SCORING, UnsupportedMediaType]))),
)]
pub async fn rows(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let spine = body::parquet(&headers, body, shared.app.config.server.upload_limit).await?;
    let _turn = shared.app.load.batch_turn().await;
    let app = shared.app.clone();
    let file = blocking(move || joined(&app.registry, &id, spine)).await?;
    Ok(([(header::CONTENT_TYPE, body::PARQUET)], file).into_response())
}

fn joined(registry: &Registry, id: &str, spine: Bytes) -> Result<Vec<u8>> {
    let service = registry.catalog().service_by_id(id)?.clone();
    let request = service.plan.request.clone();
    let builder = Builder::new(service)?;
    let there = training::columns(spine.clone())?;
    let dated = there.iter().any(|name| name == ARRIVAL);
    let schema = training::spine_schema(&training::lenient(&request), dated.then_some(ARRIVAL));
    let left_out = |field: &Field| !field.nullable || !there.contains(&field.name);
    let blocks: Vec<_> = offline::open_parquet(spine, "the spine", &schema)?
        .map(|block| training::with_defaults(&request, &schema, block?, left_out))
        .collect::<Result<_>>()?;
    let batches = blocks
        .iter()
        .map(|block| {
            let (rows, arrivals) = training::split_spine(&request, &schema, block);
            builder.rows(rows, arrivals)
        })
        .collect::<Result<Vec<_>>>()?;
    training::to_parquet(&training::concat(builder.schema(), &batches)?)
}
