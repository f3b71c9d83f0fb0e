//! JSON and the web on one side, our types on the other; no logic. The only room that knows axum and status codes.

mod access;
mod answer;
mod audit;
mod body;
mod health;
mod listen;
mod models;
mod problem;
mod score;
mod services;
mod tokens;
mod transforms;
mod views;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::routing::{delete, get, post};
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::app::App;
use listen::{Peer, Plain, Secure};

pub use problem::Problem;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    app: Arc<App>,
    /// Bounds the threads that work on large requests.
    batch: Arc<Semaphore>,
}

/// Answers on `listener` until `stop` resolves, then lets requests in flight finish. Speaks TLS where the configuration
/// names a certificate.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = access::guard(app.clone(), router(app.clone()), listener.local_addr()?);
    let listener = Plain(listener);
    match app.access.tls {
        None => on(&app, listener, router, stop).await?,
        Some(_) => on(&app, Secure::new(listener, app.clone()), router, stop).await?,
    }
    app.flush().map_err(std::io::Error::other)
}

async fn on<L>(
    app: &App,
    listener: L,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()>
where
    L: Listener<Addr = SocketAddr>,
    Peer: for<'a> Connected<IncomingStream<'a, L>>,
{
    let drain = Duration::from_secs(app.config.server.drain_seconds);
    let stopping = Arc::new(tokio::sync::Notify::new());
    let stopped = stopping.clone();
    let router = router.into_make_service_with_connect_info::<Peer>();
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
    Ok(())
}

/// The routes. What each needs stands in [`crate::access::rules`].
pub fn router(app: Arc<App>) -> Router {
    let batch = Arc::new(Semaphore::new(
        std::thread::available_parallelism().map_or(2, usize::from),
    ));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{name}", delete(tokens::revoke))
        .route("/v1/audit", get(audit::list))
        .route("/v1/audit/verify", get(audit::verify))
        .route("/v1/services", get(services::list).post(services::register))
        .route("/v1/services/{id}", get(services::show))
        .route("/v1/services/{id}/plan", get(services::plan))
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
