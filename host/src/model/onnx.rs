//! An ONNX file run by tract, with the `ai.onnx.ml` operators of `tidemill-onnx-ml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tract_onnx::pb;
use tract_onnx::prelude::*;

use crate::error::{Error, Result as Outcome};

use super::{Kind, Manifest, Matrix, Model, Tensor as Spec, Values};

/// A model run by tract, any number of rows at once where its graph allows, else row by row.
pub struct OnnxModel {
    plan: Arc<TypedRunnableModel>,
    /// Whether the graph takes any number of rows at once.
    batched: bool,
    inputs: Vec<Spec>,
    /// How many dimensions each input has: 1 is rows alone, 2 rows × columns.
    ranks: Vec<usize>,
    outputs: Vec<Spec>,
}

/// What `tidemill model show` says of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    pub bytes: usize,
    pub inputs: Vec<Spec>,
    pub outputs: Vec<Spec>,
    /// `domain::Operator` and how often it stands in the graph.
    pub operators: BTreeMap<String, usize>,
}

/// What is in the file of a loaded model.
pub fn facts(onnx: &[u8], model: &dyn Model) -> Facts {
    let mut operators = BTreeMap::new();
    let graph = tidemill_onnx_ml::onnx()
        .proto_model_for_read(&mut &*onnx)
        .ok()
        .and_then(|proto| proto.graph);
    for node in graph.iter().flat_map(|graph| &graph.node) {
        let domain = if node.domain.is_empty() {
            "ai.onnx"
        } else {
            &node.domain
        };
        *operators
            .entry(format!("{domain}::{}", node.op_type))
            .or_default() += 1;
    }
    Facts {
        bytes: onnx.len(),
        inputs: model.inputs().to_vec(),
        outputs: model.outputs().to_vec(),
        operators,
    }
}

/// The key under which a file may carry its manifest in its metadata.
const MANIFEST_KEY: &str = "tidemill.manifest";

/// The manifest that a file carries in its own metadata.
pub fn embedded_manifest(onnx: &[u8]) -> Outcome<Manifest> {
    let proto = tidemill_onnx_ml::onnx()
        .proto_model_for_read(&mut &*onnx)
        .map_err(|error| {
            Error::refused(
                "the model",
                format!("the file is no ONNX model, or is cut short: {error}"),
            )
        })?;
    match proto
        .metadata_props
        .iter()
        .find(|property| property.key == MANIFEST_KEY)
    {
        Some(property) => Manifest::from_json(property.value.as_bytes()),
        None => Err(Error::refused(
            "the model",
            format!(
                "nothing says which feature goes where: send multipart/form-data with the parts model and manifest, or \
                 put the manifest into the file's metadata under \"{MANIFEST_KEY}\""
            ),
        )),
    }
}

impl OnnxModel {
    pub fn load(onnx: &[u8], manifest: &Manifest) -> Result<OnnxModel, String> {
        let framework = tidemill_onnx_ml::onnx();
        let proto = framework
            .proto_model_for_read(&mut &*onnx)
            .map_err(|error| format!("the file is no ONNX model, or is cut short: {error}"))?;
        let graph = proto.graph.as_ref().ok_or("the file holds no graph")?;
        let weights: Vec<&str> = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        if let Some(tensor) = graph
            .initializer
            .iter()
            .find(|tensor| !tensor.external_data.is_empty())
        {
            return Err(format!(
                "weight \"{}\" lies in another file; save the model as one file",
                tensor.name
            ));
        }
        let declared: Vec<&pb::ValueInfoProto> = graph
            .input
            .iter()
            .filter(|input| !weights.contains(&input.name.as_str()))
            .collect();
        let inputs = bind_inputs(&declared, manifest)?;
        let ranks: Vec<usize> = declared.iter().map(|input| rank(input)).collect();
        let names: Vec<String> = graph
            .output
            .iter()
            .map(|output| output.name.clone())
            .collect();

        let (plan, batched) = match build(&framework, &proto, &inputs, &ranks, true) {
            Ok(plan) => (plan, true),
            // Some exports fix the number of rows at 1.
            Err(error) => match build(&framework, &proto, &inputs, &ranks, false) {
                Ok(plan) => (plan, false),
                Err(_) => return Err(format!("tract cannot load it: {error:#}")),
            },
        };
        let mut model = OnnxModel {
            plan,
            batched,
            inputs,
            ranks,
            outputs: Vec::new(),
        };
        model.outputs = model.probe(&names)?;
        Ok(model)
    }

