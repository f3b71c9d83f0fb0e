//! JSON and the web on one side, our types on the other; no logic. The only room that knows axum and status codes.

mod access;
mod aliases;
mod answer;
mod audit;
mod body;
mod changes;
mod connections;
mod drift;
mod health;
mod jobs;
mod labels;
mod lifecycle;
mod lineage;
mod listen;
mod models;
pub mod openapi;
mod overload;
mod path;
mod problem;
mod score;
mod services;
mod stream;
mod tokens;
mod training;
mod training_sets;
mod transforms;
mod views;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::app::App;
use crate::error::{Error, Result};
use crate::registry::Kind;
use listen::{Plain, Secure};

// For the benches: to write an answer costs something, and they say what.
#[doc(hidden)]
pub use answer::Answer;
use lifecycle::{delete, restore, retire};
use path::Path;
pub use problem::Problem;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    app: Arc<App>,
}

/// Answers on `listener` until `stop` resolves, then lets requests in flight finish. Speaks TLS where the configuration
/// names a certificate.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = router(app.clone());
    serve_routes(app, routes, listener, stop).await
}

/// As [`serve`], of other routes: the benches' floor is this server with a constant to answer.
#[doc(hidden)]
pub async fn serve_routes(
    app: Arc<App>,
    routes: Router,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = access::guard(app.clone(), routes, listener.local_addr()?);
    let workers = app.jobs.start(jobs::run(&app, Handle::current()))?;
    app.load.watch(Handle::current());
    let jobs = app.jobs.clone();
    let stop = async move {
        stop.await;
        jobs.stop();
    };
    let idle = Duration::from_secs(app.config.server.idle_seconds);
    let listener = Plain { listener, idle };
    match app.access.tls {
        None => connections::serve(&app, listener, router, stop).await,
        Some(_) => {
            let listener = Secure::new(listener, app.clone());
            connections::serve(&app, listener, router, stop).await;
        }
    }
    let drain = Duration::from_secs(app.config.server.drain_seconds);
    let ended = tokio::task::spawn_blocking(move || workers.stop(drain)).await;
    if !ended.unwrap_or(false) {
        tracing::warn!("a job is given up where it stands; it is begun anew at the next start");
    }
    app.flush().map_err(std::io::Error::other)
}

/// Work that takes a while, or waits for the disk, on a thread where no request waits behind it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let outcome = tokio::task::spawn_blocking(work).await;
    Ok(outcome.map_err(|error| Error::Internal(error.to_string()))??)
}

/// The routes. What each needs stands in [`crate::access::rules`].
pub fn router(app: Arc<App>) -> Router {
    let shared = Shared { app };
    Router::new()
        .route("/v1/services/{id}/score", post(score::score))
        .route("/v1/services/{id}/features", post(score::features))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{name}", axum::routing::delete(tokens::revoke))
        .route("/v1/audit", get(audit::list))
        .route("/v1/audit/verify", get(audit::verify))
        .route("/openapi.json", get(openapi::show))
        .route("/v1/services", get(services::list).post(services::register))
        .route("/v1/services/{id}/plan", get(services::plan))
        .route("/v1/services/{id}/bundle", get(services::bundle))
        .route("/v1/services/{id}/drift", get(drift::show))
        .route("/v1/services/{id}/training-rows", post(training::rows))
        .route(
            "/v1/services/{id}/labels",
            get(labels::declared).post(labels::put),
        )
        .route("/v1/services/{id}/label", get(labels::show))
        .route("/v1/services/{id}/label-rows", post(labels::rows))
        .route(
            "/v1/services/{id}",
            delete(Kind::Service, get(services::show)),
        )
        .route("/v1/services/{id}/retire", retire(Kind::Service))
        .route("/v1/services/{id}/restore", restore(Kind::Service))
        .route("/v1/services/{id}/aliases", get(aliases::list))
        .route(
            "/v1/services/{id}/aliases/{alias}",
            get(aliases::show).put(aliases::put).delete(aliases::remove),
        )
        .route(
            "/v1/services/{id}/aliases/{alias}/rollback",
            post(aliases::roll_back),
        )
        .route(
            "/v1/transforms",
            get(transforms::list).post(transforms::register),
        )
        .route(
            "/v1/transforms/{id}",
            delete(Kind::Transform, get(transforms::show)),
        )
        .route("/v1/transforms/{id}/retire", retire(Kind::Transform))
        .route("/v1/transforms/{id}/restore", restore(Kind::Transform))
        .route("/v1/transforms/{id}/diff", get(transforms::diff))
        .route("/v1/transforms/{id}/component", get(transforms::component))
        .route("/v1/transforms/{id}/source", get(transforms::source))
        .route("/v1/models", get(models::list).post(models::register))
        .route("/v1/models/{id}", delete(Kind::Model, get(models::show)))
        .route("/v1/models/{id}/retire", retire(Kind::Model))
        .route("/v1/models/{id}/restore", restore(Kind::Model))
        .route("/v1/views", get(views::list).post(views::register))
        .route("/v1/views/{id}", delete(Kind::View, get(views::show)))
        .route("/v1/views/{id}/retire", retire(Kind::View))
        .route("/v1/views/{id}/restore", restore(Kind::View))
        .route("/v1/views/{id}/row", get(views::row))
        .route("/v1/views/{id}/rows", post(views::load))
        .route(
            "/v1/training-sets",
            get(training_sets::list).post(training_sets::register),
        )
        .route(
            "/v1/training-sets/{id}",
            delete(Kind::TrainingSet, get(training_sets::show)),
        )
        .route("/v1/lineage", get(lineage::whole))
        .route("/v1/lineage/{kind}/{id}", get(lineage::show))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::show).delete(jobs::remove))
        .route("/v1/jobs/{id}/result", get(jobs::result))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .with_state(shared)
}
