//! What lies beside an ONNX file and says which feature goes where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// The order of a model's inputs, and whatever its makers want remembered of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ModelManifest)]
pub struct Manifest {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// One for each input of the ONNX graph.
    pub inputs: Vec<InputBinding>,
    /// The registered training set it was trained on, `flights-2013@1`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_set: Option<String>,
    /// Training data, test metrics, library versions: kept and shown, not read.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// The features that make up one input of the graph, in the order of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InputBinding {
    pub name: String,
    pub features: Vec<String>,
}

impl Manifest {
    pub fn from_json(bytes: &[u8]) -> Result<Manifest> {
        serde_json::from_slice(bytes).map_err(|error| {
            let form =
                r#"{"name": …, "inputs": [{"name": the ONNX input, "features": [in order]}]}"#;
            Error::refused("the manifest", format!("{error}; its form is {form}"))
        })
    }
}
