//! Aliases: list, show with their history, move, roll back, remove.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::changes::{Who, Why, change, changed, name, reason};
use super::problem::Kind::{Conflict, StoreFailed};
use super::problem::{FINDING, WRITING};
use super::transforms::status;
use super::{Path, Problem, Shared, blocking, body};
use crate::error::{Error, Result};
use crate::registry::{AliasChange, AliasSettings, Mover, Registry};

/// An alias, what it stands for, and how it came to.
#[derive(Serialize, ToSchema)]
pub struct AliasShown {
    service: String,
    alias: String,
    /// Null once it is removed.
    #[schema(required)]
    settings: Option<AliasSettings>,
    /// Oldest first.
    history: Vec<AliasChange>,
}

#[derive(Serialize, ToSchema)]
pub struct AliasList {
    service: String,
    aliases: Vec<AliasShown>,
}

/// The aliases of a service.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/aliases",
    operation_id = "list_aliases",
    tag = "aliases",
    params(("id" = String, Path, description = "The name of the service.")),
    responses((status = 200, description = "By name.", body = AliasList)),
    extensions(("x-problems" = json!([FINDING, StoreFailed]))),
)]
pub async fn list(
    State(shared): State<Shared>,
    Path(service): Path<String>,
) -> Result<Json<AliasList>, Problem> {
    let registry = &shared.app.registry;
    let catalog = registry.catalog();
    let service = catalog.service_name(&service)?.to_owned();
    let aliases = catalog.aliases.get(&service).into_iter().flatten();
    let aliases = aliases.map(|(alias, _)| shown(registry, &service, alias));
    let aliases = aliases.collect::<Result<_>>()?;
    Ok(Json(AliasList { service, aliases }))
}

/// An alias with its history.
#[utoipa::path(
    get,
    path = "/v1/services/{id}/aliases/{alias}",
    operation_id = "show_alias",
    tag = "aliases",
    params(("id" = String, Path, description = "The name of the service."), ("alias" = String, Path, description = "`stable`")),
    responses((status = 200, description = "The alias.", body = AliasShown)),
    extensions(("x-problems" = json!([FINDING, StoreFailed]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path((service, alias)): Path<(String, String)>,
) -> Result<Json<AliasShown>, Problem> {
    let registry = &shared.app.registry;
    registry.catalog().alias(&service, &alias)?;
    Ok(Json(shown(registry, &service, &alias)?))
}

/// Points an alias at a version.
///
/// The body is all that the alias is to stand for, `{"version": 3}`, with shadows, a canary and a `"reason"` if you like. The
/// next request goes there; those in flight finish on what they began with.
#[utoipa::path(
    put,
    path = "/v1/services/{id}/aliases/{alias}",
    operation_id = "move_alias",
    tag = "aliases",
    params(("id" = String, Path, description = "The name of the service."), ("alias" = String, Path, description = "`stable`")),
    request_body = AliasMove,
    responses((status = 201, description = "Moved.", body = AliasShown), (status = 200, description = "It stood there already.", body = AliasShown)),
    extensions(("x-problems" = json!([FINDING, Conflict, WRITING]))),
)]
pub async fn put(
    State(shared): State<Shared>,
    Path((service, alias)): Path<(String, String)>,
    who: Who,
    body: Body,
) -> Response {
    let change = change("alias.move", format!("{service}/{alias}"));
    changed(change, moved(shared, service, alias, who, body).await)
}

async fn moved(
    shared: Shared,
    service: String,
    alias: String,
    who: Who,
    body: Body,
) -> Result<(StatusCode, Json<AliasShown>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let (settings, reason) = settings(&bytes)?;
    let by = name(who);
    let app = shared.app.clone();
    blocking(move || {
        let mover = Mover {
            by: &by,
            reason: reason.as_deref(),
        };
        let (_, outcome) = app.registry.move_alias(&service, &alias, settings, mover)?;
        Ok((
            status(outcome),
            Json(shown(&app.registry, &service, &alias)?),
        ))
    })
    .await
}

