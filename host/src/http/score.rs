//! `POST …/score` and `…/features`: request → validate → *the sentence* → answer → log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::{Problem, Shared, answer, body};
use crate::app::App;
use crate::error::{Error, Result};
use crate::log::{Looked, Record};
use crate::metrics::InFlight;
use crate::model::{Kind, Matrix, Values};
use crate::request::{self, Limits};
use crate::score::{Scored, score as run};
use crate::service::{Service, UnknownFields};

/// What is asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Score,
    Features,
}

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
    let _in_flight = InFlight::new(&shared.app.metrics);
    let outcome = answered(&shared, &id, wanted, body).await;
    match outcome {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(problem) => {
            shared.app.metrics.problem(problem.kind());
            problem.into_response()
        }
    }
}

async fn answered(
    shared: &Shared,
    id: &str,
    wanted: Wanted,
    body: Body,
) -> Result<Vec<u8>, Problem> {
    let app = &shared.app;
    let service = app.registry.catalog().service_by_id(id)?.clone();
    let bytes = body::read(body, app.config.server.body_limit).await?;
    let outcome = if bytes.len() <= app.config.server.inline_bytes {
        guarded(app, &service, wanted, &bytes)
    } else {
        let _permit = shared.batch.acquire().await;
        let (app, service) = (app.clone(), service.clone());
        tokio::task::spawn_blocking(move || guarded(&app, &service, wanted, &bytes))
            .await
            .unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    };
    outcome.map_err(|error| {
        service.metrics.failed.inc();
        error.into()
    })
}

/// A panic of ours is our failure, and the next request's business no more than any other.
fn guarded(app: &Arc<App>, service: &Arc<Service>, wanted: Wanted, body: &[u8]) -> Result<Vec<u8>> {
    catch_unwind(AssertUnwindSafe(|| answer(app, service, wanted, body))).unwrap_or_else(|_| {
        Err(Error::Internal(
            "the server panicked; its log says where".to_owned(),
        ))
    })
}

fn answer(app: &App, service: &Service, wanted: Wanted, body: &[u8]) -> Result<Vec<u8>> {
    let started = Instant::now();
    let now = jiff::Timestamp::now().as_microsecond();
    let definition = &service.plan.definition;
    if wanted == Wanted::Score && service.plan.model.is_none() {
        let reason = "it has no model; ask for its /features (tidemill score --features-only)";
        return Err(Error::invalid(
            format!("service \"{}\"", definition.name),
            reason,
        ));
    }
    let limits = Limits {
        rows: app.config.server.row_limit,
        ignore_unknown: definition.unknown_fields == UnknownFields::Ignore,
    };
    let request = request::decode(&service.plan.request, body, limits)?;
    let features = request.features || wanted == Wanted::Features;
    let scored = run(service, request.rows, now, wanted == Wanted::Score)?;
    if let Some(refused) = scored.refused() {
        return Err(refused);
    }
    let request_id = Uuid::now_v7();
    let json = answer::encode(service, request_id, &scored, features);

    let metrics = &service.metrics;
    metrics.rows.inc_by(scored.vector.rows() as u64);
    match wanted {
        Wanted::Score => metrics.scored.inc(),
        Wanted::Features => metrics.computed.inc(),
    }
    if let Some(log) = &app.log {
        log.offer(record(service, request_id, now, scored));
    }
    metrics.seconds.observe(started.elapsed().as_secs_f64());
    Ok(json)
}

fn record(service: &Service, request_id: Uuid, time: i64, scored: Scored) -> Record {
    // What the model saw, as numbers; a service without a model has no vector, and a model of texts none of numbers.
    let vector = match scored.outputs.is_empty() {
        true => Vec::new(),
        false => match Matrix::of_columns(
            &scored.vector,
            service.plan.vector.schema.slots(),
            Kind::F32,
        )
        .values
        {
            Values::F32(values) => values,
            _ => Vec::new(),
        },
    };
    let lookups = scored.lookups.into_iter();
    Record {
        shape: service.shape.clone(),
        request_id,
        time,
        groups: scored.sources,
        lookups: lookups
            .map(|l| Looked {
                statuses: l.statuses,
                event_times: l.event_times,
            })
            .collect(),
        vector,
        scores: scored.scores,
        errors: scored
            .refusals
            .into_iter()
            .map(|refusal| {
                refusal.map(|refusal| format!("{}: {}", refusal.transform, refusal.message))
            })
            .collect(),
    }
}
