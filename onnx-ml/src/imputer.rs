//! `Imputer`: replaces one value, often NaN, by a constant, one for all columns or one a column.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::{floats, ints};
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::tensor;

/// Numbers of any shape to the same shape and type.
#[derive(Debug)]
enum Imputer {
    Floats { replaced: f32, by: Vec<f32> },
    Ints { replaced: i64, by: Vec<i64> },
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let by_floats = floats(node, "imputed_value_floats")?;
    let by_ints = ints(node, "imputed_value_int64s")?;
    let imputer = match (by_floats.is_empty(), by_ints.is_empty()) {
        (false, true) => Imputer::Floats {
            replaced: node.get_attr_opt("replaced_value_float")?.unwrap_or(0.0),
            by: by_floats.to_vec(),
        },
        (true, false) => Imputer::Ints {
            replaced: node.get_attr_opt("replaced_value_int64")?.unwrap_or(0),
            by: by_ints.to_vec(),
        },
        _ => return node.bail("needs imputed_value_floats or imputed_value_int64s, and not both"),
    };
    built(node, 1, imputer)
}

fn impute<T: Datum + Copy>(
    input: &Tensor,
    by: &[T],
    replaced: impl Fn(T) -> bool,
) -> TractResult<Tensor> {
    let features = if input.rank() < 2 {
        input.shape().first()
    } else {
        input.shape().get(1)
    };
    // Constants that do not fit the row count as one constant: their first, as in ONNX Runtime.
    let n = if Some(&by.len()) == features {
        by.len()
    } else {
        1
    };
    let data = input.try_as_plain_ram()?.as_slice::<T>()?;
    let imputed = data
        .iter()
        .enumerate()
        .map(|(i, &x)| if replaced(x) { by[i % n] } else { x });
    tensor(input.shape(), imputed.collect())
}

impl Kernel for Imputer {
    fn name(&self) -> &'static str {
        "Imputer"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        match (self, dt) {
            (Imputer::Floats { .. }, DatumType::F32 | DatumType::F64) => {}
            (Imputer::Ints { .. }, DatumType::I64 | DatumType::I32) => {}
            (Imputer::Floats { .. }, dt) => bail!("imputes floats, the input is {dt:?}"),
            (Imputer::Ints { .. }, dt) => bail!("imputes whole numbers, the input is {dt:?}"),
        }
        Ok(tvec!((dt, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(match self {
            Imputer::Floats { replaced, by } if input.datum_type() == DatumType::F64 => {
                let (replaced, by) = (
                    *replaced as f64,
                    by.iter().map(|&b| b as f64).collect::<Vec<_>>(),
                );
                impute::<f64>(input, &by, |x| {
                    x == replaced || (x.is_nan() && replaced.is_nan())
                })?
            }
            Imputer::Floats { replaced, by } => {
                impute::<f32>(input, by, |x| {
                    x == *replaced || (x.is_nan() && replaced.is_nan())
                })?
            }
            Imputer::Ints { replaced, by } if input.datum_type() == DatumType::I32 => {
                let by: Vec<i32> = by.iter().map(|&b| b as i32).collect();
                impute::<i32>(input, &by, |x| x as i64 == *replaced)?
            }
            Imputer::Ints { replaced, by } => impute::<i64>(input, by, |x| x == *replaced)?,
        }))
    }
}
