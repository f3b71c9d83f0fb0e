//! `SVMClassifier`: a vote of one classifier for each pair of classes (libsvm), or a linear function a class
//! (liblinear) where there are no support vectors. Semantics after ONNX Runtime's `svmclassifier.cc`.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::{floats, index, ints};
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::labels::Labels;
use crate::linear::dot;
use crate::numbers::{check_numeric, known_columns, matrix, symbolic_rows, tensor};
use crate::post::{Post, logistic, probit};
use crate::svm_kernel::{SupportVectors, SvmKernel};

/// Numbers `[N, F]` to labels `[N]` and floats: `[N, C]` probabilities or scores; `[N, C(C-1)/2]` scores of pairs
/// where there are support vectors, more than two classes and no probabilities.
#[derive(Debug)]
struct SvmClassifier {
    mode: Mode,
    coefficients: Vec<f32>,
    rho: Vec<f32>,
    post: Post,
    /// The class labels, then 0 and 1.
    table: Labels,
    classes: usize,
    all_positive: bool,
}

#[derive(Debug)]
enum Mode {
    /// `coefficients` are `[C, F]`.
    Linear { features: usize },
    /// `coefficients` are `[C - 1, vectors]`; `starts` has the first vector of each class and their total.
    Pairs {
        kernel: SvmKernel,
        vectors: SupportVectors,
        starts: Vec<usize>,
        sigmoid: Option<(Vec<f32>, Vec<f32>)>,
    },
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut table = Labels::parse(node, "classlabels_ints")?;
    let classes = table.len();
    node.expect(classes < 65_536, "fewer than 65,536 classes")?;
    let coefficients = floats(node, "coefficients")?.to_vec();
    let rho = floats(node, "rho")?.to_vec();
    let mut starts = vec![0usize];
    for &count in ints(node, "vectors_per_class")? {
        let count = index(node, "vectors_per_class", count)? as usize;
        starts.push(starts.last().unwrap_or(&0) + count);
    }
    let vectors = starts.last().copied().unwrap_or(0);
    let n = coefficients.len();
    let mode = if vectors > 0 {
        let pairs = classes * (classes - 1) / 2;
        node.expect_attr("vectors_per_class", starts.len() == classes + 1, || {
            format!(
                "one entry for each of {classes} classes, got {}",
                starts.len() - 1
            )
        })?;
        node.expect_attr(
            "coefficients",
            Some(n) >= vectors.checked_mul(classes - 1),
            || format!("{vectors} values for each class but one, got {n}"),
        )?;
        node.expect_attr("rho", rho.len() >= pairs, || {
            format!("{pairs} values, got {}", rho.len())
        })?;
        let (a, b) = (
            floats(node, "prob_a")?.to_vec(),
            floats(node, "prob_b")?.to_vec(),
        );
        node.expect_attr(
            "prob_a",
            a.len() == b.len() && (a.is_empty() || a.len() >= pairs),
            || {
                format!(
                    "{pairs} values and as many of prob_b, got {} and {}",
                    a.len(),
                    b.len()
                )
            },
        )?;
        Mode::Pairs {
            kernel: SvmKernel::parse(node)?,
            vectors: SupportVectors::parse(node, vectors)?,
            starts,
            sigmoid: (!a.is_empty()).then_some((a, b)),
        }
    } else {
        node.expect_attr("coefficients", n > 0 && n.is_multiple_of(classes), || {
            format!("the same number of values for each of {classes} classes, got {n}")
        })?;
        node.expect_attr("rho", !rho.is_empty(), "at least one value")?;
        Mode::Linear {
            features: n / classes,
        }
    };
    let all_positive = coefficients.iter().all(|&c| c >= 0.0);
    table.push_zero_one();
    let post = Post::parse(node)?;
    built(
        node,
        1,
        SvmClassifier {
            mode,
            coefficients,
            rho,
            post,
            table,
            classes,
            all_positive,
        },
    )
}