/// Gives an alias the settings it had before its last change.
///
/// Twice goes further back, not back and forth. The body may say why.
#[utoipa::path(
    post,
    path = "/v1/services/{id}/aliases/{alias}/rollback",
    operation_id = "roll_back_alias",
    tag = "aliases",
    params(("id" = String, Path, description = "The name of the service."), ("alias" = String, Path, description = "`stable`")),
    request_body(content = Option<Why>, description = "May say why."),
    responses((status = 200, description = "Rolled back.", body = AliasShown)),
    extensions(("x-problems" = json!([FINDING, Conflict, WRITING]))),
)]
pub async fn roll_back(
    State(shared): State<Shared>,
    Path((service, alias)): Path<(String, String)>,
    who: Who,
    body: Body,
) -> Response {
    let change = change("alias.rollback", format!("{service}/{alias}"));
    let outcome = ended(shared, service, alias, who, body, Registry::roll_back_alias);
    changed(change, outcome.await)
}

/// Removes an alias.
///
/// The body may say why.
#[utoipa::path(
    delete,
    path = "/v1/services/{id}/aliases/{alias}",
    operation_id = "remove_alias",
    tag = "aliases",
    params(("id" = String, Path, description = "The name of the service."), ("alias" = String, Path, description = "`stable`")),
    request_body(content = Option<Why>, description = "May say why."),
    responses((status = 200, description = "Removed; its history stays.", body = AliasShown)),
    extensions(("x-problems" = json!([FINDING, Conflict, WRITING]))),
)]
pub async fn remove(
    State(shared): State<Shared>,
    Path((service, alias)): Path<(String, String)>,
    who: Who,
    body: Body,
) -> Response {
    let change = change("alias.remove", format!("{service}/{alias}"));
    let outcome = ended(shared, service, alias, who, body, Registry::remove_alias);
    changed(change, outcome.await)
}

async fn ended(
    shared: Shared,
    service: String,
    alias: String,
    who: Who,
    body: Body,
    act: fn(&Registry, &str, &str, Mover<'_>) -> Result<AliasChange>,
) -> Result<Json<AliasShown>, Problem> {
    let reason = reason(body, shared.app.config.server.upload_limit).await?;
    let by = name(who);
    let app = shared.app.clone();
    blocking(move || {
        let mover = Mover {
            by: &by,
            reason: reason.as_deref(),
        };
        act(&app.registry, &service, &alias, mover)?;
        Ok(Json(shown(&app.registry, &service, &alias)?))
    })
    .await
}

fn shown(registry: &Registry, service: &str, alias: &str) -> Result<AliasShown> {
    let catalog = registry.catalog();
    let settings = catalog.alias(service, alias).ok();
    Ok(AliasShown {
        service: service.to_owned(),
        alias: alias.to_owned(),
        settings: settings.map(|settings| AliasSettings::clone(settings)),
        history: registry.alias_history(service, alias)?,
    })
}

/// What an alias is to stand for, and why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what `settings` reads")]
struct AliasMove {
    #[schema(inline)]
    #[serde(flatten)]
    settings: AliasSettings,
    reason: Option<String>,
}

/// The settings of a body, and the reason that stands beside them.
fn settings(bytes: &[u8]) -> Result<(AliasSettings, Option<String>)> {
    let wrong = |error: serde_json::Error| {
        let form = r#"its form is {"version": 3, "shadow": [{"version": 4, "share": 1}], "canary": {"version": 5, "share": 0.05, "key": "customer_id"}, "reason": "…"}, of which version alone must be there"#;
        Error::invalid("body", format!("{error}; {form}"))
    };
    let mut object: serde_json::Map<_, _> = serde_json::from_slice(bytes).map_err(wrong)?;
    let reason = object.remove("reason").unwrap_or_default();
    let reason = serde_json::from_value(reason).map_err(wrong)?;
    let settings = serde_json::from_value(object.into()).map_err(wrong)?;
    Ok((settings, reason))
}
