//! Retiring, restoring and deleting versions: the same for every kind.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::routing::{MethodRouter, post};
use serde::Serialize;
use utoipa::ToSchema;

use super::changes::{Who, Why, change, changed, name, option, reason};
use super::problem::{FINDING, Kind::Conflict, WRITING};
use super::{Path, Problem, Shared, blocking};
use crate::access::Change;
use crate::app::App;
use crate::error::Error;
use crate::registry::{Item, Kind, Mover, Retirement};

/// A version after it was retired or restored.
#[derive(Serialize, ToSchema)]
pub struct Standing {
    kind: Kind,
    id: String,
    /// Null where it is not retired.
    #[schema(required)]
    retired: Option<Retirement>,
}

/// A version that is no more.
#[derive(Serialize, ToSchema)]
pub struct Deleted {
    kind: Kind,
    id: String,
    digest: String,
    at: String,
    by: String,
}

/// Retires a version of a {kind}.
///
/// Those who have it keep it; nothing new gets it. The body may say why.
#[utoipa::path(
    post,
    path = "/v1/{kinds}/{id}/retire",
    operation_id = "retire_{kind}",
    params(("id" = String, Path, description = "The version, `name@version`.")),
    request_body(content = Option<Why>, description = "May say why."),
    responses((status = 200, description = "Retired.", body = Standing)),
    extensions(("x-problems" = json!([FINDING, Conflict, WRITING]))),
)]
pub fn retire(kind: Kind) -> MethodRouter<Shared> {
    let action = match kind {
        Kind::Transform => "transform.retire",
        Kind::View => "view.retire",
        Kind::Model => "model.retire",
        Kind::Service => "service.retire",
        Kind::TrainingSet => "training-set.retire",
    };
    let act = |app: &App, item: &Item, mover: Mover<'_>| {
        let (retirement, _) = app.registry.retire(item, mover)?;
        Ok(Some(Retirement::clone(&retirement)))
    };
    standing(kind, action, act)
}

/// Takes back that a version of a {kind} is retired.
#[utoipa::path(
    post,
    path = "/v1/{kinds}/{id}/restore",
    operation_id = "restore_{kind}",
    params(("id" = String, Path, description = "The version, `name@version`.")),
    request_body(content = Option<Why>, description = "May say why."),
    responses((status = 200, description = "Not retired.", body = Standing)),
    extensions(("x-problems" = json!([FINDING, WRITING]))),
)]
pub fn restore(kind: Kind) -> MethodRouter<Shared> {
    let action = match kind {
        Kind::Transform => "transform.restore",
        Kind::View => "view.restore",
        Kind::Model => "model.restore",
        Kind::Service => "service.restore",
        Kind::TrainingSet => "training-set.restore",
    };
    let act = |app: &App, item: &Item, _: Mover<'_>| app.registry.restore(item).map(|_| None);
    standing(kind, action, act)
}

type Act = fn(&App, &Item, Mover<'_>) -> crate::error::Result<Option<Retirement>>;

fn standing(kind: Kind, action: &'static str, act: Act) -> MethodRouter<Shared> {
    post(
        async move |State(shared): State<Shared>, Path(id): Path<String>, who: Who, body: Body| {
            let change = change(action, &id);
            changed(change, stand(shared, kind, id, who, body, act).await)
        },
    )
}

async fn stand(
    shared: Shared,
    kind: Kind,
    id: String,
    who: Who,
    body: Body,
    act: Act,
) -> Result<Json<Standing>, Problem> {
    let reason = reason(body, shared.app.config.server.upload_limit).await?;
    let item = Item::exact(kind, &id)?;
    let by = name(who);
    let app = shared.app.clone();
    blocking(move || {
        let mover = Mover {
            by: &by,
            reason: reason.as_deref(),
        };
        let retired = act(&app, &item, mover)?;
        Ok(Json(Standing { kind, id, retired }))
    })
    .await
}

/// Deletes a version of a {kind} that nothing refers to.
///
/// The body may say why.
#[utoipa::path(
    delete,
    path = "/v1/{kinds}/{id}",
    operation_id = "delete_{kind}",
    params(("id" = String, Path, description = "The version, `name@version`."), ("rows" = Option<bool>, Query, description = "With the last version of a view its rows too.")),
    request_body(content = Option<Why>, description = "May say why."),
    responses((status = 200, description = "Deleted.", body = Deleted)),
    extensions(("x-problems" = json!([FINDING, Conflict, WRITING]))),
)]
pub fn delete(kind: Kind, others: MethodRouter<Shared>) -> MethodRouter<Shared> {
    let action = match kind {
        Kind::Transform => "transform.delete",
        Kind::View => "view.delete",
        Kind::Model => "model.delete",
        Kind::Service => "service.delete",
        Kind::TrainingSet => "training-set.delete",
    };
    others.delete(
        async move |State(shared): State<Shared>,
                    Path(id): Path<String>,
                    Query(query): Query<BTreeMap<String, String>>,
                    who: Who,
                    body: Body| {
            let mut change = change(action, &id);
            let outcome = deleted(shared, kind, id, query, who, body, &mut change).await;
            changed(change, outcome)
        },
    )
}

async fn deleted(
    shared: Shared,
    kind: Kind,
    id: String,
    query: BTreeMap<String, String>,
    who: Who,
    body: Body,
    change: &mut Change,
) -> Result<Json<Deleted>, Problem> {
    let rows = match option(&query, "rows")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::invalid("rows", "it is true or false").into()),
    };
    let reason = reason(body, shared.app.config.server.upload_limit).await?;
    let item = Item::exact(kind, &id)?;
    let by = name(who);
    let app = shared.app.clone();
    let tombstone = blocking(move || {
        let mover = Mover {
            by: &by,
            reason: reason.as_deref(),
        };
        app.registry.delete(&item, rows, mover)
    })
    .await?;
    change.digest = Some(tombstone.digest.clone());
    Ok(Json(Deleted {
        kind,
        id,
        digest: format!("sha256:{}", tombstone.digest),
        at: tombstone.at.to_string(),
        by: tombstone.by.clone(),
    }))
}
