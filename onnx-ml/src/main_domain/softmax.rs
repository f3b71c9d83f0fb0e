//! `Softmax` and `LogSoftmax` of floats and doubles, one group at a time and in order: tract's kernel splits a group
//! by its place in memory, so that the sum of a row's exponentials would depend on the batch it came in.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{tensor, values};

/// Any shape to the same. Sums are made in float64.
#[derive(Debug)]
struct Softmax {
    axis: i64,
    /// Before opset 13 all axes from `axis` on make one group.
    rest: bool,
    log: bool,
}

pub(super) fn build(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let rest = ctx.onnx_operator_set_version < 13;
    let axis = node
        .get_attr_opt("axis")?
        .unwrap_or(if rest { 1 } else { -1 });
    let log = node.op_type == "LogSoftmax";
    built(node, 1, Softmax { axis, rest, log })
}

impl Softmax {
    fn axis(&self, rank: usize) -> TractResult<usize> {
        let at = if self.axis < 0 {
            self.axis + rank as i64
        } else {
            self.axis
        };
        match usize::try_from(at) {
            Ok(at) if at < rank => Ok(at),
            _ => bail!("axis {} of a tensor with {rank}", self.axis),
        }
    }

    /// Members of a group and how far apart they are.
    fn group(&self, shape: &[usize]) -> TractResult<(usize, usize)> {
        let axis = self.axis(shape.len())?;
        let after: usize = shape[axis + 1..].iter().product();
        Ok(if self.rest {
            (shape[axis] * after, 1)
        } else {
            (shape[axis], after)
        })
    }

    fn apply(&self, shape: &[usize], data: &mut [f64]) -> TractResult<()> {
        let (members, step) = self.group(shape)?;
        if data.is_empty() {
            return Ok(());
        }
        for block in data.chunks_exact_mut(members * step) {
            for first in 0..step {
                let places = || (first..members * step).step_by(step);
                let max = places().map(|i| block[i]).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = places().map(|i| (block[i] - max).exp()).sum();
                for i in places() {
                    let x = block[i] - max;
                    block[i] = if self.log {
                        x - sum.ln()
                    } else {
                        x.exp() / sum
                    };
                }
            }
        }
        Ok(())
    }
}

impl Kernel for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "LogSoftmax" } else { "Softmax" }
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        ensure!(
            matches!(dt, DatumType::F32 | DatumType::F64),
            "takes float or double, got {dt:?}"
        );
        self.axis(shape.len())?;
        Ok(tvec!((dt, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let mut data = values::<f64>(input)?.into_owned();
        self.apply(input.shape(), &mut data)?;
        Ok(tvec!(match input.datum_type() {
            DatumType::F32 => tensor(input.shape(), data.iter().map(|&x| x as f32).collect())?,
            _ => tensor(input.shape(), data)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_one_axis_and_by_the_rest() {
        let even = |axis, rest, shape: &[usize]| {
            let mut data = vec![3.0; shape.iter().product()];
            Softmax {
                axis,
                rest,
                log: false,
            }
            .apply(shape, &mut data)
            .unwrap();
            data[0]
        };
        assert_eq!(even(-1, false, &[2, 4]), 0.25);
        assert_eq!(even(0, false, &[2, 4]), 0.5);
        assert_eq!(even(1, true, &[2, 4, 2]), 0.125);
        assert!(
            Softmax {
                axis: 2,
                rest: false,
                log: false
            }
            .axis(2)
            .is_err()
        );
    }

    #[test]
    fn logarithms_agree() {
        let (mut p, mut l) = (vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0]);
        Softmax {
            axis: 0,
            rest: false,
            log: false,
        }
        .apply(&[3], &mut p)
        .unwrap();
        Softmax {
            axis: 0,
            rest: false,
            log: true,
        }
        .apply(&[3], &mut l)
        .unwrap();
        p.iter()
            .zip(&l)
            .for_each(|(p, l)| assert!((p.ln() - l).abs() < 1e-12));
    }
}
