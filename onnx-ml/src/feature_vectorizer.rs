//! `FeatureVectorizer`: several inputs side by side in one row of floats.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::{index, ints};
use crate::kernel::{Built, Kernel, Typed, built};
use crate::numbers::{check_numeric, matrix, symbolic_rows, tensor};

/// Inputs `[N, f_i]` (or `[f_i]`) of numbers to `[N, Σ inputdimensions]` floats. An input with more columns than
/// its `inputdimensions` is cut, one with fewer is padded with zeros.
#[derive(Debug)]
struct FeatureVectorizer {
    widths: Vec<usize>,
    total: usize,
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut widths = vec![];
    for &width in ints(node, "inputdimensions")? {
        widths.push(index(node, "inputdimensions", width)? as usize);
    }
    let inputs = node.input.len();
    node.expect_attr(
        "inputdimensions",
        widths.len() == inputs && inputs > 0,
        || {
            format!(
                "one entry for each of the {inputs} inputs, got {}",
                widths.len()
            )
        },
    )?;
    let total: usize = widths.iter().sum();
    // Padding is legal, but a number alone must not ask for gigabytes.
    node.expect_attr("inputdimensions", total <= 1 << 24, "a sum of at most 2^24")?;
    built(node, inputs, FeatureVectorizer { widths, total })
}

impl Kernel for FeatureVectorizer {
    fn name(&self) -> &'static str {
        "FeatureVectorizer"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        inputs.iter().try_for_each(|(dt, _)| check_numeric(*dt))?;
        let (_, first) = inputs.first().context("no input")?;
        Ok(tvec!((
            DatumType::F32,
            tvec!(symbolic_rows(first), self.total.to_dim())
        )))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        ensure!(
            inputs.len() == self.widths.len(),
            "{} inputs, got {}",
            self.widths.len(),
            inputs.len()
        );
        let rows = crate::numbers::rows_columns(inputs.first().context("no input")?.shape()).0;
        let mut out = vec![
            0f32;
            rows.checked_mul(self.total)
                .context("the output is too large")?
        ];
        let mut offset = 0;
        for (input, &width) in inputs.iter().zip(&self.widths) {
            let input = matrix::<f32>(input)?;
            ensure!(
                input.rows == rows,
                "the first input has {rows} rows, another {}",
                input.rows
            );
            let copied = width.min(input.columns);
            for r in 0..rows {
                let from = &input.data[r * input.columns..][..copied];
                out[r * self.total + offset..][..copied].copy_from_slice(from);
            }
            offset += width;
        }
        Ok(tvec!(tensor(&[rows, self.total], out)?))
    }
}
