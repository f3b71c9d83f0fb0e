//! The direct path for models that are one tree ensemble and nothing else that computes: no plan, no tensors, no
//! allocation once the output has grown. The same code scores as in the tract operator, so the bits are the same.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use crate::DOMAIN;
use crate::labels::Labels;
use crate::trees::ops::{self, LaidOut};

/// Which part of a [`Scores`] a graph output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The label of each row, `[rows]`.
    Labels,
    /// The scores of each row, `[rows, columns]`: probabilities, or predictions of a regression.
    Values,
}

/// A tree ensemble that scores rows of float32.
#[derive(Debug)]
pub struct Predictor {
    trees: LaidOut<f32>,
    input: String,
    outputs: Vec<(String, Part)>,
}

/// The answers of a [`Predictor`]; reused, it is not allocated anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// For each row the index of its label in [`Predictor::labels`]; empty for a regression.
    pub labels: Vec<u32>,
    /// Row-major, [`Scores::columns`] a row.
    pub values: Vec<f32>,
    /// Scores a row.
    pub columns: usize,
}

/// The direct path, where the model is exactly one tree operator on one float input, with nothing around it but
/// `ZipMap`, `Identity`, `Cast` to the type there already is, and products with a constant one. `None` means: use tract, which runs every model.
pub fn fast_path(proto: &ModelProto) -> Option<Predictor> {
    let graph = proto.graph.as_ref()?;
    let constants: Vec<&str> = graph.initializer.iter().map(|i| i.name.as_str()).collect();
    let mut inputs = graph
        .input
        .iter()
        .filter(|i| !constants.contains(&i.name.as_str()));
    let input = inputs.next().filter(|_| inputs.next().is_none())?;
    let Value::TensorType(kind) = input.r#type.as_ref()?.value.as_ref()?;
    if kind.elem_type != DataType::Float as i32 {
        return None;
    }
    let ones: Vec<&str> = (graph.initializer.iter())
        .filter(|i| is_one(i))
        .map(|i| i.name.as_str())
        .collect();
    let mut carried = HashMap::from([(input.name.as_str(), Carried::Input)]);
    let mut trees = None;
    for node in &graph.node {
        let mut inputs = node.input.iter().filter(|i| !is_factor_one(node, i, &ones));
        let from = *carried.get(inputs.next().filter(|_| inputs.next().is_none())?.as_str())?;
        match (from, tree_operator(node)) {
            (Carried::Input, Some(parse)) if trees.is_none() => {
                let parsed = parse(node).ok()?.lay_out::<f32>().ok()?;
                let parts = match &parsed.table {
                    Some(Labels::Ints(_)) => vec![Carried::IntLabels, Carried::Values],
                    Some(Labels::Strings(_)) => vec![Carried::TextLabels, Carried::Values],
                    None => vec![Carried::Values],
                };
                if node.output.len() != parts.len() {
                    return None;
                }
                carried.extend(node.output.iter().map(String::as_str).zip(parts));
                trees = Some(parsed);
            }
            (from, None) if passes(node, from) => {
                carried.insert(
                    node.output.first().filter(|_| node.output.len() == 1)?,
                    from,
                );
            }
            _ => return None,
        }
    }
    let outputs = graph.output.iter().map(|output| {
        let part = match carried.get(output.name.as_str())? {
            Carried::Input => return None,
            Carried::Values => Part::Values,
            Carried::IntLabels | Carried::TextLabels => Part::Labels,
        };
        Some((output.name.clone(), part))
    });
    let outputs = outputs.collect::<Option<Vec<_>>>()?;
    Some(Predictor {
        trees: trees?,
        input: input.name.clone(),
        outputs,
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Carried {
    Input,
    Values,
    IntLabels,
    TextLabels,
}

fn tree_operator(node: &NodeProto) -> Option<fn(&NodeProto) -> TractResult<ops::Trees>> {
    match (node.domain.as_str(), node.op_type.as_str()) {
        (DOMAIN, "TreeEnsemble") => Some(ops::ensemble),
        (DOMAIN, "TreeEnsembleClassifier") => Some(ops::classifier),
        (DOMAIN, "TreeEnsembleRegressor") => Some(ops::regressor),
        _ => None,
    }
}

/// Whether a node hands `from` on unchanged.
fn passes(node: &NodeProto, from: Carried) -> bool {
    match (node.domain.as_str(), node.op_type.as_str()) {
        ("" | "ai.onnx", "Identity") => true,
        (DOMAIN, "ZipMap") => from == Carried::Values,
        // By one: LightGBM's exporter scales the mean of a random forest, and everything else by this.
        ("" | "ai.onnx", "Mul") => from == Carried::Values && node.input.len() == 2,
        ("" | "ai.onnx", "Cast") => {
            let to = node.get_attr_opt::<i64>("to").ok().flatten();
            let is = match from {
                Carried::Input | Carried::Values => DataType::Float,
                Carried::IntLabels => DataType::Int64,
                Carried::TextLabels => DataType::String,
            };
            to == Some(is as i64)
        }
        _ => false,
    }
}

/// A constant float32 one.
fn is_one(constant: &TensorProto) -> bool {
    let bytes = constant.raw_data == 1f32.to_le_bytes() || constant.float_data == [1.0];
    constant.data_type == DataType::Float as i32
        && constant.dims.len() <= 2
        && constant.dims.iter().all(|&d| d == 1)
        && bytes
}

/// Whether `input` is a constant one of a product, which changes no bit of the other factor.
fn is_factor_one(node: &NodeProto, input: &str, ones: &[&str]) -> bool {
    node.op_type == "Mul" && ones.contains(&input)
}

impl Predictor {
    /// The name of the graph's input.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// The names of the graph's outputs, in order, and what they hold.
    pub fn outputs(&self) -> &[(String, Part)] {
        &self.outputs
    }

    /// The least number of columns a row must have. A row may have more; they are not read.
    pub fn features(&self) -> usize {
        self.trees.ensemble.features
    }

    /// Scores a row.
    pub fn columns(&self) -> usize {
        self.trees.ensemble.targets
    }

    /// Of a classifier, what [`Scores::labels`] indexes: the labels of the score columns, then 0 and 1, which ONNX
    /// Runtime answers for a binary classifier that does not say which class its weights belong to.
    pub fn labels(&self) -> Option<&Labels> {
        self.trees.table.as_ref()
    }

    /// Bytes of the tree nodes in memory.
    pub fn tree_bytes(&self) -> usize {
        self.trees.ensemble.bytes()
    }

    /// Scores `rows` rows; `inputs` is row-major and as long as `rows` times the number of columns, which is the same
    /// for every row. `out` is overwritten.
    ///
    /// # Errors
    ///
    /// `inputs` is not `rows` rows of one length, or a row is shorter than [`Predictor::features`].
    pub fn run(&self, rows: usize, inputs: &[f32], out: &mut Scores) -> TractResult<()> {
        out.labels.clear();
        out.values.clear();
        out.columns = self.columns();
        let columns = inputs.len().checked_div(rows).unwrap_or(self.features());
        self.trees
            .score(rows, columns, inputs, &mut out.labels, &mut out.values)
    }
}
