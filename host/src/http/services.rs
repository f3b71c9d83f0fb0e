//! Services: register, list, show.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changes::{Who, change, changed, name, option};
use super::problem::Kind::{Refused, UnsupportedMediaType};
use super::problem::{FINDING, WRITING};
use super::transforms::status;
use super::{Path, Problem, Shared, blocking, body};
use crate::access::{Change, Detail};
use crate::error::{Error, Result};
use crate::model::Tensor;
use crate::registry::{Catalog, Force, Forced, Item, Kind, Retirement};
use crate::schema::{Field, Schema};
use crate::service::graph::Graph;
use crate::service::{Definition, Pins, Service};

#[derive(Serialize, ToSchema)]
pub struct ServiceShown {
    name: String,
    version: u32,
    registered_at: String,
    /// That point at this version.
    aliases: Vec<String>,
    #[schema(required)]
    retired: Option<Retirement>,
    /// Present where it was registered although its model was trained on something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<Forced>,
    pins: Pins,
    #[schema(value_type = Vec<Field>)]
    features: Schema,
    /// The fields of `[output]`.
    #[schema(required, value_type = Option<Vec<Field>>)]
    output: Option<Schema>,
    /// Of its model.
    #[schema(required)]
    outputs: Option<Vec<Tensor>>,
    definition: Definition,
}

#[derive(Serialize, ToSchema)]
pub struct ServiceListed {
    name: String,
    /// How many there are.
    versions: usize,
    /// What the bare name means.
    #[schema(required)]
    version: Option<u32>,
    /// Where each alias points.
    aliases: BTreeMap<String, u32>,
    doc: String,
}

#[derive(Serialize, ToSchema)]
pub struct ServiceList {
    services: Vec<ServiceListed>,
}

/// Registers a service, or its next version.
///
/// The body is a service file: TOML, or the same as JSON. A service whose transforms or vector are not those that its model
/// was trained on is refused with the difference, unless `forced` says why it should be.
#[utoipa::path(
    post,
    path = "/v1/services",
    operation_id = "register_service",
    tag = "services",
    params(("forced" = Option<String>, Query, description = "Why it is registered in any case; it stands in the version for ever.")),
    request_body(content((String = "application/toml"), (Definition = "application/json"))),
    responses((status = 201, description = "Registered.", body = ServiceShown), (status = 200, description = "It was there already.", body = ServiceShown)),
    extensions(("x-problems" = json!([Refused, UnsupportedMediaType, WRITING]))),
)]
pub async fn register(
    State(shared): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
    who: Who,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut change = change("service.register", "");
    let outcome = admitted(shared, &query, who, headers, body, &mut change).await;
    changed(change, outcome)
}

async fn admitted(
    shared: Shared,
    query: &BTreeMap<String, String>,
    who: Who,
    headers: HeaderMap,
    body: Body,
    change: &mut Change,
) -> Result<(StatusCode, Option<Extension<Detail>>, Json<ServiceShown>), Problem> {
    let force = option(query, "forced")?
        .map(|reason| Force::new(&reason, name(who)))
        .transpose()?;
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let definition = match body::content_type(&headers) {
        "application/json" => Definition::from_json(&bytes)?,
        _ if body::is_toml(&headers) => {
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
    change.subject = definition.name.clone();
    let app = shared.app.clone();
    let (service, outcome) =
        blocking(move || app.registry.register_service_forced(definition, force)).await?;
    change.subject = format!("{}@{}", service.name(), service.plan.number);
    let catalog = shared.app.registry.catalog();
    let shown = shown(&catalog, &service);
    let detail = shown.forced.as_ref().map(|forced| {
        let differences = forced.differences.join("; ");
        Extension(Detail(format!(
            "forced against {}: {} ({differences})",
            forced.training_set, forced.reason
        )))
    });
    Ok((status(outcome), detail, Json(shown)))
}

/// All services.
#[utoipa::path(
    get,
    path = "/v1/services",
    operation_id = "list_services",
    tag = "services",
    responses((status = 200, description = "By name.", body = ServiceList)),
)]
pub async fn list(State(shared): State<Shared>) -> Json<ServiceList> {
    let catalog = shared.app.registry.catalog();
    let all = catalog.services.iter().map(|(name, versions)| {
        let meant = catalog.service_entry(name).ok().map(|entry| &entry.record);
        let aliases = catalog.aliases.get(name).into_iter().flatten();
        let aliases = aliases.map(|(alias, settings)| (alias.clone(), settings.version));
        ServiceListed {
            name: name.clone(),
            versions: versions.len(),
            version: meant.map(|record| record.number),
            aliases: aliases.collect(),
            doc: meant.map_or_else(String::new, |record| record.definition.doc.clone()),
        }
    });
    Json(ServiceList {
        services: all.collect(),
    })
}