    /// Runs rows of zeros to see what comes out, so that no request is the first to.
    fn probe(&mut self, names: &[String]) -> Result<Vec<Spec>, String> {
        let rows = 2;
        let zeros = self.inputs.iter().map(|input| zeros(input, rows)).collect();
        let found = self
            .run(rows, zeros)
            .map_err(|error| format!("it fails on rows of zeros: {error}"))?;
        names
            .iter()
            .zip(&found)
            .map(|(name, matrix)| {
                Ok(Spec {
                    name: name.clone(),
                    kind: matrix.kind(),
                    columns: matrix.columns,
                })
            })
            .collect()
    }

    fn run_plan(&self, rows: usize, inputs: Vec<Matrix>) -> Result<Vec<Matrix>, String> {
        let mut tensors: TVec<TValue> = tvec!();
        for ((matrix, spec), rank) in inputs.into_iter().zip(&self.inputs).zip(&self.ranks) {
            tensors.push(
                tensor(matrix, rows, *rank)
                    .map_err(|error| format!("input \"{}\": {error}", spec.name))?
                    .into(),
            );
        }
        let outputs = self
            .plan
            .run(tensors)
            .map_err(|error| format!("{error:#}"))?;
        outputs
            .into_iter()
            .map(|output| matrix(&output, rows))
            .collect()
    }
}

impl Model for OnnxModel {
    fn inputs(&self) -> &[Spec] {
        &self.inputs
    }

    fn outputs(&self) -> &[Spec] {
        &self.outputs
    }

    fn run(&self, rows: usize, inputs: Vec<Matrix>) -> Result<Vec<Matrix>, String> {
        if self.batched || rows == 1 {
            return self.run_plan(rows, inputs);
        }
        let mut outputs: Vec<Matrix> = Vec::new();
        for row in 0..rows {
            let one = inputs.iter().map(|matrix| matrix.row(row)).collect();
            let found = self.run_plan(1, one)?;
            if outputs.is_empty() {
                outputs = found;
            } else {
                outputs
                    .iter_mut()
                    .zip(found)
                    .for_each(|(all, one)| all.append(one));
            }
        }
        Ok(outputs)
    }
}

fn build(
    framework: &tract_onnx::Onnx,
    proto: &pb::ModelProto,
    inputs: &[Spec],
    ranks: &[usize],
    batched: bool,
) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = framework.model_for_proto_model(proto)?;
    let rows = if batched {
        model.symbols.sym("rows").to_dim()
    } else {
        1.to_dim()
    };
    for (at, (input, rank)) in inputs.iter().zip(ranks).enumerate() {
        let mut shape: TVec<TDim> = tvec!(rows.clone());
        if *rank > 1 {
            shape.push(input.columns.to_dim());
        }
        let fact = InferenceFact::dt_shape(datum_type(input.kind), shape);
        model.set_input_fact(at, fact)?;
    }
    model.into_optimized()?.into_runnable()
}

/// The graph's inputs with the number of columns the manifest gives them.
fn bind_inputs(declared: &[&pb::ValueInfoProto], manifest: &Manifest) -> Result<Vec<Spec>, String> {
    let names: Vec<String> = declared.iter().map(|input| input.name.clone()).collect();
    let bound: Vec<&str> = manifest
        .inputs
        .iter()
        .map(|binding| binding.name.as_str())
        .collect();
    if names.iter().map(String::as_str).ne(bound.iter().copied()) {
        return Err(format!(
            "its inputs are {}, in this order, but the manifest binds {}",
            names.join(", "),
            if bound.is_empty() {
                "none".to_owned()
            } else {
                bound.join(", ")
            }
        ));
    }
    declared
        .iter()
        .zip(&manifest.inputs)
        .map(|(input, binding)| {
            let kind = kind(input)?;
            let columns = binding.features.len();
            match declared_columns(input) {
                Some(wanted) if wanted != columns => Err(format!(
                    "input \"{}\" has {wanted} columns, but the manifest gives it {columns} features",
                    input.name
                )),
                _ if rank(input) == 1 && columns != 1 => {
                    Err(format!("input \"{}\" has one value a row, but the manifest gives it {columns} features", input.name))
                }
                _ => Ok(Spec { name: input.name.clone(), kind, columns }),
            }
        })
        .collect()
}

