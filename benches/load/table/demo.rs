//! The demo's services in this process, asked without a socket.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use tidemill::app::App;
use tidemill::block::Block;
use tidemill::config::Config;
use tidemill::score::{Arrived, Scored, score};
use tidemill::service::{Definition, Service, Wanted};
use tidemill::transform::Transform;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::flights;

pub struct Demo {
    pub app: Arc<App>,
    /// What answers on this thread, so that its CPU time is the answer's.
    runtime: Runtime,
    router: Router,
}

impl Demo {
    /// What the demo left behind in `data`, with neither log nor audit: both work on threads of their own.
    pub fn open(data: &Path) -> Result<Demo> {
        let mut config = Config {
            data_dir: data.to_owned(),
            ..Config::default()
        };
        config.log.enabled = false;
        config.skew.share = 0.0;
        let app = Arc::new(App::open(config)?);
        let router = tidemill::http::router(app.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Demo {
            app,
            runtime,
            router,
        })
    }

    pub fn service(&self, id: &str) -> Result<Arc<Service>> {
        Ok(self.app.registry.catalog().asked(id)?.service)
    }

    /// The demo's service file, registered under this name as `change` leaves it.
    pub fn register(&self, name: &str, change: impl FnOnce(&mut Definition)) -> Result<()> {
        let mut definition = flights::service()?;
        definition.name = name.to_owned();
        change(&mut definition);
        self.app.registry.register_service(definition)?;
        Ok(())
    }

    /// A transform of the demo's services, by its own name.
    pub fn transform(&self, name: &str) -> Result<Transform> {
        for service in ["flight-notice", "card-features"] {
            let service = self.service(service)?;
            let mut found = service.plan.transforms().map(|(_, transform)| transform);
            if let Some(found) = found.find(|transform| transform.name().name == name) {
                return Ok(found.clone());
            }
        }
        anyhow::bail!("the demo has no transform {name}")
    }

    /// Scores a body, without HTTP.
    pub fn scored(&self, service: &Service, body: &[u8]) -> Result<Scored> {
        let plan = &service.plan;
        let request = tidemill::request::decode(&plan.request, body, plan.limits())?;
        let scored = score(service, request, Arrived::now(), Wanted::Score);
        Ok(self.runtime.block_on(scored)?)
    }

    /// The service's transforms, each with the block that it gets of such a request.
    pub fn calls(&self, service: &Service, body: &[u8]) -> Result<Vec<(Transform, Block)>> {
        let scored = self.scored(service, body)?;
        let calls = service.plan.transforms().map(|(step, transform)| {
            let (inputs, rows) = (&transform.description().inputs, &scored.vector.rows);
            let (sources, total) = (&scored.sources, scored.total);
            let block = tidemill::join::join(inputs, &step.inputs, sources, rows, total);
            (transform.clone(), block)
        });
        Ok(calls.collect())
    }

    /// The answer to a POST, which must be 200.
    pub fn ask(&self, path: &str, body: &Bytes) -> Result<Bytes> {
        answer(&self.runtime, &self.router, path, body)
    }

    /// As [`Demo::ask`], of another router.
    pub fn ask_of(&self, router: &Router, path: &str, body: &Bytes) -> Result<Bytes> {
        answer(&self.runtime, router, path, body)
    }
}

fn answer(runtime: &Runtime, router: &Router, path: &str, body: &Bytes) -> Result<Bytes> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.clone()))?;
    runtime.block_on(async {
        let Ok(response) = router.clone().call(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await?;
        ensure!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    })
}

/// As [`flights::bodies`], at least one.
pub fn bodies(rows: usize) -> Result<Vec<Bytes>> {
    let bodies: Vec<Bytes> = (flights::bodies(rows)?.into_iter().map(Bytes::from)).collect();
    bodies
        .first()
        .context("too few flights for that many rows")?;
    Ok(bodies)
}

/// One of `all` after another, around and around.
pub fn in_turn<'a, T>(all: &'a [T]) -> impl FnMut() -> &'a T {
    let mut at = 0;
    move || {
        at = (at + 1) % all.len();
        &all[at]
    }
}
