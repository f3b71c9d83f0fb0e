//! An ONNX file before it runs: what is in it, and whether it can be taken.

use std::collections::BTreeMap;

use cpu_time::ThreadTime;
use serde::{Deserialize, Serialize};
use tidemill_onnx_ml::Labels;
use tract_onnx::pb;
use tract_onnx::prelude::Framework;
use utoipa::ToSchema;

use super::{Kind, Manifest, Matrix, Model, Tensor};
use crate::error::{Error, Result as Outcome};

/// The key under which a file may carry its manifest in its metadata.
const MANIFEST_KEY: &str = "tidemill.manifest";

/// What `tidemill model show` says of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ModelFacts)]
pub struct Facts {
    pub bytes: usize,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// `domain::Operator` and how often it stands in the graph.
    pub operators: BTreeMap<String, usize>,
    pub trees: usize,
    pub tree_nodes: usize,
    /// Of each output that has classes for columns, or is one of them, what they are called.
    pub class_labels: BTreeMap<String, Vec<String>>,
    /// What runs it: `trees`, the direct path, or `tract`.
    pub engine: String,
    /// CPU time of one row of zeros, nanoseconds, as measured at registration; none for a model that refuses zeros.
    #[schema(required)]
    pub row_nanos: Option<u64>,
}

/// A file whose form is good, with its inputs bound to features.
pub struct File {
    pub proto: pb::ModelProto,
    pub inputs: Vec<Tensor>,
    /// How many dimensions each input has: 1 is rows alone, 2 rows × columns.
    pub ranks: Vec<usize>,
    /// The names of the outputs.
    pub outputs: Vec<String>,
}

/// What is in the file of a loaded model.
pub fn facts(onnx: &[u8], model: &dyn Model) -> Outcome<Facts> {
    let proto = parse(onnx).map_err(|reason| Error::refused("the model", reason))?;
    let found = tidemill_onnx_ml::facts(&proto);
    let operators = found
        .operators
        .into_iter()
        .map(|(domain, operator, count)| {
            let domain = if domain.is_empty() {
                "ai.onnx"
            } else {
                &domain
            };
            (format!("{domain}::{operator}"), count)
        });
    let class_labels = found.class_labels.into_iter().map(|classes| {
        let labels = match classes.labels {
            Labels::Ints(labels) => labels.iter().map(i64::to_string).collect(),
            Labels::Strings(labels) => labels,
        };
        (classes.output, labels)
    });
    Ok(Facts {
        class_labels: class_labels.collect(),
        bytes: onnx.len(),
        inputs: model.inputs().to_vec(),
        outputs: model.outputs().to_vec(),
        operators: operators.collect(),
        trees: found.trees,
        tree_nodes: found.tree_nodes,
        engine: model.engine().to_owned(),
        row_nanos: row_nanos(model),
    })
}

/// The cost of a row of zeros, once the model is warm; none where it refuses zeros.
fn row_nanos(model: &dyn Model) -> Option<u64> {
    const CALLS: u32 = 50;
    let run = || {
        let zeros = model
            .inputs()
            .iter()
            .map(|input| Matrix::zeros(input, 1))
            .collect();
        model.run(1, zeros).ok().map(drop)
    };
    run()?;
    let start = ThreadTime::now();
    (0..CALLS).try_for_each(|_| run())?;
    Some((start.elapsed() / CALLS).as_nanos() as u64)
}

/// The manifest that a file carries in its own metadata.
pub fn embedded_manifest(onnx: &[u8]) -> Outcome<Manifest> {
    let proto = parse(onnx).map_err(|reason| Error::refused("the model", reason))?;
    let mut properties = proto.metadata_props.iter();
    match properties.find(|property| property.key == MANIFEST_KEY) {
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

fn parse(onnx: &[u8]) -> Result<pb::ModelProto, String> {
    tidemill_onnx_ml::onnx()
        .proto_model_for_read(&mut &*onnx)
        .map_err(|error| format!("the file is no ONNX model, or is cut short: {error}"))
}

impl File {
    /// Reads a file, and refuses in words what could not run.
    pub fn open(onnx: &[u8], manifest: &Manifest) -> Result<File, String> {
        let proto = parse(onnx)?;
        tidemill_onnx_ml::check(&proto).map_err(|error| format!("{error:#}"))?;
        let graph = proto.graph.as_ref().ok_or("the file holds no graph")?;
        let weights = &graph.initializer;
        let is_weight = |name: &str| weights.iter().any(|tensor| tensor.name == name);
        let declared: Vec<&pb::ValueInfoProto> = graph
            .input
            .iter()
            .filter(|input| !is_weight(&input.name))
            .collect();
        let inputs = bind_inputs(&declared, manifest)?;
        let ranks = declared.iter().map(|input| rank(input)).collect();
        let outputs = graph
            .output
            .iter()
            .map(|output| output.name.clone())
            .collect();
        Ok(File {
            inputs,
            ranks,
            outputs,
            proto,
        })
    }
}

/// The graph's inputs with the number of columns the manifest gives them.
fn bind_inputs(
    declared: &[&pb::ValueInfoProto],
    manifest: &Manifest,
) -> Result<Vec<Tensor>, String> {
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
                _ => Ok(Tensor { name: input.name.clone(), kind, columns }),
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
