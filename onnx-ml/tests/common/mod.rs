//! What the test binaries share: running a model through tract on named inputs, whole or in parts.
#![allow(dead_code)]

use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

pub type Plan = Arc<TypedRunnableModel>;

/// Reads a model file.
pub fn read(path: &Path) -> ModelProto {
    let mut file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    tidemill_onnx_ml::onnx()
        .proto_model_for_read(&mut file)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A runnable model whose first dimension is a symbol on every input, as a host loads it.
pub fn plan(proto: &ModelProto) -> TractResult<Plan> {
    let mut model = tidemill_onnx_ml::onnx()
        .with_ignore_output_shapes(true)
        .parse(proto, None)?
        .model;
    let batch = model.symbols.sym("N");
    for ix in 0..model.input_outlets()?.len() {
        let fact = model.input_fact(ix)?.clone();
        let mut dims: Vec<_> = fact.shape.dims().cloned().collect();
        if let Some(first) = dims.first_mut() {
            *first = batch.to_dim().into();
        }
        let fact = InferenceFact::default()
            .with_datum_type(fact.datum_type.concretize().context("input type")?)
            .with_shape(ShapeFactoid::closed(dims.into()));
        model.set_input_fact(ix, fact)?;
    }
    model.into_optimized()?.into_runnable()
}

/// Rows `from..to` of a tensor.
pub fn rows(tensor: &Tensor, from: usize, to: usize) -> Tensor {
    tensor.slice(0, from, to).unwrap()
}

/// Runs a plan and gives plain tensors; dimensions become int64.
pub fn run(plan: &Plan, inputs: &[Tensor]) -> TractResult<Vec<Tensor>> {
    let inputs = inputs.iter().map(|t| t.clone().into_tvalue()).collect();
    let outputs = plan.run(inputs)?;
    outputs
        .into_iter()
        .map(|o| match o.datum_type() {
            DatumType::TDim => Ok(o.cast_to::<i64>()?.into_owned()),
            _ => Ok(o.into_tensor()),
        })
        .collect()
}
