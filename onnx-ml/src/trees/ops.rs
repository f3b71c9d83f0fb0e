//! The three tree operators as kernels.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::ensemble::{Aggregate, Ensemble};
use super::finish::{Classification, Regression};
use super::number::Number;
use super::raw::{Checked, Raw};
use super::{parse_v3, parse_v5};
use crate::attrs::doubles;
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::labels::Labels;
use crate::numbers::{check_numeric, known_columns, matrix, symbolic_rows, tensor};
use crate::post::Post;

/// A parsed tree operator, before the type of its input is known.
#[derive(Debug)]
pub(crate) struct Trees {
    pub name: &'static str,
    node: String,
    raw: Raw,
    checked: Checked,
    aggregate: Aggregate,
    base: Vec<f64>,
    post: Post,
    /// Of a classifier.
    classes: Option<Classes>,
    /// `TreeEnsemble` answers in the type of its input, the older operators always in float.
    output_follows_input: bool,
}

/// What makes an ensemble a classifier.
#[derive(Debug, Clone)]
struct Classes {
    /// The class labels, then 0 and 1 where an answer may be one of them.
    table: Labels,
    zero_one: u32,
    binary: bool,
    all_positive: bool,
}

/// `TreeEnsembleClassifier`: `[N, F]` numbers to `[N]` labels and `[N, C]` floats.
pub(crate) fn classifier(node: &NodeProto) -> TractResult<Trees> {
    let mut table = Labels::parse(node, "classlabels_int64s")?;
    let count = table.len();
    let raw = parse_v3::parse(node, "class", count)?;
    let base = base_values(node)?;
    node.expect_attr("base_values", base.len() <= count, || {
        format!("at most {count} values, got {}", base.len())
    })?;
    // Judged over the weights as listed, those given to branches included, as ONNX Runtime does.
    let ids = crate::attrs::ints(node, "class_ids")?;
    let all_positive =
        doubles(node, "class_weights")?.is_some_and(|w| !w.to_vec().iter().any(|&w| w < 0.0));
    let binary = count == 2
        && ids
            .first()
            .is_some_and(|first| ids.iter().all(|id| id == first));
    // Two text classes stand for 0 and 1 themselves.
    let zero_one = match &table {
        Labels::Strings(classes) if classes.len() == 2 => 0,
        _ => table.push_zero_one(),
    };
    Trees::new(
        node,
        "TreeEnsembleClassifier",
        raw,
        Aggregate::Sum,
        base,
        Post::parse(node)?,
        false,
    )
    .map(|t| Trees {
        classes: Some(Classes {
            table,
            zero_one,
            binary,
            all_positive,
        }),
        ..t
    })
}

/// `TreeEnsembleRegressor`: `[N, F]` numbers to `[N, targets]` floats.
pub(crate) fn regressor(node: &NodeProto) -> TractResult<Trees> {
    let targets = node.get_attr_opt::<i64>("n_targets")?.unwrap_or(1);
    let targets = crate::attrs::index(node, "n_targets", targets)? as usize;
    let raw = parse_v3::parse(node, "target", targets)?;
    let aggregate = match node
        .get_attr_opt::<&str>("aggregate_function")?
        .unwrap_or("SUM")
    {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => {
            return node.bail_attr("aggregate_function", &format!("unknown function {other:?}"));
        }
    };
    let base = base_values(node)?;
    let ok = base.is_empty() || base.len() == targets;
    node.expect_attr("base_values", ok, || {
        format!("{targets} values or none, got {}", base.len())
    })?;
    Trees::new(
        node,
        "TreeEnsembleRegressor",
        raw,
        aggregate,
        base,
        Post::parse(node)?,
        false,
    )
}

