//! From a feature vector to a score. The only room that knows tract.
//!
//! A model is an ONNX file and a [`Manifest`] that says which feature goes where. It takes rows × columns and gives
//! rows × columns; what a row scores does not depend on the rows beside it.

mod columns;
mod file;
mod manifest;
mod matrix;
pub mod parity;
mod tract;
mod trees;

pub use columns::{columns, to_block};
pub use file::{Facts, embedded_manifest, facts};
pub use manifest::{InputBinding, Manifest};
pub use matrix::{Matrix, Values};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::schema::{DataType, Scalar, Schema};
use file::File;
use tract::TractModel;
use trees::TreeModel;

/// Something that turns matrices into matrices. Object safe, so that a plan need not know which engine runs it.
pub trait Model: Send + Sync {
    /// What runs it, in a word.
    fn engine(&self) -> &'static str;
    fn inputs(&self) -> &[Tensor];
    fn outputs(&self) -> &[Tensor];
    /// `inputs` has one matrix of `rows` rows for each of `inputs()`; the answer one for each of `outputs()`.
    fn run(&self, rows: usize, inputs: Vec<Matrix>) -> Result<Vec<Matrix>, String>;
}

/// What the model says of one of its inputs or outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tensor {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Values a row; 0 where an input leaves it open.
    pub columns: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TensorType)]
pub enum Kind {
    F32,
    F64,
    I64,
    Bool,
    Text,
}

impl Kind {
    /// The type of a column of such values: numbers are f64 whatever the model has, and what was an f32 is that number
    /// exactly.
    pub fn scalar(self) -> Scalar {
        match self {
            Kind::F32 | Kind::F64 => Scalar::Float,
            Kind::I64 => Scalar::Integer,
            Kind::Bool => Scalar::Boolean,
            Kind::Text => Scalar::Text,
        }
    }
}

/// A registered model, ready to score.
pub struct LoadedModel {
    pub name: String,
    /// The model's version, from 1.
    pub number: u32,
    pub manifest: Manifest,
    pub engine: Box<dyn Model>,
}

/// Which value of a row's outputs is the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreOutput {
    pub output: usize,
    pub column: usize,
}

/// Reads an ONNX file; every refusal is a sentence.
pub fn load(name: &str, number: u32, onnx: &[u8], manifest: Manifest) -> Result<LoadedModel> {
    let engine = engine(onnx, &manifest)
        .map_err(|reason| Error::refused(format!("model \"{name}\""), reason))?;
    Ok(LoadedModel {
        name: name.to_owned(),
        number,
        manifest,
        engine,
    })
}

fn engine(onnx: &[u8], manifest: &Manifest) -> Result<Box<dyn Model>, String> {
    let file = File::open(onnx, manifest)?;
    match TreeModel::load(&file) {
        Some(trees) => Ok(Box::new(trees)),
        None => Ok(Box::new(TractModel::load(&file)?)),
    }
}

impl LoadedModel {
    /// The features it wants, in order, over all its inputs.
    pub fn features(&self) -> Vec<String> {
        self.manifest
            .inputs
            .iter()
            .flat_map(|input| input.features.iter().cloned())
            .collect()
    }

    /// Whether columns of this schema, in its order, can go in.
    pub fn check_features(&self, schema: &Schema) -> Result<(), String> {
        let wanted = self.engine.inputs().iter().zip(&self.manifest.inputs);
        let kinds =
            wanted.flat_map(|(tensor, binding)| binding.features.iter().map(|_| tensor.kind));
        for (field, kind) in schema.fields().iter().zip(kinds) {
            let fits = match (kind, field.data_type) {
                (_, DataType::Many(_)) => false,
                (Kind::Text, DataType::One(scalar)) => scalar == Scalar::Text,
                (Kind::Bool, DataType::One(scalar)) => scalar == Scalar::Boolean,
                (Kind::I64, DataType::One(scalar)) => {
                    matches!(scalar, Scalar::Integer | Scalar::Boolean)
                }
                (Kind::F32 | Kind::F64, DataType::One(scalar)) => {
                    matches!(scalar, Scalar::Float | Scalar::Integer | Scalar::Boolean)
                }
            };
            if !fits {
                let (name, found) = (&field.name, field.data_type);
                return Err(format!(
                    "feature \"{name}\" is {found}, which does not go into the model's {kind:?} input"
                ));
            }
            if field.nullable && matches!(kind, Kind::I64 | Kind::Bool) {
                return Err(format!(
                    "feature \"{}\" may be null, but the model's {kind:?} input has no null",
                    field.name
                ));
            }
        }
        Ok(())
    }

    /// The output a service names, `probabilities[1]` or `variable`; without a name the second of two probabilities or
    /// the only number there is.
    pub fn score_output(&self, wanted: Option<&str>) -> Result<ScoreOutput, String> {
        let outputs = self.engine.outputs();
        let there = || {
            let shown = |tensor: &Tensor| match tensor.columns {
                1 => tensor.name.clone(),
                columns => format!("{}[0..{columns}]", tensor.name),
            };
            outputs.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        let Some(wanted) = wanted else {
            let numbers: Vec<usize> = (0..outputs.len())
                .filter(|&at| matches!(outputs[at].kind, Kind::F32 | Kind::F64))
                .collect();
            return match numbers.as_slice() {
                [output] if outputs[*output].columns <= 2 => Ok(ScoreOutput {
                    output: *output,
                    column: outputs[*output].columns - 1,
                }),
                _ => Err(format!(
                    "say which output is the score with [output] score = \"…\"; there are {}",
                    there()
                )),
            };
        };
        let (name, column) = match wanted.split_once('[') {
            None => (wanted, Some(0)),
            Some((name, rest)) => (
                name,
                rest.strip_suffix(']')
                    .and_then(|number| number.parse().ok()),
            ),
        };
        let output = outputs.iter().position(|tensor| tensor.name == name);
        match (output, column) {
            (Some(output), _) if outputs[output].kind == Kind::Text => {
                Err(format!("output \"{name}\" is text, not a score"))
            }
            (Some(output), Some(column)) if column < outputs[output].columns => {
                Ok(ScoreOutput { output, column })
            }
            _ => Err(format!(
                "the model has no output \"{wanted}\"; there are {}",
                there()
            )),
        }
    }

    /// Scores the rows of a feature vector, a block of the schema that `check_features` saw.
    pub fn run(&self, schema: &Schema, vector: &Block) -> Result<Vec<Matrix>> {
        let mut slots = schema.slots();
        let mut inputs = Vec::with_capacity(self.manifest.inputs.len());
        for (tensor, binding) in self.engine.inputs().iter().zip(&self.manifest.inputs) {
            let (mine, rest) = slots.split_at(binding.features.len());
            inputs.push(Matrix::of_columns(vector, mine, tensor.kind));
            slots = rest;
        }
        self.engine
            .run(vector.rows(), inputs)
            .map_err(|message| Error::Model {
                model: self.to_string(),
                message,
            })
    }
}

impl std::fmt::Display for LoadedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.number)
    }
}
