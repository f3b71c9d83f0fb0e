//! The `ai.onnx.ml` operators for [tract](https://github.com/sonos/tract): tree ensembles, linear models, support
//! vector machines, encoders and scalers, as scikit-learn, LightGBM, XGBoost and CatBoost models are exported.
//!
//! ```no_run
//! use tract_onnx::prelude::*;
//!
//! # fn main() -> TractResult<()> {
//! let model = tidemill_onnx_ml::onnx().model_for_path("forest.onnx")?.into_optimized()?.into_runnable()?;
//! # Ok(())
//! # }
//! ```
//!
//! Every operator's result for a row depends on that row only, to the last bit: alone, in sevens, in thousands.

#![warn(missing_docs)]

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;

mod array_feature_extractor;
mod attrs;
mod binarizer;
mod category_mapper;
mod check;
mod fast;
mod feature_vectorizer;
mod graph;
mod imputer;
mod kernel;
mod label_encoder;
mod labels;
mod linear;
mod main_domain;
mod normalizer;
mod numbers;
mod one_hot;
mod post;
mod scaler;
mod svm_classifier;
mod svm_kernel;
mod svm_regressor;
mod trees;
mod zipmap;

pub use check::{check, guard};
pub use fast::{Part, Predictor, Scores, fast_path};
pub use graph::{ClassLabels, ModelFacts, UnsupportedNode, facts, unsupported};
pub use labels::Labels;

/// What builds an operator from its node.
type Builder = fn(&ParsingContext, &NodeProto) -> kernel::Built;

/// The domain of this crate's operators.
const DOMAIN: &str = "ai.onnx.ml";

/// Names and builders, sorted by name.
const BUILDERS: &[(&str, Builder)] = &[
    ("ArrayFeatureExtractor", array_feature_extractor::build),
    ("Binarizer", binarizer::build),
    ("CategoryMapper", category_mapper::build),
    ("DictVectorizer", zipmap::build_dict_vectorizer),
    ("FeatureVectorizer", feature_vectorizer::build),
    ("Imputer", imputer::build),
    ("LabelEncoder", label_encoder::build),
    ("LinearClassifier", linear::build_classifier),
    ("LinearRegressor", linear::build_regressor),
    ("Normalizer", normalizer::build),
    ("OneHotEncoder", one_hot::build),
    ("SVMClassifier", svm_classifier::build),
    ("SVMRegressor", svm_regressor::build),
    ("Scaler", scaler::build),
    ("TreeEnsemble", trees::ops::build_ensemble),
    ("TreeEnsembleClassifier", trees::ops::build_classifier),
    ("TreeEnsembleRegressor", trees::ops::build_regressor),
    ("ZipMap", zipmap::build_zipmap),
];

/// Names of the supported `ai.onnx.ml` operators, sorted.
pub const OPERATORS: &[&str] = &{
    let mut names = [""; BUILDERS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = BUILDERS[i].0;
        i += 1;
    }
    names
};

/// tract's ONNX loader with every `ai.onnx.ml` operator registered. Where tract has an operator of the same name
/// (`LinearClassifier`, `Normalizer`, `TreeEnsembleClassifier`, …) this crate's takes its place; so do some operators of
/// the main domain, for exported pipelines need them otherwise: `Cast` (text; int64 that stays int64), and with the same
/// bits in every batch `MatMul`, `Gemm`, `Exp`, `Log`, `Sigmoid`, `Tanh`, `Softmax`, `LogSoftmax` and the sums
/// `ReduceSum`, `ReduceMean`, `ReduceSumSquare`, `ReduceL1`, `ReduceL2`, `ReduceLogSumExp`.
pub fn onnx() -> tract_onnx::Onnx {
    let mut onnx = tract_onnx::onnx();
    for &(name, builder) in BUILDERS.iter().chain(main_domain::BUILDERS) {
        onnx.op_register.insert(name, builder);
    }
    onnx
}
