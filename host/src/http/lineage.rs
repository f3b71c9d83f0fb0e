//! Lineage: as JSON, as an indented tree, as a Mermaid diagram.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::changes::option;
use super::{Problem, Shared};
use crate::error::{Error, Result};
use crate::registry::Kind;
use crate::registry::lineage::Graph;

/// What a version uses and what uses it.
pub async fn show(
    State(shared): State<Shared>,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let kind = Kind::parse(&kind)?;
    let graph = shared.app.registry.catalog().lineage(kind, &id)?;
    Ok(answer(graph, &query)?)
}

/// The whole registry.
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
