//! `POST …/score` and `…/features`: request → validate → *the sentence* → answer → log.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use uuid::Uuid;

use super::answer::{Answer, Timings};
use super::body::{self, Refused};
use super::jobs::{self, Job};
use super::openapi::{RowLine, ScoreAnswer, ScoreRequest, StreamLine};
use super::problem::{FINDING, Kind::JobsFull, SCORING};
use super::{Path, Shared, overload, stream};
use crate::app::App;
use crate::error::{Error, Result};
use crate::log::Role;
use crate::metrics::InFlight;
use crate::registry::Asked;
use crate::request::{self, Limits, Request};
use crate::score::{Arrived, score as run};
use crate::service::{Service, Wanted};
use crate::shadow::Answered;

/// Scores rows.
///
/// Where a request of one row fails, the answer is a problem; of several rows, the results of those that fail hold one.
#[utoipa::path(
    post,
    path = "/v1/services/{id}/score",
    operation_id = "score",
    tag = "scoring",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: the request is accepted with 202 and answered later, under `/v1/jobs`."),
        ("Tidemill-Callback" = Option<String>, Header, description = "With `Prefer: respond-async`: the URL to which the answer is sent."),
        ("features" = Option<bool>, Query, description = "For NDJSON: the features in each result.")),
    request_body(content((ScoreRequest = "application/json"), (RowLine = "application/x-ndjson"))),
    responses(
        (
            status = 200,
            description = "One result a row, in order; with `top_k` the best, best first. For NDJSON one line a row.",
            content((ScoreAnswer = "application/json"), (StreamLine = "application/x-ndjson"))
        ),
        (
            status = 202,
            description = "Accepted, to be answered later.",
            body = Job,
            headers(("Location" = String), ("Retry-After" = u32), ("Preference-Applied" = String))
        ),
    ),
    extensions(("x-problems" = json!([FINDING, SCORING, JobsFull]))),
)]
pub async fn score(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: HttpRequest,
) -> Response {
    respond(shared, id, Wanted::Score, request).await
}

/// Computes the features of rows, without the model.
#[utoipa::path(
    post,
    path = "/v1/services/{id}/features",
    operation_id = "features",
    tag = "scoring",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest."),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: the request is accepted with 202 and answered later, under `/v1/jobs`."),
        ("Tidemill-Callback" = Option<String>, Header, description = "With `Prefer: respond-async`: the URL to which the answer is sent."),
        ("features" = Option<bool>, Query, description = "For NDJSON: the features in each result.")),
    request_body(content((ScoreRequest = "application/json"), (RowLine = "application/x-ndjson"))),
    responses(
        (
            status = 200,
            description = "One result a row, in order; with `top_k` the best, best first. For NDJSON one line a row.",
            content((ScoreAnswer = "application/json"), (StreamLine = "application/x-ndjson"))
        ),
        (
            status = 202,
            description = "Accepted, to be answered later.",
            body = Job,
            headers(("Location" = String), ("Retry-After" = u32), ("Preference-Applied" = String))
        ),
    ),
    extensions(("x-problems" = json!([FINDING, SCORING, JobsFull]))),
)]
pub async fn features(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: HttpRequest,
) -> Response {
    respond(shared, id, Wanted::Features, request).await
}

async fn respond(shared: Shared, id: String, wanted: Wanted, request: HttpRequest) -> Response {
    let app = &shared.app;
    let outcome = if body::is_ndjson(request.headers()) {
        stream::stream(&shared, &id, wanted, request).map_err(Refused::from)
    } else {
        match jobs::is_later(request.headers()) {
            Ok(true) => (jobs::accept(&shared, &id, wanted, request).await).map_err(Refused::Wrong),
            Ok(false) => now(app, &id, wanted, request.into_body()).await,
            Err(error) => Err(error.into()),
        }
    };
    match outcome {
        Ok(response) => response,
        Err(Refused::Wrong(problem)) => {
            app.metrics.problem(problem.kind());
            problem.into_response()
        }
        Err(Refused::Overload(why, rest)) => {
            overload::answer(&app.load, why, rest, app.config.server.body_limit)
        }
    }
}

async fn now(app: &Arc<App>, id: &str, wanted: Wanted, body: Body) -> Result<Response, Refused> {
    let _in_flight = InFlight::new(&app.metrics);
    let json = answered(app, id, wanted, body).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
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
    let asked = app.registry.catalog().asked(id)?;
    // Whoever sends slowly has no place yet that another could use.
    let mut weight = app.load.weigh();
    let bytes = body::weighed(body, config.body_limit, &mut weight).await?;
    let large = bytes.len() > config.inline_bytes;
    let place = (app.load.enter(large)).map_err(|why| Refused::Overload(why, Body::empty()))?;
    let outcome = if large {
        let turn = app.load.batch_turn().await;
        let app = app.clone();
        let here = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            // Held until the work is done, also where nobody waits for it any more.
            let _held = (place, turn, weight);
            here.block_on(rolled_out(&app, &asked, wanted, &bytes))
        })
        .await
        .unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    } else {
        place.work(rolled_out(app, &asked, wanted, &bytes)).await
    };
    Ok(outcome?)
}

