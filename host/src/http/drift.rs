//! Drift: what a service sees and answers against the training set of its model.

use axum::Json;
use axum::extract::State;

use super::problem::FINDING;
use super::{Path, Problem, Shared, blocking};
use crate::drift::{Report, Span};

/// What a service version sees and answers, against the training set of its model.
///
/// Of the last hours, as the configuration has them under `[drift]`. Without a training set `note` says what to do, and the
/// live side stands alone.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/drift",
    operation_id = "service_drift",
    tag = "services",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest.")),
    responses((status = 200, description = "Column by column, the most drifted first.", body = Report)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Report>, Problem> {
    let app = shared.app.clone();
    let report = blocking(move || {
        let catalog = app.registry.catalog();
        let entry = catalog.service_entry(&id)?;
        if let Some(watch) = &app.drift {
            return Ok(watch.report(&catalog, entry));
        }
        let record = &entry.record;
        let model = record.pins.model.as_ref().map(|pin| pin.id.as_str());
        let of = (record.definition.name.as_str(), record.number, model);
        let off = "this server does not count what it answers: switch on [drift] and [log] in its configuration";
        Ok(Report::of(of, Err(off), None, Span::default()))
    });
    Ok(Json(report.await?))
}
