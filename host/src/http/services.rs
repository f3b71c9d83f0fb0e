//! Services: register, list, show.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::transforms::status;
use super::{Problem, Shared, body};
use crate::error::{Error, Result};
use crate::service::graph::Graph;
use crate::service::{Definition, Service};

/// The body is a service file: TOML, or the same as JSON.
pub async fn register(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let definition = match body::content_type(&headers) {
        "application/json" => Definition::from_json(&bytes)?,
        ""
        | "application/toml"
        | "text/plain"
        | "application/octet-stream"
        | "application/x-www-form-urlencoded" => {
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Error::invalid("body", "it is no UTF-8 text"))?;
            Definition::from_toml(text)?
        }
        other => {
            return Err(Problem::unsupported_media(
                other,
                "application/toml or application/json",
            ));
        }
    };
    let app = shared.app.clone();
    let (service, outcome) =
        tokio::task::spawn_blocking(move || app.registry.register_service(definition))
            .await
            .map_err(|error| Error::Internal(error.to_string()))??;
    Ok((status(outcome), Json(shown(&service))))
}

pub async fn list(State(shared): State<Shared>) -> Json<Value> {
    let catalog = shared.app.registry.catalog();
    let all = catalog.services.iter().map(|(name, versions)| {
        let doc = versions
            .last()
            .map_or("", |newest| newest.plan.definition.doc.as_str());
        json!({ "name": name, "versions": versions.len(), "doc": doc })
    });
    Json(json!({ "services": all.collect::<Vec<_>>() }))
}

/// `name`, `name@3` or `name@alias`.
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let catalog = shared.app.registry.catalog();
    Ok(Json(shown(catalog.service_by_id(&id)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanQuery {
    #[serde(default)]
    format: PlanFormat,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlanFormat {
    #[default]
    Json,
    Text,
    Mermaid,
}

/// The steps of a service, their stages and its longest chain.
pub async fn plan(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<PlanQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_| {
        Error::invalid(
            "format",
            "it is none of those there are: json, text, mermaid",
        )
    })?;
    let catalog = shared.app.registry.catalog();
    let graph = Graph::of(&catalog.service_by_id(&id)?.plan);
    Ok(match query.format {
        PlanFormat::Json => Json(graph).into_response(),
        PlanFormat::Text => graph.to_text().into_response(),
        PlanFormat::Mermaid => graph.to_mermaid().into_response(),
    })
}

fn shown(service: &Service) -> Value {
    let plan = &service.plan;
    json!({
        "name": service.name(),
        "version": plan.number,
        "registered_at": service.registered_at.to_string(),
        "pins": service.pins,
        "features": plan.vector.schema,
        "outputs": plan.model.as_ref().map(|planned| planned.model.engine.outputs()),
        "definition": plan.definition,
    })
}