impl SvmClassifier {
    fn columns(&self) -> usize {
        let classes = self.classes;
        match &self.mode {
            Mode::Pairs { sigmoid: None, .. } if classes > 2 => classes * (classes - 1) / 2,
            Mode::Pairs { sigmoid: None, .. } => 2,
            _ => classes,
        }
    }

    fn check(&self, columns: usize) -> TractResult<()> {
        let features = match &self.mode {
            Mode::Linear { features } => *features,
            Mode::Pairs { vectors, .. } => vectors.features,
        };
        ensure!(
            columns == features,
            "the model has {features} features, a row {columns}"
        );
        Ok(())
    }

    /// The label's index of one row, whose scores are appended to `out`.
    fn row(&self, row: &[f32], work: &mut Work, out: &mut Vec<f32>) -> u32 {
        let start = out.len();
        match &self.mode {
            Mode::Linear { features } => {
                let rho = self.rho[0] as f64;
                let classes = self.coefficients.chunks_exact(*features);
                out.extend(classes.map(|w| (dot(row, w) + rho) as f32));
                let scores = &mut out[start..];
                let best = first_greatest(scores);
                let label = self.label(best, scores[best], false);
                match scores {
                    // One class: as elsewhere, only PROBIT is applied to a single score.
                    [only] if self.post == Post::Probit => *only = probit(*only),
                    [_] => {}
                    several => self.post.apply(several),
                }
                label
            }
            Mode::Pairs {
                kernel,
                vectors,
                starts,
                sigmoid,
            } => {
                vectors.similarities(*kernel, row, &mut work.similarities);
                self.vote(starts, vectors.count, work);
                let best = first_greatest(&work.votes);
                match sigmoid {
                    Some((a, b)) => {
                        self.pair_probabilities(a, b, work);
                        couple(self.classes, work, out);
                        self.post_of_classes(&mut out[start..]);
                    }
                    None => self.pair_scores(&work.pairs, out),
                }
                // With votes ONNX Runtime leaves the greatest score at zero.
                self.label(best, 0.0, sigmoid.is_some())
            }
        }
    }

    fn post_of_classes(&self, scores: &mut [f32]) {
        match scores {
            [only] if self.post == Post::Probit => *only = probit(*only),
            [_] => {}
            several => self.post.apply(several),
        }
    }

    fn pair_scores(&self, pairs: &[f32], out: &mut Vec<f32>) {
        let start = out.len();
        match *pairs {
            [score] if self.classes == 2 => match self.post {
                Post::Probit => out.extend([probit(score), 0.0]),
                Post::None => out.extend([-score, score]),
                Post::Logistic => out.extend([logistic(-score), logistic(score)]),
                _ => out.extend([1.0 - score, score]),
            },
            // One class has no pair.
            [] => out.extend([0.0, 0.0]),
            _ => {
                out.extend_from_slice(pairs);
                self.post.apply(&mut out[start..]);
            }
        }
    }

    /// Scores of all pairs and the votes they cast.
    fn vote(&self, starts: &[usize], vectors: usize, work: &mut Work) {
        work.votes.clear();
        work.votes.resize(self.classes, 0);
        work.pairs.clear();
        for i in 0..self.classes {
            for j in i + 1..self.classes {
                // Class i's vectors with the coefficients against j, then class j's with those against i.
                let mut sum = 0f64;
                for (row, of) in [(j - 1, i), (i, j)] {
                    let range = starts[of]..starts[of + 1];
                    let coefficients =
                        &self.coefficients[row * vectors..(row + 1) * vectors][range.clone()];
                    for (c, s) in coefficients.iter().zip(&work.similarities[range]) {
                        sum += (c * s) as f64;
                    }
                }
                sum += self.rho[work.pairs.len()] as f64;
                work.pairs.push(sum as f32);
                work.votes[if sum > 0.0 { i } else { j }] += 1;
            }
        }
    }

