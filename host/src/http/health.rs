//! Is it alive, is it ready, what has it done.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::problem::Kind::StoreFailed;
use super::{Problem, Shared, blocking};

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "health",
    responses((status = 200, description = "`ok`", body = String, content_type = "text/plain")),
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether services can be asked.
///
/// The registry is open and the services that a name or an alias means are planned: the server listens only then. What
/// is registered and cannot be used is named, a line each; the others are answered all the same. A store that cannot be
/// written stays so until a restart, and makes the server unready.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "health",
    responses((status = 200, description = "`ready: 3 services`, and a line for each trouble.", body = String, content_type = "text/plain")),
    extensions(("x-problems" = json!([StoreFailed]))),
)]
pub async fn readyz(State(shared): State<Shared>) -> Result<String, Problem> {
    let app = shared.app.clone();
    // What sled could not write once it does not try again: after a full disk only a new start helps, and somebody has to
    // be told. Where there is nothing to write this costs nothing.
    blocking(move || app.store.flush()).await?;
    let catalog = shared.app.registry.catalog();
    let mut text = format!("ready: {} services\n", catalog.services.len());
    let troubles = catalog.troubles().into_iter();
    for trouble in shared.app.trouble.iter().cloned().chain(troubles) {
        text.push_str(&format!("trouble: {trouble}\n"));
    }
    Ok(text)
}

/// Metrics for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "health",
    responses((status = 200, description = "The text format of Prometheus, 0.0.4.", body = String, content_type = "text/plain")),
)]
pub async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let app = &shared.app;
    let [mut written, mut dropped, mut failed] = [0; 3];
    for log in app.logs() {
        written += log.written();
        dropped += log.dropped();
        failed += log.failed();
    }
    app.metrics.log(written, dropped, failed);
    app.metrics.expected_wait(app.load.expected_wait());
    if let Some(drift) = app.drift.clone() {
        // Adds up what was counted of every column: not on a thread that answers requests.
        let _ = tokio::task::spawn_blocking(move || drift.publish()).await;
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics.text(),
    )
}
