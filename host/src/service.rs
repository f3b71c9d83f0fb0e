//! A feature service as a person writes it, and the plan it becomes.

pub mod graph;
mod output;
mod plan;
mod ready;
mod resolve;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use output::{DeclaredAnswer, Output, OutputDefinition, OutputField};
pub use plan::{Gate, LookUp, Place, Plan, PlannedModel, Score, Step, StepKind, Vector, Wanted};
pub use ready::{Pin, Pins, Service};
pub use resolve::{Parts, resolve};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::labels::LabelsDefinition;
use crate::schema::Schema;
use crate::span::Span;

/// A service file: TOML on disk, JSON over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServiceDefinition)]
pub struct Definition {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// The request field that says when the event happened; absent: when the request arrives. The age of what is looked
    /// up is measured against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// The budget of a whole answer. What has not come by then counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// What becomes of a request field that `request` does not name.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
    #[serde(with = "crate::schema::named")]
    #[schema(value_type = BTreeMap<String, crate::schema::named::Written>)]
    pub request: Schema,
    #[serde(default, rename = "lookup", skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<LookUpDefinition>,
    #[serde(default, rename = "transform", skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<TransformDefinition>,
    /// The features of a service without a model, in order; absent: every output of every transform. With a model, its
    /// manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelDefinition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputDefinition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateDefinition>,
    /// The answer where a part fails or the deadline passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<AnswerDefinition>,
    /// What is learnt later of a row that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsDefinition>,
}

/// A rule that stands before the rest: what it needs runs first, and nothing else does where it is false or null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateDefinition {
    /// A bool: `rules.eligible`.
    pub when: String,
    /// The answer where it is false or null, as in `[on_failure]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub output: Map<String, Value>,
}

/// An answer that is declared rather than computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerDefinition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// By the names of `[output.fields]`; one that is not here is null.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub output: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    #[default]
    Refuse,
    Ignore,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookUpDefinition {
    /// `name@number`, or `name` for the newest at registration.
    pub view: String,
    /// Where each column of the view's key comes from.
    #[serde(with = "crate::schema::names")]
    #[schema(value_type = crate::schema::names::Names)]
    pub key: Vec<String>,
    /// The name its columns go by, `name.column`; the view's where absent.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// A row older than this counts as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// How long it may take, where the store waits; the service's deadline holds as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// The values of columns where there is no row; a column that is not here is null then.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub default: Map<String, Value>,
    #[serde(default, skip_serializing_if = "OnFailure::is_fail")]
    pub on_failure: OnFailure,
}

/// What becomes of a look-up that fails or is late. One whose used columns all have defaults takes them in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The answer fails, or is the service's fallback.
    #[default]
    Fail,
    /// As if there were no row.
    Absent,
}

impl OnFailure {
    fn is_fail(&self) -> bool {
        *self == OnFailure::Fail
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransformDefinition {
    /// `name@version`: `great-circle@1` is the newest 1.x at registration, `great-circle` the newest of all.
    #[serde(rename = "use")]
    pub uses: String,
    /// The name its outputs go by; the transform's where absent.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// input = where it comes from. Inputs not bound here are matched by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bind: BTreeMap<String, String>,
    /// The values of outputs where it fails: traps, runs out of fuel or memory, answers nonsense. Not where it refuses a
    /// row: then the row is wrong.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub default: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelDefinition {
    /// `name@number`, or `name` for the newest at registration.
    #[serde(rename = "use")]
    pub uses: String,
}

impl Definition {
    /// Reads a service file.
    pub fn from_toml(text: &str) -> Result<Definition> {
        toml::from_str(text).map_err(|error| {
            Error::refused("the service file", error.to_string().trim_end().to_owned())
        })
    }

    pub fn from_json(bytes: &[u8]) -> Result<Definition> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::refused("the service", error.to_string()))
    }
}
