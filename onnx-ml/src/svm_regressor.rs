//! `SVMRegressor`: a weighted sum of similarities, or a linear function where there are no support vectors.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::{floats, index};
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::linear::dot;
use crate::numbers::{check_numeric, known_columns, matrix, symbolic_rows, tensor};
use crate::svm_kernel::{SupportVectors, SvmKernel};

/// Numbers `[N, F]` to floats `[N, 1]`; with `one_class`, to 1 and -1. As ONNX Runtime, no post transform.
#[derive(Debug)]
struct SvmRegressor {
    kernel: SvmKernel,
    /// None in the linear form.
    vectors: Option<SupportVectors>,
    coefficients: Vec<f32>,
    rho: f32,
    one_class: bool,
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let count = node.get_attr_opt::<i64>("n_supports")?.unwrap_or(0);
    let count = index(node, "n_supports", count)? as usize;
    let coefficients = floats(node, "coefficients")?.to_vec();
    let vectors = if count > 0 {
        Some(SupportVectors::parse(node, count)?)
    } else {
        None
    };
    let n = coefficients.len();
    node.expect_attr("coefficients", n > 0 && (count == 0 || n == count), || {
        format!("one for each of {count} support vectors, got {n}")
    })?;
    let Some(&rho) = floats(node, "rho")?.first() else {
        return node.bail_attr("rho", "is missing");
    };
    let one_class = node.get_attr_opt::<i64>("one_class")?.unwrap_or(0) != 0;
    let kernel = if count > 0 {
        SvmKernel::parse(node)?
    } else {
        SvmKernel::Linear
    };
    built(
        node,
        1,
        SvmRegressor {
            kernel,
            vectors,
            coefficients,
            rho,
            one_class,
        },
    )
}

impl SvmRegressor {
    fn check(&self, columns: usize) -> TractResult<()> {
        let features = self
            .vectors
            .as_ref()
            .map_or(self.coefficients.len(), |v| v.features);
        ensure!(
            columns == features,
            "the model has {features} features, a row {columns}"
        );
        Ok(())
    }
}

impl Kernel for SvmRegressor {
    fn name(&self) -> &'static str {
        "SVMRegressor"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        check_numeric(dt)?;
        ensure!(
            shape.len() <= 2,
            "takes rows of numbers, the input has {} dimensions",
            shape.len()
        );
        known_columns(&shape).map_or(Ok(()), |columns| self.check(columns))?;
        Ok(tvec!((
            DatumType::F32,
            tvec!(symbolic_rows(&shape), 1.to_dim())
        )))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let input = matrix::<f32>(input)?;
        self.check(input.columns)?;
        let mut similarities = vec![];
        let mut out = Vec::with_capacity(input.rows);
        for row in input.data.chunks_exact(input.columns) {
            let sum = match &self.vectors {
                Some(vectors) => {
                    vectors.similarities(self.kernel, row, &mut similarities);
                    dot(&similarities, &self.coefficients)
                }
                None => dot(row, &self.coefficients),
            };
            let score = (sum + self.rho as f64) as f32;
            out.push(match self.one_class {
                true if score > 0.0 => 1.0,
                true => -1.0,
                false => score,
            });
        }
        Ok(tvec!(tensor(&[input.rows, 1], out)?))
    }
}
