//! What is asked of a service and what it answers. Both are read and written without a tree; these types say their form.

#![allow(dead_code, reason = "they are there for the document")]

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::Status;

/// One row, or rows.
#[derive(ToSchema)]
#[schema(as = ScoreRequest)]
#[serde(untagged)]
pub enum ScoreRequest {
    One(ScoreOne),
    Rows(ScoreRows),
}

/// One row. It is answered by one result, or by a problem.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreOne {
    /// The fields of the service's request. What it declares nullable, or with a default, may be left out.
    inputs: Map<String, Value>,
    /// Whether the answer holds the features.
    #[serde(default)]
    features: bool,
    /// Whether the answer says how long each step took.
    #[serde(default)]
    timings: bool,
    /// Only the best rows, so many, best first.
    #[schema(minimum = 1, nullable = false)]
    top_k: Option<u64>,
}

/// Rows. Each is answered by one result, in order.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreRows {
    /// The fields of the service's request, row by row.
    #[schema(min_items = 1)]
    rows: Vec<Map<String, Value>>,
    /// Fields that are the same in all rows, which then have them not.
    #[schema(nullable = false)]
    shared: Option<Map<String, Value>>,
    /// Whether the answer holds the features.
    #[serde(default)]
    features: bool,
    /// Whether the answer says how long each step took.
    #[serde(default)]
    timings: bool,
    /// Only the best rows, so many, best first.
    #[schema(minimum = 1, nullable = false)]
    top_k: Option<u64>,
}

/// What a service answers.
#[derive(ToSchema)]
pub struct ScoreAnswer {
    /// The feature log has it by this.
    request_id: Uuid,
    service: String,
    service_version: u32,
    #[schema(required)]
    model: Option<String>,
    #[schema(required)]
    model_version: Option<u32>,
    /// SHA-256.
    #[schema(required)]
    model_digest: Option<String>,
    transforms: Vec<TransformRun>,
    results: Vec<ScoreResult>,
    #[schema(nullable = false)]
    timings: Option<Timings>,
}

/// A transform of the service, by the name its features go by.
#[derive(ToSchema)]
pub struct TransformRun {
    r#as: String,
    name: String,
    version: String,
    digest: String,
}

/// The result of a row.
#[derive(ToSchema)]
pub struct ScoreResult {
    /// Which row of the request it is, from 0: with `top_k` only.
    #[schema(nullable = false)]
    row: Option<u64>,
    /// `closed` where the service's gate was.
    #[schema(nullable = false)]
    gate: Option<Gate>,
    /// Why there is no answer.
    #[schema(nullable = false, value_type = Option<super::problems::AnyProblem>)]
    error: Option<Value>,
    /// Why the answer is the one that the service declares in `on_failure`.
    #[schema(nullable = false, value_type = Option<super::problems::AnyProblem>)]
    fallback: Option<Value>,
    /// Where the service has a score.
    score: Option<f64>,
    /// The model's outputs by name: a value, or a list where an output has several columns.
    outputs: Option<Map<String, Value>>,
    /// The fields that the service declares in `output.fields`.
    #[schema(nullable = false)]
    output: Option<Map<String, Value>>,
    /// The feature vector by name, where it is asked for; null where there is none.
    features: Option<Map<String, Value>>,
    /// What became of each look-up.
    lookups: BTreeMap<String, Status>,
    /// Transforms that failed and whose defaults stand in, with why.
    #[schema(nullable = false)]
    defaulted: Option<BTreeMap<String, String>>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    Closed,
}

/// How long things took, in whole microseconds.
#[derive(ToSchema)]
pub struct Timings {
    decode_us: u64,
    /// Of steps that ran, by name.
    steps_us: BTreeMap<String, u64>,
    total_us: u64,
}

/// A line of NDJSON: a row, by the names of its fields.
#[derive(ToSchema)]
pub struct RowLine(Map<String, Value>);

/// A line of NDJSON: the result of a row, or why there is none.
#[derive(ToSchema)]
pub struct StreamLine {
    /// Which row it is, from 0.
    row: u64,
    /// The feature log has it by this.
    #[schema(nullable = false)]
    request_id: Option<Uuid>,
    #[schema(nullable = false)]
    gate: Option<Gate>,
    /// Why there is no answer; `line` is the line's number, from 1.
    #[schema(nullable = false, value_type = Option<super::problems::AnyProblem>)]
    error: Option<Value>,
    #[schema(nullable = false, value_type = Option<super::problems::AnyProblem>)]
    fallback: Option<Value>,
    score: Option<f64>,
    outputs: Option<Map<String, Value>>,
    #[schema(nullable = false)]
    output: Option<Map<String, Value>>,
    features: Option<Map<String, Value>>,
    #[schema(nullable = false)]
    lookups: Option<BTreeMap<String, Status>>,
    #[schema(nullable = false)]
    defaulted: Option<BTreeMap<String, String>>,
}
