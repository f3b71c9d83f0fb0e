//! `POST …/score` and `…/features`: request → validate → *the sentence* → answer → log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use uuid::Uuid;

use super::answer::{Answer, Timings};
use super::body::{self, Refused};
use super::{Shared, overload};
use crate::app::App;
use crate::error::{Error, Result};
use crate::log::Role;
use crate::metrics::InFlight;
use crate::request::{self, Limits, Request};
use crate::score::{Arrived, score as run};
use crate::service::{Service, Wanted};

pub async fn score(State(shared): State<Shared>, Path(id): Path<String>, body: Body) -> Response {
    respond(shared, id, Wanted::Score, body).await
}

pub async fn features(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    respond(shared, id, Wanted::Features, body).await
}

async fn respond(shared: Shared, id: String, wanted: Wanted, body: Body) -> Response {
    let app = &shared.app;
    let _in_flight = InFlight::new(&app.metrics);
    let refused = match answered(app, &id, wanted, body).await {
        Ok(json) => return ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(refused) => refused,
    };
    match refused {
        Refused::Wrong(problem) => {
            app.metrics.problem(problem.kind());
            problem.into_response()
        }
        Refused::Overload(why, rest) => {
            overload::answer(&app.load, why, rest, app.config.server.body_limit)
        }
    }
}

async fn answered(
    app: &Arc<App>,
    id: &str,
    wanted: Wanted,
    body: Body,
) -> Result<Vec<u8>, Refused> {
    let config = &app.config.server;
    if let Err(why) = app.load.knock() {
        return Err(Refused::Overload(why, body));
    }
    let service = app.registry.catalog().service_by_id(id)?.clone();
    // Whoever sends slowly has no place yet that another could use.
    let mut weight = app.load.weigh();
    let bytes = body::weighed(body, config.body_limit, &mut weight).await?;
    let large = bytes.len() > config.inline_bytes;
    let place = (app.load.enter(large)).map_err(|why| Refused::Overload(why, Body::empty()))?;
    let outcome = if large {
        let turn = app.load.batch_turn().await;
        let (app, service) = (app.clone(), service.clone());
        let here = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            // Held until the work is done, also where nobody waits for it any more.
            let _held = (place, turn, weight);
            here.block_on(guarded(&app, &service, wanted, &bytes))
        })
        .await
        .unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    } else {
        place.work(guarded(app, &service, wanted, &bytes)).await
    };
    outcome.map_err(|error| {
        service.metrics.failed.inc();
        error.into()
    })
}

/// A panic of ours is our failure, and the next request's business no more than any other.
pub(super) async fn guarded(
    app: &App,
    service: &Service,
    wanted: Wanted,
    body: &[u8],
) -> Result<Vec<u8>> {
    AssertUnwindSafe(answer(app, service, wanted, body))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            Err(Error::Internal(
                "the server panicked; its log says where".to_owned(),
            ))
        })
}

async fn answer(app: &App, service: &Service, wanted: Wanted, body: &[u8]) -> Result<Vec<u8>> {
    let arrived = Arrived::now();
    let request = decoded(app, service, wanted, body)?;
    answer_rows(app, service, wanted, request, arrived).await
}

/// What a body asks, if the service can answer it.
pub(super) fn decoded(
    app: &App,
    service: &Service,
    wanted: Wanted,
    body: &[u8],
) -> Result<Request> {
    answerable(service, wanted)?;
    let limits = Limits {
        rows: app.config.server.row_limit,
        ..service.plan.limits()
    };
    request::decode(&service.plan.request, body, limits)
}

pub(super) fn answerable(service: &Service, wanted: Wanted) -> Result<()> {
    let plan = &service.plan;
    if wanted == Wanted::Score && plan.score.is_none() && plan.output.is_none() {
        let reason = "it has no model and no [output]; ask for its /features (tidemill score --features-only)";
        return Err(Error::invalid(
            format!("service \"{}\"", service.name()),
            reason,
        ));
    }
    Ok(())
}

/// Answers decoded rows, and logs them.
pub(super) async fn answer_rows(
    app: &App,
    service: &Service,
    wanted: Wanted,
    request: Request,
    arrived: Arrived,
) -> Result<Vec<u8>> {
    let metrics = &service.metrics;
    let decode = arrived.instant.elapsed();
    metrics.decode_seconds.observe(decode.as_secs_f64());
    let wishes = request.wishes;
    let scored = run(service, request, arrived, wanted).await?;
    if let Some(error) = scored.sole_error() {
        return Err(error);
    }
    let encoding = Instant::now();
    let request_id = Uuid::now_v7();
    let answer = Answer {
        service,
        scored: &scored,
        features: wishes.features || wanted == Wanted::Features,
        top_k: wishes.top_k,
        timings: wishes.timings.then(|| Timings {
            decode,
            total: arrived.instant.elapsed(),
        }),
    };
    let json = answer.encode(request_id);

    metrics.rows.inc_by(scored.total as u64);
    match wanted {
        Wanted::Score => metrics.scored.inc(),
        Wanted::Features | Wanted::Gate => metrics.computed.inc(),
    }
    let total = arrived.instant.elapsed();
    metrics
        .encode_seconds
        .observe(encoding.elapsed().as_secs_f64());
    metrics.seconds.observe(total.as_secs_f64());
    if let Some(log) = &app.log {
        log.offer(scored.into_record(service, request_id, arrived.at, Role::Answer, total));
    }
    Ok(json)
}
