//! The OpenAPI document: made from the handlers, and from the types of what they take and give.
//!
//! A handler says what it answers in its `#[utoipa::path]`, and with what problems beside those that every operation of
//! its form has: `x-problems`, which [`problems`] turns into answers. The list below is the router's; a test compares
//! them. `host/openapi.json` is the document as it stands; a test compares that as well.

mod access;
mod kinds;
mod problems;
mod scoring;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;

use super::{
    aliases, audit, drift, health, jobs, labels, lifecycle, lineage, models, score, services,
    tokens, training, training_sets, transforms, views,
};
use access::Tokens;
use kinds::{EveryKind, NeverNull};
pub(super) use problems::AnyProblem;
use problems::Problems;
pub(super) use scoring::{RowLine, ScoreAnswer, ScoreRequest, StreamLine};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidemill",
        description = "Feature transforms written once, run as the same WebAssembly bytes online and offline, joined, scored and logged.\n\n\
            A mistake gets a problem document (RFC 9457); its `type` says which. Numbers that JSON cannot say (NaN, infinity) are null."
    ),
    paths(
        health::healthz,
        health::readyz,
        health::metrics,
        show,
        score::score,
        score::features,
        services::list,
        services::register,
        services::show,
        services::plan,
        services::bundle,
        drift::show,
        aliases::list,
        aliases::show,
        aliases::put,
        aliases::remove,
        aliases::roll_back,
        transforms::list,
        transforms::register,
        transforms::show,
        transforms::diff,
        transforms::component,
        transforms::source,
        models::list,
        models::register,
        models::show,
        views::list,
        views::register,
        views::show,
        views::row,
        views::load,
        training_sets::list,
        training_sets::register,
        training_sets::show,
        training::rows,
        labels::declared,
        labels::put,
        labels::show,
        labels::rows,
        lineage::whole,
        lineage::show,
        lifecycle::delete,
        lifecycle::retire,
        lifecycle::restore,
        jobs::list,
        jobs::show,
        jobs::remove,
        jobs::result,
        tokens::list,
        tokens::create,
        tokens::revoke,
        audit::list,
        audit::verify,
    ),
    modifiers(&EveryKind, &NeverNull, &Tokens, &Problems)
)]
struct Document;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

static TEXT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n");

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "health",
    responses((status = 200, description = "OpenAPI 3.1.", body = Value)),
)]
pub async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}
