//! `LinearClassifier` and `LinearRegressor`: `x · w + b`.
//!
//! Products are summed in float64 and rounded once, row by row: closer to the truth than any order of float32, and
//! the same for a row alone and in a batch.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::{floats, index};
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::labels::Labels;
use crate::numbers::{check_numeric, known_columns, matrix, symbolic_rows, tensor};
use crate::post::{Post, logistic, probit};

/// Coefficients `[targets, features]` and one intercept a target.
#[derive(Debug)]
struct Weights {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    targets: usize,
}

impl Weights {
    fn parse(node: &NodeProto, targets: usize) -> TractResult<Weights> {
        let coefficients = floats(node, "coefficients")?.to_vec();
        let n = coefficients.len();
        node.expect_attr("coefficients", n > 0 && n.is_multiple_of(targets), || {
            format!("the same number of values for each of {targets} target(s), got {n}")
        })?;
        let mut intercepts = floats(node, "intercepts")?.to_vec();
        if intercepts.is_empty() {
            intercepts = vec![0.0; targets];
        }
        node.expect_attr("intercepts", intercepts.len() == targets, || {
            format!("{targets} values, got {}", intercepts.len())
        })?;
        Ok(Weights {
            coefficients,
            intercepts,
            targets,
        })
    }

    fn features(&self) -> usize {
        self.coefficients.len() / self.targets
    }

    fn check(&self, columns: usize) -> TractResult<()> {
        ensure!(
            columns == self.features(),
            "{} coefficients for {columns} features",
            self.features()
        );
        Ok(())
    }

    /// Appends the scores of one row.
    fn score(&self, row: &[f32], scores: &mut Vec<f32>) {
        let targets = self
            .coefficients
            .chunks_exact(self.features())
            .zip(&self.intercepts);
        scores.extend(targets.map(|(w, &b)| (dot(row, w) + b as f64) as f32));
    }
}

/// The sum of products, in float64 and in the order of the columns.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .fold(0.0, |sum, (&a, &b)| sum + a as f64 * b as f64)
}

fn infer_scores(
    weights: &Weights,
    columns_out: usize,
    inputs: &[Typed],
) -> TractResult<(TDim, Typed)> {
    let [(dt, shape)] = exactly(inputs)?;
    check_numeric(dt)?;
    ensure!(
        shape.len() <= 2,
        "takes rows of numbers, the input has {} dimensions",
        shape.len()
    );
    if let Some(columns) = known_columns(&shape) {
        weights.check(columns)?;
    }
    let rows = symbolic_rows(&shape);
    Ok((
        rows.clone(),
        (DatumType::F32, tvec!(rows, columns_out.to_dim())),
    ))
}

/// Numbers `[N, F]` to floats `[N, targets]`.
#[derive(Debug)]
struct LinearRegressor {
    weights: Weights,
    post: Post,
}

pub(crate) fn build_regressor(_: &ParsingContext, node: &NodeProto) -> Built {
    let targets = node.get_attr_opt::<i64>("targets")?.unwrap_or(1);
    let targets = index(node, "targets", targets)? as usize;
    node.expect_attr("targets", targets > 0, "at least one")?;
    built(
        node,
        1,
        LinearRegressor {
            weights: Weights::parse(node, targets)?,
            post: Post::parse(node)?,
        },
    )
}

impl Kernel for LinearRegressor {
    fn name(&self) -> &'static str {
        "LinearRegressor"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        Ok(tvec!(
            infer_scores(&self.weights, self.weights.targets, inputs)?.1
        ))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let input = matrix::<f32>(input)?;
        self.weights.check(input.columns)?;
        let mut scores = Vec::with_capacity(input.rows * self.weights.targets);
        for row in input.data.chunks_exact(input.columns) {
            let start = scores.len();
            self.weights.score(row, &mut scores);
            match &mut scores[start..] {
                // One target: ONNX Runtime applies PROBIT and passes the others through.
                [only] if self.post == Post::Probit => *only = probit(*only),
                [_] => {}
                several => self.post.apply(several),
            }
        }
        Ok(tvec!(tensor(&[input.rows, self.weights.targets], scores)?))
    }
}

/// Numbers `[N, F]` to labels `[N]` and floats `[N, C]`.
///
/// Two classes may come with one row of coefficients; then the label is the second class where the score is
/// positive, and the scores are `1 - s, s`, or the logistic of `-s` and `s`.
#[derive(Debug)]
struct LinearClassifier {
    weights: Weights,
    post: Post,
    /// The class labels; then, where there is one score and not two labels, 0 and 1.
    table: Labels,
    /// Index in `table` of the label of a score that is not positive, with one score.
    negative: u32,
    columns: usize,
}

pub(crate) fn build_classifier(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut table = Labels::parse(node, "classlabels_ints")?;
    let classes = table.len();
    let targets = match floats(node, "intercepts")?.len() {
        0 => classes,
        n => n,
    };
    node.expect_attr("intercepts", targets == 1 || targets == classes, || {
        format!("one value, or one for each of {classes} classes, got {targets}")
    })?;
    let negative = if classes == 2 {
        0
    } else {
        table.push_zero_one()
    };
    let columns = if targets == 1 && classes == 2 {
        2
    } else {
        targets
    };
    let (weights, post) = (Weights::parse(node, targets)?, Post::parse(node)?);
    built(
        node,
        1,
        LinearClassifier {
            weights,
            post,
            table,
            negative,
            columns,
        },
    )
}

impl LinearClassifier {
    /// Scores of one row to outputs appended to `out`; returns the label's index.
    fn finish(&self, scores: &mut [f32], out: &mut Vec<f32>) -> u32 {
        if let [score] = *scores {
            let label = self.negative + (score > 0.0) as u32;
            match (self.post, self.columns) {
                (Post::Probit, 1) => out.push(probit(score)),
                (Post::Probit, _) => out.extend([probit(score), 0.0]),
                (_, 1) => out.push(score),
                (Post::Logistic, _) => out.extend([logistic(-score), logistic(score)]),
                _ => out.extend([1.0 - score, score]),
            }
            return label;
        }
        let mut best = 0;
        for (class, &score) in scores.iter().enumerate() {
            if score > scores[best] {
                best = class;
            }
        }
        self.post.apply(scores);
        out.extend_from_slice(scores);
        best as u32
    }
}

impl Kernel for LinearClassifier {
    fn name(&self) -> &'static str {
        "LinearClassifier"
    }

    fn outputs(&self) -> usize {
        2
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let (rows, scores) = infer_scores(&self.weights, self.columns, inputs)?;
        Ok(tvec!((self.table.datum_type(), tvec!(rows)), scores))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let input = matrix::<f32>(input)?;
        self.weights.check(input.columns)?;
        let (mut labels, mut scores, mut out) = (vec![], vec![], vec![]);
        for row in input.data.chunks_exact(input.columns) {
            scores.clear();
            self.weights.score(row, &mut scores);
            labels.push(self.finish(&mut scores, &mut out));
        }
        Ok(tvec!(
            self.table.pick(&labels)?,
            tensor(&[input.rows, self.columns], out)?
        ))
    }
}