/// A version of a service.
#[utoipa::path(
    get,
    path = "/v1/services/{id}",
    operation_id = "show_service",
    tag = "services",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest.")),
    responses((status = 200, description = "The version.", body = ServiceShown)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ServiceShown>, Problem> {
    let app = shared.app.clone();
    let shown = blocking(move || {
        let catalog = app.registry.catalog();
        let service = catalog.service_entry(&id)?.ready(&catalog)?;
        Ok(shown(&catalog, service))
    });
    Ok(Json(shown.await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlanQuery {
    #[serde(default)]
    #[param(inline)]
    format: GraphFormat,
}

/// How a graph is told: as JSON, as indented text, as a Mermaid diagram.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GraphFormat {
    #[default]
    Json,
    Text,
    Mermaid,
}

/// The steps of a service, their stages and its longest chain.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/plan",
    operation_id = "show_service_plan",
    tag = "services",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest."), PlanQuery),
    responses((status = 200, description = "The plan.", content((Graph = "application/json"), (String = "text/plain")))),
    extensions(("x-problems" = json!([FINDING]))),
)]
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
        GraphFormat::Json => Json(graph).into_response(),
        GraphFormat::Text => graph.to_text().into_response(),
        GraphFormat::Mermaid => graph.to_mermaid().into_response(),
    })
}

fn shown(catalog: &Catalog, service: &Service) -> ServiceShown {
    let (name, plan) = (service.name(), &service.plan);
    let model = plan.model.as_ref();
    ServiceShown {
        name: name.to_owned(),
        version: plan.number,
        registered_at: service.registered_at.to_string(),
        aliases: catalog.aliases_of(name, plan.number),
        retired: catalog.retirement(&Item::new(Kind::Service, name, plan.number)),
        forced: (catalog
            .service_entry(&format!("{name}@{}", plan.number))
            .ok())
        .and_then(|entry| entry.record.forced.clone()),
        pins: service.pins.clone(),
        features: plan.vector.schema.clone(),
        output: plan.output.as_ref().map(|output| output.schema.clone()),
        outputs: model.map(|planned| planned.model.engine.outputs().to_vec()),
        definition: plan.definition.clone(),
    }
}

/// A service with all that it is made of, as a tar.
///
/// `tidemill replay` runs logged answers again from it.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/bundle",
    operation_id = "export_service",
    tag = "services",
    params(("id" = String, Path, description = "`name@3`, `name@alias`, or `name`: the version that the alias `stable` points at, without one the newest.")),
    responses((status = 200, description = "A tar.", body = Vec<u8>, content_type = "application/x-tar")),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn bundle(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let app = shared.app.clone();
    let tar = tokio::task::spawn_blocking(move || app.registry.bundle(&id))
        .await
        .map_err(|error| Error::Internal(error.to_string()))??;
    Ok((
        [(axum::http::header::CONTENT_TYPE, "application/x-tar")],
        tar,
    )
        .into_response())
}
