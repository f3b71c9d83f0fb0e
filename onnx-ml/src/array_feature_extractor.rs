//! `ArrayFeatureExtractor`: chosen columns of the last dimension.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{tensor, values};

/// `X` of any type and shape `[…, F]`, text included, and `Y` of `k` column numbers, to `[…, k]`; a single dimension
/// gives `[1, k]`.
#[derive(Debug)]
struct ArrayFeatureExtractor;

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    built(node, 2, ArrayFeatureExtractor)
}

fn pick<T: Datum>(x: &Tensor, columns: &[usize]) -> TractResult<Tensor> {
    let data = x.try_as_plain_ram()?.as_slice::<T>()?;
    let stride = x.shape().last().copied().unwrap_or(1);
    let mut shape = x.shape().to_vec();
    match shape.len() {
        1 => shape = vec![1, columns.len()],
        n => shape[n - 1] = columns.len(),
    }
    let rows = data.chunks_exact(stride.max(1));
    tensor(
        &shape,
        rows.flat_map(|row| columns.iter().map(|&c| row[c].clone()))
            .collect(),
    )
}

impl Kernel for ArrayFeatureExtractor {
    fn name(&self) -> &'static str {
        "ArrayFeatureExtractor"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, mut shape), (_, y)] = exactly(inputs)?;
        let picked: TDim = y.iter().product();
        match shape.len() {
            0 => bail!("a single number has no columns"),
            1 => shape = tvec!(1.to_dim(), picked),
            n => shape[n - 1] = picked,
        }
        Ok(tvec!((dt, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [x, y] = exactly(inputs)?;
        let stride = *x.shape().last().context("a single number has no columns")?;
        let mut columns = vec![];
        for &column in values::<i64>(y)?.iter() {
            match usize::try_from(column) {
                Ok(c) if c < stride => columns.push(c),
                _ => bail!("column {column} is asked for, there are {stride}"),
            }
        }
        Ok(tvec!(match x.datum_type() {
            DatumType::F32 => pick::<f32>(x, &columns)?,
            DatumType::F64 => pick::<f64>(x, &columns)?,
            DatumType::I32 => pick::<i32>(x, &columns)?,
            DatumType::I64 => pick::<i64>(x, &columns)?,
            DatumType::Bool => pick::<bool>(x, &columns)?,
            DatumType::String => pick::<String>(x, &columns)?,
            DatumType::TDim => pick::<TDim>(x, &columns)?,
            other => bail!("cannot pick columns of {other:?}"),
        }))
    }
}
