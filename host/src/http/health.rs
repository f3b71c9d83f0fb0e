//! Is it alive, is it ready, what has it done.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Shared;

/// The process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The registry is open and every service is planned: the server listens only then.
pub async fn readyz(State(shared): State<Shared>) -> String {
    format!(
        "ready: {} services\n",
        shared.app.registry.catalog().services.len()
    )
}

pub async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let app = &shared.app;
    if let Some(log) = &app.log {
        app.metrics.log(log.written(), log.dropped(), log.failed());
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics.text(),
    )
}