fn tensor_type(input: &pb::ValueInfoProto) -> Option<&pb::type_proto::Tensor> {
    match input.r#type.as_ref()?.value.as_ref()? {
        pb::type_proto::Value::TensorType(tensor) => Some(tensor),
    }
}

fn kind(input: &pb::ValueInfoProto) -> Result<Kind, String> {
    use pb::tensor_proto::DataType as Onnx;
    let number = tensor_type(input).map_or(0, |tensor| tensor.elem_type);
    match Onnx::try_from(number) {
        Ok(Onnx::Float) => Ok(Kind::F32),
        Ok(Onnx::Double) => Ok(Kind::F64),
        Ok(Onnx::Int64) => Ok(Kind::I64),
        Ok(Onnx::Bool) => Ok(Kind::Bool),
        Ok(Onnx::String) => Ok(Kind::Text),
        other => Err(format!(
            "input \"{}\" is {other:?}; float, double, int64, bool and string are supported",
            input.name
        )),
    }
}

fn rank(input: &pb::ValueInfoProto) -> usize {
    tensor_type(input)
        .and_then(|tensor| tensor.shape.as_ref())
        .map_or(2, |shape| shape.dim.len())
}

fn declared_columns(input: &pb::ValueInfoProto) -> Option<usize> {
    let dim = tensor_type(input)?.shape.as_ref()?.dim.get(1)?;
    match dim.value.as_ref()? {
        pb::tensor_shape_proto::dimension::Value::DimValue(columns) => {
            usize::try_from(*columns).ok().filter(|&n| n > 0)
        }
        pb::tensor_shape_proto::dimension::Value::DimParam(_) => None,
    }
}

fn datum_type(kind: Kind) -> DatumType {
    match kind {
        Kind::F32 => f32::datum_type(),
        Kind::F64 => f64::datum_type(),
        Kind::I64 => i64::datum_type(),
        Kind::Bool => bool::datum_type(),
        Kind::Text => String::datum_type(),
    }
}

fn zeros(input: &Spec, rows: usize) -> Matrix {
    let count = rows * input.columns;
    let values = match input.kind {
        Kind::F32 => Values::F32(vec![0.0; count]),
        Kind::F64 => Values::F64(vec![0.0; count]),
        Kind::I64 => Values::I64(vec![0; count]),
        Kind::Bool => Values::Bool(vec![false; count]),
        Kind::Text => Values::Text(vec![String::new(); count]),
    };
    Matrix {
        columns: input.columns,
        values,
    }
}

fn tensor(matrix: Matrix, rows: usize, rank: usize) -> TractResult<Tensor> {
    let both = [rows, matrix.columns];
    let shape = &both[..rank.clamp(1, 2)];
    match matrix.values {
        Values::F32(values) => shaped(values, shape),
        Values::F64(values) => shaped(values, shape),
        Values::I64(values) => shaped(values, shape),
        Values::Bool(values) => shaped(values, shape),
        Values::Text(values) => shaped(values, shape),
    }
}

fn shaped<T: Datum>(values: Vec<T>, shape: &[usize]) -> TractResult<Tensor> {
    Ok(tract_ndarray::ArrayD::from_shape_vec(shape, values)?.into_tensor())
}

fn matrix(output: &Tensor, rows: usize) -> Result<Matrix, String> {
    let shape = output.shape();
    if shape.first() != Some(&rows) {
        return Err(format!(
            "an output of shape {shape:?} has not one row for each of {rows} rows"
        ));
    }
    let values = match output.datum_type() {
        DatumType::F32 => Values::F32(taken(output)?),
        DatumType::F64 => Values::F64(taken(output)?),
        DatumType::Bool => Values::Bool(taken(output)?),
        DatumType::String => Values::Text(taken(output)?),
        DatumType::I64 => Values::I64(taken(output)?),
        other => {
            let cast = output
                .cast_to::<i64>()
                .map_err(|_| format!("an output is {other:?}, which has no place here"))?;
            Values::I64(taken(&cast)?)
        }
    };
    Ok(Matrix {
        columns: shape[1..].iter().product(),
        values,
    })
}

fn taken<T: Datum + Clone>(output: &Tensor) -> Result<Vec<T>, String> {
    output
        .to_plain_array_view::<T>()
        .map(|view| view.iter().cloned().collect())
        .map_err(|error| error.to_string())
}
