//! Operators of ONNX's main domain that exported tabular models need otherwise than tract has them: each file says
//! what and why. Everything else of the main domain is tract's.

mod cast;
mod dense;
mod elementwise;
mod reduce;
mod softmax;

use crate::Builder;

/// Names and builders, sorted by name.
pub(crate) const BUILDERS: &[(&str, Builder)] = &[
    ("Cast", cast::build),
    ("Exp", elementwise::build_exp),
    ("Gemm", dense::build_gemm),
    ("Log", elementwise::build_log),
    ("LogSoftmax", softmax::build),
    ("MatMul", dense::build_mat_mul),
    ("ReduceL1", reduce::build),
    ("ReduceL2", reduce::build),
    ("ReduceLogSumExp", reduce::build),
    ("ReduceMean", reduce::build),
    ("ReduceSum", reduce::build),
    ("ReduceSumSquare", reduce::build),
    ("Sigmoid", elementwise::build_sigmoid),
    ("Softmax", softmax::build),
    ("Tanh", elementwise::build_tanh),
];
