//! `Binarizer`: one where a value exceeds the threshold, else zero.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::tensor;

/// Numbers of any shape to the same shape and type. NaN does not exceed anything.
#[derive(Debug)]
struct Binarizer {
    threshold: f32,
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let threshold = node.get_attr_opt("threshold")?.unwrap_or(0.0);
    built(node, 1, Binarizer { threshold })
}

impl Kernel for Binarizer {
    fn name(&self) -> &'static str {
        "Binarizer"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        match dt {
            DatumType::F32 | DatumType::F64 | DatumType::I32 | DatumType::I64 => {
                Ok(tvec!((dt, shape)))
            }
            other => bail!("takes float, double, int32 or int64, got {other:?}"),
        }
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        macro_rules! binarize {
            ($t:ty, $wide:ty) => {{
                let data = input.try_as_plain_ram()?.as_slice::<$t>()?;
                let one = |&x: &$t| (x as $wide > self.threshold as $wide) as u8 as $t;
                tensor(input.shape(), data.iter().map(one).collect())?
            }};
        }
        Ok(tvec!(match input.datum_type() {
            DatumType::F32 => binarize!(f32, f32),
            DatumType::F64 => binarize!(f64, f64),
            DatumType::I32 => binarize!(i32, f64),
            DatumType::I64 => binarize!(i64, f64),
            other => bail!("takes float, double, int32 or int64, got {other:?}"),
        }))
    }
}
