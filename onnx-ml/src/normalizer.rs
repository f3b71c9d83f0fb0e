//! `Normalizer`: each row divided by its norm.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{check_numeric, rows_columns, tensor, values};

#[derive(Debug, Clone, Copy)]
enum Norm {
    Max,
    L1,
    L2,
}

/// Numbers `[N, F]` (or `[F]`) to floats of the same shape. A row whose norm is zero stays as it is.
#[derive(Debug)]
struct Normalizer(Norm);

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let norm = match node.get_attr_opt::<&str>("norm")?.unwrap_or("MAX") {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => return node.bail_attr("norm", &format!("unknown norm {other:?}")),
    };
    built(node, 1, Normalizer(norm))
}

impl Norm {
    fn apply(self, row: &mut [f32]) {
        match self {
            Norm::Max => {
                // The maximum, not the maximum of magnitudes: as the specification's formula has it.
                let max = row
                    .iter()
                    .copied()
                    .fold(f32::MIN, |m, x| if m < x { x } else { m });
                if max != 0.0 {
                    row.iter_mut().for_each(|x| *x /= max);
                }
            }
            Norm::L1 => {
                let sum = row.iter().fold(0.0, |s, x| s + x.abs());
                if sum != 0.0 {
                    row.iter_mut().for_each(|x| *x /= sum);
                }
            }
            Norm::L2 => {
                let sum = row.iter().fold(0.0, |s, x| s + x * x);
                if sum != 0.0 {
                    row.iter_mut().for_each(|x| {
                        let root = (*x * *x / sum).sqrt();
                        *x = if *x < 0.0 { -root } else { root };
                    });
                }
            }
        }
    }
}

impl Kernel for Normalizer {
    fn name(&self) -> &'static str {
        "Normalizer"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        check_numeric(dt)?;
        ensure!(
            shape.len() <= 2,
            "takes one or two dimensions, got {}",
            shape.len()
        );
        Ok(tvec!((DatumType::F32, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let (_, columns) = rows_columns(input.shape());
        let mut data = values::<f32>(input)?.into_owned();
        data.chunks_exact_mut(columns.max(1))
            .for_each(|row| self.0.apply(row));
        Ok(tvec!(tensor(input.shape(), data)?))
    }
}
