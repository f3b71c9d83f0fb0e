//! `MatMul` and `Gemm` of matrices, row by row: tract multiplies one row and several with different kernels, whose
//! sums round differently, so that a network's answer for a row would depend on the batch it came in. Here every
//! element is the sum over k in order, of products rounded to the type, in every batch. Products of more than two
//! dimensions are tract's.

use std::ops::{Add, Mul};

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::matmul::MatMulInference;

use crate::kernel::{Built, Kernel, MlOp, Typed};
use crate::numbers::tensor;

/// `MatMul`; two matrices of floats or doubles are [`Dense`], else tract's.
#[derive(Debug, Clone, Default)]
struct MatMul(MatMulInference);

pub(crate) fn build_mat_mul(_: &ParsingContext, _: &NodeProto) -> Built {
    Ok((expand(MatMul::default()), vec![]))
}

impl Expansion for MatMul {
    fn name(&self) -> StaticName {
        "MatMul".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        self.0.rules(s, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let matrices = inputs.iter().all(|i| {
            model.outlet_fact(*i).is_ok_and(|f| {
                f.rank() == 2 && matches!(f.datum_type, DatumType::F32 | DatumType::F64)
            })
        });
        if matrices {
            let dense = Dense {
                alpha: 1.0,
                beta: 0.0,
                trans_a: false,
                trans_b: false,
            };
            return model.wire_node(prefix, MlOp::new(dense), inputs);
        }
        self.0.wire(prefix, model, inputs)
    }
}

pub(crate) fn build_gemm(_: &ParsingContext, node: &NodeProto) -> Built {
    let inputs = node.input.iter().filter(|i| !i.is_empty()).count();
    node.expect(matches!(inputs, 2 | 3), "two or three inputs")?;
    node.expect(node.output.len() == 1, "one output")?;
    let dense = Dense {
        alpha: node.get_attr_opt("alpha")?.unwrap_or(1.0),
        beta: node.get_attr_opt("beta")?.unwrap_or(1.0),
        trans_a: node.get_attr_opt::<i64>("transA")?.unwrap_or(0) != 0,
        trans_b: node.get_attr_opt::<i64>("transB")?.unwrap_or(0) != 0,
    };
    Ok((expand(MlOp::new(dense)), vec![]))
}

/// `alpha · A × B + beta · C`, with `A` of `[m, k]`, `B` of `[k, n]` (either transposed in the file), and `C`, where
/// there is one, of any shape that broadcasts to `[m, n]`.
#[derive(Debug)]
struct Dense {
    alpha: f32,
    beta: f32,
    trans_a: bool,
    trans_b: bool,
}

/// What a product needs of a number.
trait Element: Datum + Copy + Default + Add<Output = Self> + Mul<Output = Self> + From<f32> {}
impl Element for f32 {}
impl Element for f64 {}

/// Columns of the result made together, in as many sums as stay in registers.
const TILE: usize = 16;

/// `a` of `[m, k]` times `b` of `[k, n]`.
fn multiply<T: Element>(a: &[T], b: &[T], m: usize, k: usize, n: usize) -> Vec<T> {
    let mut out = vec![T::default(); m * n];
    let whole = n / TILE * TILE;
    for i in 0..m {
        let row = &a[i * k..(i + 1) * k];
        for j in (0..whole).step_by(TILE) {
            let mut sums = [T::default(); TILE];
            for (&x, b) in row.iter().zip(b.chunks_exact(n)) {
                for (sum, &w) in sums.iter_mut().zip(&b[j..j + TILE]) {
                    *sum = *sum + x * w;
                }
            }
            out[i * n + j..i * n + j + TILE].copy_from_slice(&sums);
        }
        for j in whole..n {
            out[i * n + j] = row
                .iter()
                .zip(b.chunks_exact(n))
                .fold(T::default(), |s, (&x, b)| s + x * b[j]);
        }
    }
    out
}

fn transposed<T: Element>(data: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns)
        .flat_map(|c| (0..rows).map(move |r| data[r * columns + c]))
        .collect()
}

