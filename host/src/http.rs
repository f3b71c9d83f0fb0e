//! JSON and the web on one side, our types on the other; no logic. The only room that knows axum and status codes.

mod answer;
mod body;
mod health;
mod models;
mod problem;
mod score;
mod services;
mod training;
mod transforms;
mod views;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::app::App;

pub use problem::Problem;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    app: Arc<App>,
    /// Bounds the threads that work on large requests.
    batch: Arc<Semaphore>,
}

/// Answers on `listener` until `stop` resolves, then lets requests in flight finish.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let drain = Duration::from_secs(app.config.server.drain_seconds);
    let router = router(app.clone());
    // Answers are small and complete: without this, Nagle's algorithm holds them back for the client's acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stopping = Arc::new(tokio::sync::Notify::new());
    let stopped = stopping.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        stopped.notify_one();
    });
    tokio::select! {
        outcome = server.into_future() => outcome?,
        () = async { stopping.notified().await; tokio::time::sleep(drain).await } => {
            tracing::warn!(seconds = drain.as_secs(), "requests in flight did not finish in time and are given up");
        }
    }
    app.flush().map_err(std::io::Error::other)
}

/// The routes.
pub fn router(app: Arc<App>) -> Router {
    let batch = Arc::new(Semaphore::new(
        std::thread::available_parallelism().map_or(2, usize::from),
    ));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/v1/services", get(services::list).post(services::register))
        .route("/v1/services/{id}", get(services::show))
        .route("/v1/services/{id}/plan", get(services::plan))
        .route("/v1/services/{id}/training-rows", post(training::rows))
        .route("/v1/services/{id}/score", post(score::score))
        .route("/v1/services/{id}/features", post(score::features))
        .route(
            "/v1/transforms",
            get(transforms::list).post(transforms::register),
        )
        .route("/v1/transforms/{id}", get(transforms::show))
        .route("/v1/models", get(models::list).post(models::register))
        .route("/v1/models/{id}", get(models::show))
        .route("/v1/views", get(views::list).post(views::register))
        .route("/v1/views/{view}", get(views::show))
        .route("/v1/views/{view}/row", get(views::row))
        .route("/v1/views/{view}/rows", post(views::load))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .with_state(Shared { app, batch })
}