    /// The probability of each class against each other one (Platt), `[C, C]`.
    fn pair_probabilities(&self, a: &[f32], b: &[f32], work: &mut Work) {
        let n = self.classes;
        work.against.clear();
        work.against.resize(n * n, 0.0);
        let mut pair = 0;
        for i in 0..n {
            for j in i + 1..n {
                let p = 1.0 - logistic(work.pairs[pair] * a[pair] + b[pair]);
                let p = p.clamp(1e-7, 1.0 - 1e-7);
                work.against[i * n + j] = p;
                work.against[j * n + i] = 1.0 - p;
                pair += 1;
            }
        }
    }

    fn label(&self, best: usize, greatest: f32, probabilities: bool) -> u32 {
        let zero_one = self.classes as u32;
        match self.classes {
            2 if probabilities => best as u32,
            2 if self.all_positive && greatest >= 0.5 => 1,
            2 if !self.all_positive && greatest > 0.0 => 1,
            1 => zero_one + (greatest > 0.0) as u32,
            _ => best as u32,
        }
    }
}

fn first_greatest<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// Buffers reused from row to row.
#[derive(Debug, Default)]
struct Work {
    similarities: Vec<f32>,
    pairs: Vec<f32>,
    votes: Vec<u32>,
    against: Vec<f32>,
    q: Vec<f32>,
    qp: Vec<f32>,
}

/// Probabilities of the classes from those of the pairs, appended to `out`: the second method of Wu, Lin and Weng,
/// "Probability Estimates for Multi-class Classification by Pairwise Coupling" (JMLR 2004), as libsvm iterates it.
fn couple(n: usize, work: &mut Work, out: &mut Vec<f32>) {
    let Work {
        against: r, q, qp, ..
    } = work;
    q.clear();
    q.resize(n * n, 0.0);
    qp.clear();
    qp.resize(n, 0.0);
    for i in 0..n {
        for j in 0..n {
            if j != i {
                q[i * n + i] += r[j * n + i] * r[j * n + i];
            }
            if j < i {
                q[i * n + j] = q[j * n + i];
            } else if j > i {
                q[i * n + j] = -r[j * n + i] * r[i * n + j];
            }
        }
    }
    let start = out.len();
    out.resize(start + n, 1.0 / n as f32);
    let p = &mut out[start..];
    let enough = 0.005 / n as f32;
    for _ in 0..100 {
        let mut pqp = 0.0;
        for i in 0..n {
            qp[i] = (0..n).fold(0.0, |sum, j| sum + q[i * n + j] * p[j]);
            pqp += p[i] * qp[i];
        }
        let error = qp.iter().fold(0f32, |e, qp| e.max((qp - pqp).abs()));
        if error < enough {
            break;
        }
        for i in 0..n {
            let diff = (pqp - qp[i]) / q[i * n + i];
            p[i] += diff;
            pqp = (pqp + diff * (diff * q[i * n + i] + 2.0 * qp[i])) / (1.0 + diff) / (1.0 + diff);
            for j in 0..n {
                qp[j] = (qp[j] + diff * q[i * n + j]) / (1.0 + diff);
                p[j] /= 1.0 + diff;
            }
        }
    }
}

impl Kernel for SvmClassifier {
    fn name(&self) -> &'static str {
        "SVMClassifier"
    }

    fn outputs(&self) -> usize {
        2
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
        let rows = symbolic_rows(&shape);
        let scores = (DatumType::F32, tvec!(rows.clone(), self.columns().to_dim()));
        Ok(tvec!((self.table.datum_type(), tvec!(rows)), scores))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let input = matrix::<f32>(input)?;
        self.check(input.columns)?;
        let (mut work, mut labels, mut out) = (Work::default(), vec![], vec![]);
        for row in input.data.chunks_exact(input.columns) {
            labels.push(self.row(row, &mut work, &mut out));
        }
        Ok(tvec!(
            self.table.pick(&labels)?,
            tensor(&[input.rows, self.columns()], out)?
        ))
    }
}