/// The answer of the version that the request is for: the one its id means, or that one's canary. Once it is made, its
/// shadows may have the body.
async fn rolled_out(app: &App, asked: &Asked, wanted: Wanted, body: &Bytes) -> Result<Vec<u8>> {
    let arrived = Arrived::now();
    let request_id = arrived.request_id();
    let mut service = &asked.service;
    let outcome = caught(async {
        let mut request = decoded(app, service, wanted, body)?;
        if let Some(canary) = asked.canary(&request.rows) {
            service = canary;
            request = decoded(app, service, wanted, body)?;
        }
        answer_rows(app, service, wanted, request, arrived, request_id, whole).await
    });
    let outcome = outcome.await;
    match (&outcome, &asked.rollout) {
        (Err(_), _) => service.metrics.failed.inc(),
        (Ok(_), None) => {}
        (Ok(_), Some(rollout)) => {
            let answered = Answered {
                request_id,
                at: arrived.at,
                wanted,
                version: service.plan.number,
                body,
            };
            app.shadows.offer(rollout, &answered);
        }
    }
    outcome
}

/// A panic of ours is our failure, and the next request's business no more than any other.
async fn caught(answer: impl Future<Output = Result<Vec<u8>>>) -> Result<Vec<u8>> {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            Err(Error::Internal(
                "the server panicked; its log says where".to_owned(),
            ))
        })
}

/// The answer of one version, without a canary or a shadow: of what is answered later.
pub(super) async fn guarded(
    app: &App,
    service: &Arc<Service>,
    wanted: Wanted,
    body: &[u8],
) -> Result<Vec<u8>> {
    caught(async {
        let arrived = Arrived::now();
        let request = Request {
            unhurried: true,
            ..decoded(app, service, wanted, body)?
        };
        answer_rows(
            app,
            service,
            wanted,
            request,
            arrived,
            arrived.request_id(),
            whole,
        )
        .await
    })
    .await
}

/// The answer to a whole request. What one row alone failed with is the answer's failure.
fn whole(answer: &Answer<'_>, id: Uuid) -> Result<Vec<u8>> {
    match answer.scored.sole_error() {
        None => Ok(answer.encode(id)),
        Some(error) => Err(error),
    }
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
    let request = request::decode(&service.plan.request, body, limits)?;
    if request.wishes.top_k.is_some() && (wanted != Wanted::Score || service.plan.score.is_none()) {
        let reason = match wanted {
            Wanted::Score => "the service has no score to order rows by",
            _ => "features have no order; ask for the /score",
        };
        return Err(Error::invalid("top_k", reason));
    }
    Ok(request)
}

pub(super) fn answerable(service: &Service, wanted: Wanted) -> Result<()> {
    if wanted == Wanted::Score && !service.plan.is_scored() {
        let reason = "it has no model and no [output]; ask for its /features (tidemill score --features-only)";
        return Err(Error::invalid(
            format!("service \"{}\"", service.name()),
            reason,
        ));
    }
    Ok(())
}

/// Answers decoded rows under this id, as `encode` writes them, and logs them.
pub(super) async fn answer_rows(
    app: &App,
    service: &Arc<Service>,
    wanted: Wanted,
    request: Request,
    arrived: Arrived,
    request_id: Uuid,
    encode: impl FnOnce(&Answer<'_>, Uuid) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let metrics = &service.metrics;
    let decode = arrived.instant.elapsed();
    let wishes = request.wishes;
    let scored = run(service, request, arrived, wanted).await?;
    let computed = arrived.instant.elapsed();
    let answer = Answer {
        service,
        scored: &scored,
        features: wishes.features || wanted == Wanted::Features,
        top_k: wishes.top_k,
        timings: wishes.timings.then_some(Timings {
            decode,
            total: computed,
        }),
    };
    let json = encode(&answer, request_id)?;

    metrics.rows.inc_by(scored.total as u64);
    match wanted {
        Wanted::Score => metrics.scored.inc(),
        Wanted::Features | Wanted::Gate => metrics.computed.inc(),
    }
    let total = arrived.instant.elapsed();
    metrics.took(decode, total.saturating_sub(computed), total);
    let audit = app.skew.as_ref().filter(|audit| audit.wants());
    if app.log.is_none() && audit.is_none() {
        return Ok(json);
    }
    let record = scored.into_record(service, request_id, arrived.at, Role::Answer, total);
    if let Some(audit) = audit {
        audit.offer(service, record.clone(), wanted);
    }
    if let Some(log) = &app.log {
        log.offer(record);
    }
    Ok(json)
}
