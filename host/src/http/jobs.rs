//! Answers for later: `Prefer: respond-async` on a request to score, and what becomes of it under `/v1/jobs`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::changes::{Who, change, changed};
use super::openapi::{AnyProblem, ScoreAnswer};
use super::problem::Kind::{Internal, NotDone, StoreFailed, TooLarge};
use super::problem::{FINDING, SCORING, WRITING};
use super::score::{decoded, guarded};
use super::{Path, Problem, Shared, blocking, body};
use crate::access::{Principal, Role};
use crate::app::App;
use crate::error::{Error, Result};
use crate::jobs::{Asked, Callback, Kind, Record, Run, State as JobState};
use crate::service::Wanted;

/// Where the answer is to be sent. A header: a URL in a query would need escaping, and what it holds of secrets would stand
/// in the logs of every proxy.
const CALLBACK: &str = "tidemill-callback";

/// Seconds after which asking again is worth while.
const ASK_AGAIN: u32 = 1;

/// Jobs of a list, at most.
const LISTED: usize = 1_000;

/// A job, as its client sees it.
#[derive(Serialize, ToSchema)]
pub struct Job {
    id: String,
    state: JobState,
    #[schema(inline)]
    kind: Kind,
    service: String,
    service_version: u32,
    created_at: Timestamp,
    #[schema(required)]
    started_at: Option<Timestamp>,
    #[schema(required)]
    finished_at: Option<Timestamp>,
    attempts: u32,
    result_url: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<AnyProblem>)]
    problem: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    callback: Option<Callback>,
}

#[derive(Serialize, ToSchema)]
pub struct JobList {
    jobs: Vec<Job>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListOptions {
    /// At most so many, and never more than 1,000.
    #[serde(default = "usual")]
    #[param(required = false, default = 100)]
    limit: usize,
}

fn usual() -> usize {
    100
}

impl From<Record> for Job {
    fn from(record: Record) -> Job {
        let id = record.id.to_string();
        Job {
            result_url: format!("/v1/jobs/{id}/result"),
            id,
            state: record.state,
            kind: record.kind,
            service: record.service,
            service_version: record.service_version,
            created_at: record.created_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
            attempts: record.attempts,
            problem: record.problem,
            callback: record.callback,
        }
    }
}

/// Whether an answer is to be sent later.
pub fn is_later(headers: &HeaderMap) -> Result<bool> {
    match (prefers_later(headers), headers.contains_key(CALLBACK)) {
        (false, true) => Err(Error::invalid(
            "Tidemill-Callback",
            "only an answer for later is sent: add the header Prefer: respond-async",
        )),
        (later, _) => Ok(later),
    }
}

/// Whether one of the preferences (RFC 7240) is `respond-async`.
fn prefers_later(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split([';', '=']).next())
        .any(|name| name.trim().eq_ignore_ascii_case("respond-async"))
}

/// Accepts a request that is answered later.
pub async fn accept(
    shared: &Shared,
    id: &str,
    wanted: Wanted,
    request: Request,
) -> Result<Response, Problem> {
    let service = shared.app.registry.catalog().service_by_id(id)?.clone();
    let callback = request
        .headers()
        .get(CALLBACK)
        .map(|url| {
            let url = url
                .to_str()
                .map_err(|_| Error::invalid("Tidemill-Callback", "it is no URL"))?;
            shared.app.jobs.callback(url)
        })
        .transpose()?;
    let by = principal(request.extensions());
    let bytes = body::read(request.into_body(), shared.app.jobs.settings().body_limit).await?;

    let (app, permit) = (shared.app.clone(), shared.app.load.batch_turn().await);
    let accepted = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        // What cannot be read is said now, and not found by a client that asks later.
        decoded(&app, &service, wanted, &bytes).inspect_err(|_| service.metrics.failed.inc())?;
        app.jobs.accept(Asked {
            service: service.name().to_owned(),
            service_version: service.plan.number,
            kind: match wanted {
                Wanted::Score => Kind::Score,
                _ => Kind::Features,
            },
            by: by.name,
            body: bytes.into(),
            callback,
        })
    })
    .await
    .map_err(|error| Error::Internal(error.to_string()))??;
    let Some(record) = accepted else {
        let limit = shared.app.jobs.settings().queue;
        return Err(Problem::jobs_full(limit, ASK_AGAIN));
    };
    let job = Job::from(record);
    let headers = [
        (header::LOCATION, format!("/v1/jobs/{}", job.id)),
        (
            http::HeaderName::from_static("preference-applied"),
            "respond-async".to_owned(),
        ),
        (header::RETRY_AFTER, ASK_AGAIN.to_string()),
    ];
    Ok((StatusCode::ACCEPTED, headers, Json(job)).into_response())
}
/// The newest jobs, one's own; an admin's list has everybody's.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(ListOptions),
    responses((status = 200, description = "The newest first.", body = JobList)),
    extensions(("x-problems" = json!([Internal, StoreFailed]))),
)]
pub async fn list(
    State(shared): State<Shared>,
    who: Who,
    options: Result<Query<ListOptions>, QueryRejection>,
) -> Result<Json<JobList>, Problem> {
    let Query(options) = options.map_err(|error| {
        Error::invalid(
            "query",
            format!("{}; there is limit=100", error.body_text()),
        )
    })?;
    let limit = options.limit.min(LISTED);
    let found = shared.app.jobs.newest(limit, own_only(who).as_deref())?;
    Ok(Json(JobList {
        jobs: found.into_iter().map(Job::from).collect(),
    }))
}
/// A job.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    operation_id = "show_job",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = Job)),
    extensions(("x-problems" = json!([FINDING, StoreFailed]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<Job>, Problem> {
    let record = shared.app.jobs.get(&id, own_only(who).as_deref())?;
    Ok(Json(record.into()))
}
/// The answer of a job, byte for byte as the request would have got it.
///
/// Of a job that failed, the problem.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/result",
    operation_id = "show_job_result",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    responses((status = 200, description = "The answer.", body = ScoreAnswer)),
    extensions(("x-problems" = json!([FINDING, NotDone, TooLarge, SCORING]))),
)]
pub async fn result(
    State(shared): State<Shared>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let jobs = &shared.app.jobs;
    let record = jobs.get(&id, own_only(who).as_deref())?;
    if let Some(problem) = record.problem {
        let status = problem["status"].as_u64().unwrap_or(500) as u16;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [(header::CONTENT_TYPE, "application/problem+json")];
        return Ok((status, headers, problem.to_string()).into_response());
    }
    match (record.state, jobs.answer(record.id)?) {
        (JobState::Done, Some(answer)) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            Ok((headers, Body::from(answer)).into_response())
        }
        _ => Err(Problem::not_done(&id, record.state, ASK_AGAIN)),
    }
}

