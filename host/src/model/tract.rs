//! Any model that tract runs, with the `ai.onnx.ml` operators of `tidemill-onnx-ml`.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;

use tidemill_onnx_ml::guard;

use super::file::File;
use super::{Kind, Matrix, Model, Tensor as Spec, Values};

/// A graph run by tract, any number of rows at once where it allows that, else row by row.
pub struct TractModel {
    plan: Arc<TypedRunnableModel>,
    /// Whether the graph takes any number of rows at once.
    batched: bool,
    inputs: Vec<Spec>,
    ranks: Vec<usize>,
    outputs: Vec<Spec>,
}

impl TractModel {
    pub fn load(file: &File) -> Result<TractModel, String> {
        let (plan, batched) = match guard(|| build(file, true)) {
            Ok(plan) => (plan, true),
            // Some exports fix the number of rows at 1.
            Err(error) => match guard(|| build(file, false)) {
                Ok(plan) => (plan, false),
                Err(_) => return Err(format!("tract cannot load it: {error:#}")),
            },
        };
        let (inputs, ranks) = (file.inputs.clone(), file.ranks.clone());
        let mut model = TractModel {
            plan,
            batched,
            inputs,
            ranks,
            outputs: Vec::new(),
        };
        model.outputs = model.probe(&file.outputs)?;
        Ok(model)
    }

    /// Runs rows of zeros to see what comes out. A model may refuse zeros, as an encoder that knows no such category; then
    /// what tract made out of the graph has to do.
    fn probe(&self, names: &[String]) -> Result<Vec<Spec>, String> {
        let rows = 2;
        let zeros = self
            .inputs
            .iter()
            .map(|input| Matrix::zeros(input, rows))
            .collect();
        let specs: Vec<(Kind, usize)> = match self.run(rows, zeros) {
            Ok(found) => found
                .iter()
                .map(|matrix| (matrix.kind(), matrix.columns))
                .collect(),
            Err(error) => (0..names.len())
                .map(|at| self.declared(at))
                .collect::<Option<_>>()
                .ok_or(format!(
                    "it fails on rows of zeros, and its outputs have no known shape: {error}"
                ))?,
        };
        let spec = |(name, (kind, columns)): (&String, (Kind, usize))| Spec {
            name: name.clone(),
            kind,
            columns,
        };
        Ok(names.iter().zip(specs).map(spec).collect())
    }

    /// The type and the columns of an output, as far as tract knows them without running.
    fn declared(&self, output: usize) -> Option<(Kind, usize)> {
        let fact = self.plan.model().output_fact(output).ok()?;
        let kind = match fact.datum_type {
            DatumType::F32 => Kind::F32,
            DatumType::F64 => Kind::F64,
            DatumType::Bool => Kind::Bool,
            DatumType::String => Kind::Text,
            _ => Kind::I64,
        };
        let columns = fact.shape.iter().skip(1).map(|dim| dim.to_usize().ok());
        Some((kind, columns.product::<Option<usize>>()?))
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
        let outputs = guard(|| self.plan.run(tensors)).map_err(|error| format!("{error:#}"))?;
        outputs
            .into_iter()
            .map(|output| matrix(&output, rows))
            .collect()
    }
}

impl Model for TractModel {
    fn engine(&self) -> &'static str {
        "tract"
    }

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

fn build(file: &File, batched: bool) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tidemill_onnx_ml::onnx().model_for_proto_model(&file.proto)?;
    let rows = if batched {
        model.symbols.sym("rows").to_dim()
    } else {
        1.to_dim()
    };
    for (at, (input, rank)) in file.inputs.iter().zip(&file.ranks).enumerate() {
        let mut shape: TVec<TDim> = tvec!(rows.clone());
        if *rank > 1 {
            shape.push(input.columns.to_dim());
        }
        model.set_input_fact(at, InferenceFact::dt_shape(datum_type(input.kind), shape))?;
    }
    model.into_optimized()?.into_runnable()
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