impl Dense {
    fn run_as<T: Element>(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let matrix = |t: &Tensor, transpose: bool| -> TractResult<(Vec<T>, usize, usize)> {
            let [rows, columns] = *t.shape() else {
                bail!("expected a matrix, got {:?}", t.shape())
            };
            let data = t.try_as_plain_ram()?.as_slice::<T>()?;
            Ok(match transpose {
                true => (transposed(data, rows, columns), columns, rows),
                false => (data.to_vec(), rows, columns),
            })
        };
        let (a, m, k) = matrix(inputs[0], self.trans_a)?;
        let n = inputs[1]
            .shape()
            .get(1 - self.trans_b as usize)
            .copied()
            .unwrap_or(0);
        let mut out = if self.trans_b {
            let (b, inner, n) = matrix(inputs[1], true)?;
            ensure!(inner == k, "{k} columns times {inner} rows");
            multiply(&a, &b, m, k, n)
        } else {
            let b = inputs[1].try_as_plain_ram()?.as_slice::<T>()?;
            ensure!(
                inputs[1].shape().first() == Some(&k),
                "{k} columns times {:?}",
                inputs[1].shape()
            );
            multiply(&a, b, m, k, n)
        };
        if self.alpha != 1.0 {
            out.iter_mut().for_each(|x| *x = T::from(self.alpha) * *x);
        }
        if let Some(c) = inputs.get(2).filter(|_| self.beta != 0.0) {
            let shape = c.shape();
            let (rows, columns) = match shape {
                [] => (1, 1),
                [columns] => (1, *columns),
                [rows, columns] => (*rows, *columns),
                _ => bail!("the third input has {} dimensions", shape.len()),
            };
            ensure!(
                (rows == 1 || rows == m) && (columns == 1 || columns == n),
                "{shape:?} does not fit [{m}, {n}]"
            );
            let c = c.try_as_plain_ram()?.as_slice::<T>()?;
            for (i, x) in out.iter_mut().enumerate() {
                let at = (i / n).min(rows - 1) * columns + (i % n).min(columns - 1);
                *x = *x
                    + if self.beta == 1.0 {
                        c[at]
                    } else {
                        T::from(self.beta) * c[at]
                    };
            }
        }
        tensor(&[m, n], out)
    }
}

impl Kernel for Dense {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let (Some((dt, a)), Some((_, b))) = (inputs.first(), inputs.get(1)) else {
            bail!("two inputs are needed")
        };
        ensure!(
            matches!(dt, DatumType::F32 | DatumType::F64),
            "takes float or double, got {dt:?}"
        );
        ensure!(
            inputs.iter().all(|(other, _)| other == dt),
            "all inputs must be of one type"
        );
        ensure!(a.len() == 2 && b.len() == 2, "takes matrices");
        let (m, k) = if self.trans_a {
            (&a[1], &a[0])
        } else {
            (&a[0], &a[1])
        };
        let (inner, n) = if self.trans_b {
            (&b[1], &b[0])
        } else {
            (&b[0], &b[1])
        };
        if let (Ok(k), Ok(inner)) = (k.to_i64(), inner.to_i64()) {
            ensure!(k == inner, "{k} columns times {inner} rows");
        }
        Ok(tvec!((*dt, tvec!(m.clone(), n.clone()))))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        ensure!(inputs.len() >= 2, "two inputs are needed");
        Ok(tvec!(match inputs[0].datum_type() {
            DatumType::F64 => self.run_as::<f64>(inputs)?,
            _ => self.run_as::<f32>(inputs)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(trans_a: bool, trans_b: bool) -> Dense {
        Dense {
            alpha: 2.0,
            beta: 0.5,
            trans_a,
            trans_b,
        }
    }

    fn m(rows: usize, columns: usize, data: &[f32]) -> Tensor {
        Tensor::from_shape(&[rows, columns], data).unwrap()
    }

    #[test]
    fn products_transposes_and_broadcasts() {
        let (a, at) = (
            m(2, 3, &[1., 2., 3., 4., 5., 6.]),
            m(3, 2, &[1., 4., 2., 5., 3., 6.]),
        );
        let (b, bt) = (
            m(3, 2, &[1., 0., 0., 1., 1., 1.]),
            m(2, 3, &[1., 0., 1., 0., 1., 1.]),
        );
        let c = tensor1(&[10f32, 20.]);
        let expected = m(2, 2, &[13., 20., 25., 32.]);
        for (op, a, b) in [
            (dense(false, false), &a, &b),
            (dense(true, false), &at, &b),
            (dense(false, true), &a, &bt),
        ] {
            assert_eq!(op.run(&[a, b, &c]).unwrap()[0], expected);
        }
        let said = dense(false, false).run(&[&a, &a]).unwrap_err().to_string();
        assert!(said.contains("3 columns"), "{said}");
    }

    #[test]
    fn a_row_is_the_same_alone_and_among_others() {
        let (k, n) = (37, 21);
        let wave = |len: usize| {
            (0..len)
                .map(|i| (i as f32 * 0.37).sin())
                .collect::<Vec<_>>()
        };
        let (a, b) = (wave(9 * k), wave(k * n));
        let all = multiply(&a, &b, 9, k, n);
        for i in 0..9 {
            let alone = multiply(&a[i * k..(i + 1) * k], &b, 1, k, n);
            assert_eq!(alone, &all[i * n..(i + 1) * n]);
        }
    }
}
