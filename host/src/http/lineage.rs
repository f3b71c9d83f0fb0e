//! Lineage: as JSON, as an indented tree, as a Mermaid diagram.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::changes::option;
use super::problem::{FINDING, Kind::InvalidRequest};
use super::services::GraphFormat;
use super::{Path, Problem, Shared};
use crate::error::{Error, Result};
use crate::registry::Kind;
use crate::registry::lineage::Graph;

/// What a version uses and what uses it.
#[utoipa::path(
    get,
    path = "/v1/lineage/{kind}/{id}",
    operation_id = "show_lineage",
    tag = "lineage",
    params(("kind" = inline(Kind), Path), ("id" = String, Path, description = "A version, as its kind names it."), ("format" = inline(Option<GraphFormat>), Query, description = "JSON without it.")),
    responses((status = 200, description = "The graph.", content((Graph = "application/json"), (String = "text/plain")))),
    extensions(("x-problems" = json!([FINDING]))),
)]
pub async fn show(
    State(shared): State<Shared>,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let kind = Kind::parse(&kind)?;
    let graph = shared.app.registry.catalog().lineage(kind, &id)?;
    Ok(answer(graph, &query)?)
}

/// What uses what in the whole registry.
#[utoipa::path(
    get,
    path = "/v1/lineage",
    operation_id = "whole_lineage",
    tag = "lineage",
    params(("format" = inline(Option<GraphFormat>), Query, description = "JSON without it.")),
    responses((status = 200, description = "The graph.", content((Graph = "application/json"), (String = "text/plain")))),
    extensions(("x-problems" = json!([InvalidRequest]))),
)]
pub async fn whole(
    State(shared): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let graph = shared.app.registry.catalog().whole_lineage();
    Ok(answer(graph, &query)?)
}

fn answer(graph: Graph, query: &BTreeMap<String, String>) -> Result<Response> {
    let text = match option(query, "format")?.as_deref() {
        None | Some("json") => return Ok(Json(graph).into_response()),
        Some("text") => graph.text(),
        Some("mermaid") => graph.mermaid(),
        Some(other) => {
            let message = format!("\"{other}\" is no format; there are json, text and mermaid");
            return Err(Error::invalid("format", message));
        }
    };
    let kind = "text/plain; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