/// `TreeEnsemble` (opset 5): `[N, F]` floats or doubles to `[N, targets]` of the same type.
pub(crate) fn ensemble(node: &NodeProto) -> TractResult<Trees> {
    let raw = parse_v5::parse(node)?;
    let aggregate = match node.get_attr_opt::<i64>("aggregate_function")?.unwrap_or(1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => return node.bail_attr("aggregate_function", &format!("unknown function {other}")),
    };
    let post = match node.get_attr_opt::<i64>("post_transform")?.unwrap_or(0) {
        0 => Post::None,
        1 => Post::Softmax,
        2 => Post::Logistic,
        3 => Post::SoftmaxZero,
        4 => Post::Probit,
        other => return node.bail_attr("post_transform", &format!("unknown transform {other}")),
    };
    Trees::new(node, "TreeEnsemble", raw, aggregate, vec![], post, true)
}

fn base_values(node: &NodeProto) -> TractResult<Vec<f64>> {
    Ok(doubles(node, "base_values")?
        .map(|d| d.to_vec())
        .unwrap_or_default())
}

pub(crate) fn build_classifier(_: &ParsingContext, node: &NodeProto) -> Built {
    built(node, 1, classifier(node)?)
}

pub(crate) fn build_regressor(_: &ParsingContext, node: &NodeProto) -> Built {
    built(node, 1, regressor(node)?)
}

pub(crate) fn build_ensemble(_: &ParsingContext, node: &NodeProto) -> Built {
    built(node, 1, ensemble(node)?)
}

impl Trees {
    fn new(
        node: &NodeProto,
        name: &'static str,
        raw: Raw,
        aggregate: Aggregate,
        base: Vec<f64>,
        post: Post,
        output_follows_input: bool,
    ) -> TractResult<Trees> {
        let place = || format!("node {:?} ({name})", node.name);
        let checked = raw.check().with_context(place)?;
        let node = node.name.clone();
        Ok(Trees {
            name,
            node,
            raw,
            checked,
            aggregate,
            base,
            post,
            classes: None,
            output_follows_input,
        })
    }

    /// Lays the trees out for inputs of type `T`.
    pub fn lay_out<T: Number>(&self) -> TractResult<LaidOut<T>> {
        let ensemble = Ensemble::<T>::new(&self.raw, self.checked, self.aggregate)
            .with_context(|| format!("node {:?} ({})", self.node, self.name))?;
        let base: Vec<T> = self.base.iter().map(|&b| T::from_f64(b)).collect();
        let finish = match &self.classes {
            Some(c) => Finish::Classes(Classification {
                base,
                post: self.post,
                binary: c.binary,
                all_positive: c.all_positive,
                zero_one: c.zero_one,
            }),
            None => Finish::Targets(Regression {
                aggregate: self.aggregate,
                trees: ensemble.trees,
                base,
                post: self.post,
            }),
        };
        Ok(LaidOut {
            name: self.name,
            features: self.checked.features,
            ensemble,
            finish,
            table: self.classes.as_ref().map(|c| c.table.clone()),
            output_follows_input: self.output_follows_input,
        })
    }
}

/// Facts common to the two kernels below: what comes out for what goes in.
fn infer(
    features: usize,
    columns_out: usize,
    labels: Option<DatumType>,
    follows: bool,
    inputs: &[Typed],
) -> TractResult<TVec<Typed>> {
    let [(dt, shape)] = exactly(inputs)?;
    check_numeric(dt)?;
    ensure!(
        shape.len() <= 2,
        "trees take rows of numbers, the input has {} dimensions",
        shape.len()
    );
    if let Some(columns) = known_columns(&shape) {
        ensure!(
            columns >= features,
            "the trees read {features} features, a row has {columns}"
        );
    }
    let rows = symbolic_rows(&shape);
    let scores = if follows && dt == DatumType::F64 {
        DatumType::F64
    } else {
        DatumType::F32
    };
    let scores = (scores, tvec!(rows.clone(), columns_out.to_dim()));
    Ok(match labels {
        Some(labels) => tvec!((labels, tvec!(rows)), scores),
        None => tvec!(scores),
    })
}