/// Cancels a job that waits; forgets one that is finished.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    operation_id = "remove_job",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    responses((status = 200, description = "What it was.", body = Job)),
    extensions(("x-problems" = json!([FINDING, WRITING]))),
)]
pub async fn remove(State(shared): State<Shared>, who: Who, Path(id): Path<String>) -> Response {
    changed(
        change("job.remove", id.as_str()),
        removed(shared, who, id).await,
    )
}

async fn removed(shared: Shared, who: Who, id: String) -> Result<Json<Job>, Problem> {
    let record = shared.app.jobs.get(&id, own_only(who).as_deref())?;
    let (jobs, removed) = (shared.app.jobs.clone(), record.clone());
    blocking(move || jobs.remove(&removed)).await?;
    Ok(Json(record.into()))
}

fn principal(extensions: &http::Extensions) -> Principal {
    extensions
        .get::<Principal>()
        .cloned()
        .unwrap_or_else(Principal::loopback)
}

/// Whose jobs are seen: none is everybody's.
fn own_only(who: Who) -> Option<String> {
    let who = who.map_or_else(Principal::loopback, |Extension(who)| who);
    (who.role < Role::Admin).then_some(who.name)
}

/// Makes the answers of jobs as those of requests are made. What waits within it waits on this runtime.
pub fn run(app: &Arc<App>, runtime: Handle) -> Run {
    let app = app.clone();
    Arc::new(move |record, body| {
        let wanted = match record.kind {
            Kind::Score => Wanted::Score,
            Kind::Features => Wanted::Features,
        };
        let catalog = app.registry.catalog();
        let id = format!("{}@{}", record.service, record.service_version);
        let outcome = catalog.service_by_id(&id).and_then(|service| {
            runtime
                .block_on(guarded(&app, service, wanted, body))
                .inspect_err(|_| service.metrics.failed.inc())
        });
        outcome.map_err(|error| {
            let problem = Problem::from(error);
            problem.trace();
            app.metrics.problem(problem.kind());
            problem.body()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::service::Definition;

    /// What was asked of a service is answered by the version that was meant then, whatever has been registered since.
    #[test]
    fn a_job_is_answered_by_the_version_it_was_accepted_for() {
        let data = tempfile::tempdir().unwrap();
        let app = Arc::new(
            App::open(Config {
                data_dir: data.path().to_owned(),
                ..Config::default()
            })
            .unwrap(),
        );
        let register = |feature: &str| {
            let text = format!(
                "name = \"echo\"\nfeatures = [\"{feature}\"]\n[request]\na = \"f64\"\nb = \"f64\"\n"
            );
            let definition = Definition::from_toml(&text).unwrap();
            app.registry.register_service(definition).unwrap();
        };
        register("a");
        let record = app.jobs.accept(Asked {
            service: "echo".to_owned(),
            service_version: 1,
            kind: Kind::Features,
            by: "loopback".to_owned(),
            body: Vec::new(),
            callback: None,
        });
        let mut record = record.unwrap().unwrap();
        register("b");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let run = run(&app, runtime.handle().clone());
        let body = b"{\"inputs\":{\"a\":1,\"b\":2}}";
        let answer: Value = serde_json::from_slice(&run(&record, body).unwrap()).unwrap();
        assert_eq!(
            (
                &answer["service_version"],
                &answer["results"][0]["features"]
            ),
            (&1.into(), &serde_json::json!({ "a": 1.0 }))
        );
        record.service_version = 9;
        let problem = run(&record, body).unwrap_err();
        assert_eq!(problem["status"], 404, "{problem}");
    }

    #[test]
    fn the_preference_is_found_among_others() {
        for (values, expected) in [
            (&["respond-async"][..], true),
            (&["Respond-Async, wait=10"], true),
            (
                &["return=minimal", "wait=10; x=1 , respond-async;foo=bar"],
                true,
            ),
            (&["respond-asynchronously"], false),
            (&["return=respond-async"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            assert_eq!(prefers_later(&headers), expected, "{values:?}");
        }
    }
}
