//! Is it alive, is it ready, what has it done.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Shared;

/// The process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The registry is open and the services that a name or an alias means are planned: the server listens only then. What
/// is registered and cannot be used is named, a line each; the others are answered all the same.
pub async fn readyz(State(shared): State<Shared>) -> String {
    let catalog = shared.app.registry.catalog();
    let mut text = format!("ready: {} services\n", catalog.services.len());
    for trouble in catalog.troubles() {
        text.push_str(&format!("trouble: {trouble}\n"));
    }
    text
}

pub async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let app = &shared.app;
    if let Some(log) = &app.log {
        app.metrics.log(log.written(), log.dropped(), log.failed());
    }
    app.metrics.expected_wait(app.load.expected_wait());
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics.text(),
    )
}