impl Kernel for Trees {
    fn name(&self) -> &'static str {
        self.name
    }

    fn outputs(&self) -> usize {
        1 + self.classes.is_some() as usize
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let labels = self.classes.as_ref().map(|c| c.table.datum_type());
        infer(
            self.checked.features,
            self.raw.targets,
            labels,
            self.output_follows_input,
            inputs,
        )
    }

    fn specialise(&self, inputs: &[Typed]) -> TractResult<Option<Arc<dyn Kernel>>> {
        Ok(Some(match inputs.first() {
            Some((DatumType::F64, _)) => Arc::new(self.lay_out::<f64>()?),
            _ => Arc::new(self.lay_out::<f32>()?),
        }))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        match inputs.first().map(|i| i.datum_type()) {
            Some(DatumType::F64) => self.lay_out::<f64>()?.run(inputs),
            _ => self.lay_out::<f32>()?.run(inputs),
        }
    }
}

/// Trees laid out for one input type.
#[derive(Debug)]
pub(crate) struct LaidOut<T> {
    name: &'static str,
    features: usize,
    pub ensemble: Ensemble<T>,
    finish: Finish<T>,
    /// Of a classifier: the class labels, then 0 and 1.
    pub table: Option<Labels>,
    output_follows_input: bool,
}

#[derive(Debug)]
enum Finish<T> {
    Classes(Classification<T>),
    Targets(Regression<T>),
}

impl<T: Number> LaidOut<T> {
    /// Scores a row-major matrix: appends a label's index a row (of a classifier) and the scores, row after row.
    pub fn score<O: Number>(
        &self,
        rows: usize,
        columns: usize,
        data: &[T],
        labels: &mut Vec<u32>,
        scores: &mut Vec<O>,
    ) -> TractResult<()> {
        scores.reserve(rows * self.ensemble.targets);
        let narrow = |s: T| {
            if O::datum_type() == DatumType::F32 {
                O::from_f32(s.to_f32())
            } else {
                O::from_f64(s.to_f64())
            }
        };
        match &self.finish {
            Finish::Classes(finish) => {
                labels.reserve(rows);
                self.ensemble
                    .score(rows, columns, data, |_, sums, reached| {
                        labels.push(finish.finish(sums, reached));
                        scores.extend(sums.iter().map(|&s| narrow(s)));
                    })
            }
            Finish::Targets(finish) => {
                self.ensemble
                    .score(rows, columns, data, |_, sums, reached| {
                        finish.finish(sums, reached);
                        scores.extend(sums.iter().map(|&s| narrow(s)));
                    })
            }
        }
    }

    fn outputs<O: Number>(&self, input: &Tensor) -> TractResult<TVec<Tensor>> {
        ensure!(
            input.rank() <= 2,
            "trees take rows of numbers, the input has {} dimensions",
            input.rank()
        );
        let input = matrix::<T>(input)?;
        let (mut labels, mut scores) = (vec![], Vec::<O>::new());
        self.score(
            input.rows,
            input.columns,
            &input.data,
            &mut labels,
            &mut scores,
        )?;
        let scores = tensor(&[input.rows, self.ensemble.targets], scores)?;
        Ok(match &self.table {
            Some(table) => tvec!(table.pick(&labels)?, scores),
            None => tvec!(scores),
        })
    }
}

impl<T: Number> Kernel for LaidOut<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn outputs(&self) -> usize {
        1 + self.table.is_some() as usize
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let labels = self.table.as_ref().map(|t| t.datum_type());
        infer(
            self.features,
            self.ensemble.targets,
            labels,
            self.output_follows_input,
            inputs,
        )
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        if self.output_follows_input && T::datum_type() == DatumType::F64 {
            self.outputs::<f64>(input)
        } else {
            self.outputs::<f32>(input)
        }
    }
}
