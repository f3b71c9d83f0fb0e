//! `Scaler`: `(x - offset) * scale`, a column at a time.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::floats;
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{check_numeric, tensor, values};

/// Any shape of numbers to the same shape of floats. Doubles are scaled in float64 and rounded once, everything else
/// in float32, as in ONNX Runtime.
#[derive(Debug)]
struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let (mut offset, mut scale) = (
        floats(node, "offset")?.to_vec(),
        floats(node, "scale")?.to_vec(),
    );
    // One may be left out: nothing to subtract, or nothing to multiply by.
    if offset.is_empty() {
        offset = vec![0.0; scale.len().max(1)];
    }
    if scale.is_empty() {
        scale = vec![1.0; offset.len()];
    }
    node.expect_attr("scale", scale.len() == offset.len(), || {
        format!(
            "as many values as offset has ({}), got {}",
            offset.len(),
            scale.len()
        )
    })?;
    built(node, 1, Scaler { offset, scale })
}

impl Scaler {
    /// The length the constants repeat with, over the flat data.
    fn stride(&self, shape: &[usize]) -> TractResult<usize> {
        let features = if shape.len() < 2 {
            shape.first()
        } else {
            shape.get(1)
        };
        let (constants, features) = (self.scale.len(), features.copied().unwrap_or(1));
        ensure!(
            constants == 1 || constants == features,
            "{constants} offsets and scales for {features} features"
        );
        Ok(constants)
    }
}

impl Kernel for Scaler {
    fn name(&self) -> &'static str {
        "Scaler"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        check_numeric(dt)?;
        if let Some(features) = shape
            .get(shape.len().min(2).wrapping_sub(1))
            .and_then(|d| d.to_usize().ok())
        {
            self.stride(&[1, features])?;
        }
        Ok(tvec!((DatumType::F32, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let n = self.stride(input.shape())?;
        let scaled: Vec<f32> = if input.datum_type() == DatumType::F64 {
            let scale = |(i, x): (usize, &f64)| {
                ((x - self.offset[i % n] as f64) * self.scale[i % n] as f64) as f32
            };
            values::<f64>(input)?
                .iter()
                .enumerate()
                .map(scale)
                .collect()
        } else {
            let scale = |(i, x): (usize, &f32)| (x - self.offset[i % n]) * self.scale[i % n];
            values::<f32>(input)?
                .iter()
                .enumerate()
                .map(scale)
                .collect()
        };
        Ok(tvec!(tensor(input.shape(), scaled)?))
    }
}
