//! What `SVMClassifier` and `SVMRegressor` share: the similarity of a row to each support vector.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::floats;
use crate::linear::dot;

/// The kernel function; `gamma`, `coef0` and `degree` are the three `kernel_params`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SvmKernel {
    Linear,
    Poly { gamma: f32, coef0: f32, degree: f32 },
    Rbf { gamma: f32 },
    Sigmoid { gamma: f32, coef0: f32 },
}

impl SvmKernel {
    pub fn parse(node: &NodeProto) -> TractResult<SvmKernel> {
        let (gamma, coef0, degree) = match floats(node, "kernel_params")? {
            [] => (0.0, 0.0, 0.0),
            [gamma, coef0, degree, ..] => (*gamma, *coef0, *degree),
            other => {
                return node.bail_attr(
                    "kernel_params",
                    &format!("three values, got {}", other.len()),
                );
            }
        };
        match node
            .get_attr_opt::<&str>("kernel_type")?
            .unwrap_or("LINEAR")
        {
            "LINEAR" => Ok(SvmKernel::Linear),
            "POLY" => Ok(SvmKernel::Poly {
                gamma,
                coef0,
                degree,
            }),
            "RBF" => Ok(SvmKernel::Rbf { gamma }),
            "SIGMOID" => Ok(SvmKernel::Sigmoid { gamma, coef0 }),
            other => node.bail_attr("kernel_type", &format!("unknown kernel {other:?}")),
        }
    }

    /// The similarity of two vectors of one length.
    pub fn apply(self, row: &[f32], vector: &[f32]) -> f32 {
        match self {
            SvmKernel::Linear => dot(row, vector) as f32,
            SvmKernel::Poly {
                gamma,
                coef0,
                degree,
            } => {
                let x = (gamma as f64 * dot(row, vector) + coef0 as f64) as f32;
                match degree {
                    2.0 => x * x,
                    3.0 => x * x * x,
                    degree => x.powf(degree),
                }
            }
            SvmKernel::Rbf { gamma } => {
                let squares = row
                    .iter()
                    .zip(vector)
                    .fold(0f32, |sum, (a, b)| sum + (a - b) * (a - b));
                (-gamma * squares).exp()
            }
            SvmKernel::Sigmoid { gamma, coef0 } => {
                ((gamma as f64 * dot(row, vector) + coef0 as f64) as f32).tanh()
            }
        }
    }
}

/// Support vectors `[count, features]`.
#[derive(Debug)]
pub(crate) struct SupportVectors {
    vectors: Vec<f32>,
    pub count: usize,
    pub features: usize,
}

impl SupportVectors {
    pub fn parse(node: &NodeProto, count: usize) -> TractResult<SupportVectors> {
        let vectors = floats(node, "support_vectors")?.to_vec();
        let n = vectors.len();
        node.expect_attr(
            "support_vectors",
            count > 0 && n > 0 && n.is_multiple_of(count),
            || format!("{count} vectors of one length, got {n} numbers"),
        )?;
        Ok(SupportVectors {
            vectors,
            count,
            features: n / count,
        })
    }

    /// The similarity of `row` to each vector, into `out`.
    pub fn similarities(&self, kernel: SvmKernel, row: &[f32], out: &mut Vec<f32>) {
        out.clear();
        out.extend(
            self.vectors
                .chunks_exact(self.features)
                .map(|v| kernel.apply(row, v)),
        );
    }
}
