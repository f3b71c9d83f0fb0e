//! Views and their rows.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::changes::{change, changed};
use super::openapi::RowLine;
use super::problem::Kind::{Conflict, Refused, StoreFailed, UnsupportedMediaType};
use super::problem::{FINDING, WRITING};
use super::transforms::status;
use super::{Path, Problem, Shared, blocking, body};
use crate::access::{Change, Detail};
use crate::error::Error;
use crate::ingest::{self, StoredRow};
use crate::registry::{Catalog, Item, Kind, Retirement, ViewEntry};
use crate::view::View;

#[derive(Serialize, ToSchema)]
pub struct ViewShown {
    name: String,
    version: u32,
    /// Of the definition.
    digest: String,
    registered_at: String,
    #[schema(required)]
    retired: Option<Retirement>,
    /// All versions there are, oldest first.
    versions: Vec<u32>,
    definition: View,
}

#[derive(Serialize, ToSchema)]
pub struct ViewListed {
    name: String,
    /// The newest.
    version: u32,
    versions: Vec<u32>,
    key: Vec<String>,
    doc: String,
    entities: u64,
}

#[derive(Serialize, ToSchema)]
pub struct ViewList {
    views: Vec<ViewListed>,
}

#[derive(Serialize, ToSchema)]
pub struct Loaded {
    rows: usize,
    stored: usize,
    /// Rows passed over because a newer one of their key is there.
    outdated: usize,
}

/// Registers a view, or its next version.
///
/// The body is a view definition: TOML, or the same as JSON.
#[utoipa::path(
    post,
    path = "/v1/views",
    operation_id = "register_view",
    tag = "views",
    request_body(content((String = "application/toml"), (View = "application/json"))),
    responses((status = 201, description = "Registered.", body = ViewShown), (status = 200, description = "It was there already.", body = ViewShown)),
    extensions(("x-problems" = json!([Conflict, Refused, UnsupportedMediaType, WRITING]))),
)]
pub async fn register(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let mut change = change("view.register", "");
    let outcome = admitted(shared, headers, body, &mut change).await;
    changed(change, outcome)
}

async fn admitted(
    shared: Shared,
    headers: HeaderMap,
    body: Body,
    change: &mut Change,
) -> Result<(StatusCode, Json<ViewShown>), Problem> {
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let view = match body::content_type(&headers) {
        "application/json" => View::from_json(&bytes)?,
        _ if body::is_toml(&headers) => {
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Error::invalid("body", "it is no UTF-8 text"))?;
            View::from_toml(text)?
        }
        other => {
            return Err(Problem::unsupported_media(
                other,
                "application/toml or application/json",
            ));
        }
    };
    change.subject = view.name.clone();
    let app = shared.app.clone();
    let (entry, outcome) = blocking(move || app.registry.register_view(view)).await?;
    change.subject = entry.id();
    let catalog = shared.app.registry.catalog();
    Ok((status(outcome), Json(shown(&catalog, &entry))))
}

/// All views.
#[utoipa::path(
    get,
    path = "/v1/views",
    operation_id = "list_views",
    tag = "views",
    responses((status = 200, description = "By name.", body = ViewList)),
    extensions(("x-problems" = json!([StoreFailed]))),
)]
pub async fn list(State(shared): State<Shared>) -> Result<Json<ViewList>, Problem> {
    let catalog = shared.app.registry.catalog();
    let mut views = Vec::new();
    for (name, versions) in &catalog.views {
        let Some((version, newest)) = versions.last_key_value() else {
            continue;
        };
        views.push(ViewListed {
            name: name.clone(),
            version: *version,
            versions: versions.keys().copied().collect(),
            key: newest.view.key.clone(),
            doc: newest.view.doc.clone(),
            entities: shared.app.store.view(name)?.count()?,
        });
    }
    Ok(Json(ViewList { views }))
}

/// A version of a view.
#[utoipa::path(
    get,
    path = "/v1/views/{id}",
    operation_id = "show_view",
    tag = "views",
    params(("id" = String, Path, description = "`name@number`, or `name` for the newest.")),
    responses((status = 200, description = "The version.", body = ViewShown)),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ViewShown>, Problem> {
    let catalog = shared.app.registry.catalog();
    Ok(Json(shown(&catalog, catalog.view(&id)?)))
}

/// Writes rows of a view.
///
/// The body is NDJSON, a row a line, in the columns of the newest version. All lines are read before the first row is
/// written; of each entity the newest row by event time stays.
#[utoipa::path(
    post,
    path = "/v1/views/{id}/rows",
    operation_id = "load_rows",
    tag = "views",
    params(("id" = String, Path, description = "The name of the view.")),
    request_body(content = RowLine, content_type = "application/x-ndjson"),
    responses((status = 200, description = "Written.", body = Loaded)),
    extensions(("x-problems" = json!([FINDING, WRITING]))),
)]
pub async fn load(State(shared): State<Shared>, Path(name): Path<String>, body: Body) -> Response {
    let change = change("view.load", &name);
    changed(change, loaded(shared, name, body).await)
}

async fn loaded(
    shared: Shared,
    name: String,
    body: Body,
) -> Result<(Extension<Detail>, Json<Loaded>), Problem> {
    let view = shared.app.registry.catalog().view(&name)?.view.clone();
    if name != view.name {
        let message = "rows are written in the columns of the newest version: name the view alone";
        return Err(Error::invalid("view", message).into());
    }
    let bytes = body::read(body, shared.app.config.server.upload_limit).await?;
    let app = shared.app.clone();
    let written = blocking(move || ingest::load(app.store.as_ref(), &view, &bytes)).await?;
    let loaded = Loaded {
        rows: written.stored + written.outdated,
        stored: written.stored,
        outdated: written.outdated,
    };
    let detail = format!(
        "{} rows, {} stored, {} outdated",
        loaded.rows, loaded.stored, loaded.outdated
    );
    Ok((Extension(Detail(detail)), Json(loaded)))
}

/// The newest row of a key.
///
/// By the columns of the key: `…/row?origin=EWR`.
#[utoipa::path(
    get,
    path = "/v1/views/{id}/row",
    operation_id = "show_row",
    tag = "views",
    params(("id" = String, Path, description = "`name@number`, or `name` for the newest."), ("key" = BTreeMap<String, String>, Query, style = Form, explode, description = "The columns of the key: `?origin=EWR`.")),
    responses((status = 200, description = "The row, or that there is none.", body = StoredRow)),
    extensions(("x-problems" = json!([FINDING, StoreFailed]))),
)]
pub async fn row(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Query(key): Query<BTreeMap<String, String>>,
) -> Result<Json<StoredRow>, Problem> {
    let view = shared.app.registry.catalog().view(&id)?.view.clone();
    let found = ingest::get(shared.app.store.as_ref(), &view, &key)?;
    Ok(Json(found))
}

fn shown(catalog: &Catalog, entry: &ViewEntry) -> ViewShown {
    let name = &entry.view.name;
    let item = Item::new(Kind::View, name, entry.record.number);
    let versions = catalog.views.get(name).into_iter().flatten();
    ViewShown {
        name: name.clone(),
        version: entry.record.number,
        digest: format!("sha256:{}", entry.record.digest),
        registered_at: entry.record.registered_at.to_string(),
        retired: catalog.retirement(&item),
        versions: versions.map(|(number, _)| *number).collect(),
        definition: entry.record.definition.clone(),
    }
}
