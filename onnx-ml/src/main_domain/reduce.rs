//! Sums over axes of floats and doubles, in order: `ReduceSum`, `ReduceMean`, `ReduceSumSquare`, `ReduceL1`,
//! `ReduceL2` and `ReduceLogSumExp`. tract's kernel splits a sum by its place in memory, so that a row's sum would
//! depend on the batch it came in; and tract's `ReduceLogSumExp` overflows where a naive Bayes classifier's log
//! likelihoods have no exponential that float32 can hold. Other types, and axes that are computed, are tract's.

use std::sync::LazyLock;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tensor::load_tensor;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::nn::{Reduce as TractReduce, Reducer};

use crate::attrs::{check_payload, ints};
use crate::kernel::{Built, Kernel, MlOp, Typed};
use crate::numbers::{tensor, values};

static TRACT: LazyLock<tract_onnx::Onnx> = LazyLock::new(tract_onnx::onnx);

pub(super) fn build(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let tracts = || match TRACT.op_register.0.get(&node.op_type) {
        Some(build) => build(ctx, node),
        None => node.bail("is unknown to tract"),
    };
    let mut axes = ints(node, "axes")?.to_vec();
    // In later opsets the axes are an input; here, one that the file holds.
    if let Some(name) = node.input.get(1).filter(|n| !n.is_empty()) {
        let held = ctx
            .model
            .graph
            .iter()
            .flat_map(|g| &g.initializer)
            .find(|i| i.name == *name);
        let Some(held) = held else { return tracts() };
        check_payload(held)?;
        axes = values::<i64>(&load_tensor(&*ctx.framework.provider, held, None)?)?.to_vec();
    }
    if axes.is_empty()
        && node
            .get_attr_opt::<i64>("noop_with_empty_axes")?
            .unwrap_or(0)
            != 0
    {
        return tracts();
    }
    let keep = node.get_attr_opt::<i64>("keepdims")?.unwrap_or(1) == 1;
    let kind = match node.op_type.as_str() {
        "ReduceSum" => Kind::Sum,
        "ReduceMean" => Kind::Mean,
        "ReduceSumSquare" => Kind::SumSquare,
        "ReduceL1" => Kind::L1,
        "ReduceL2" => Kind::L2,
        _ => Kind::LogSumExp,
    };
    Ok((expand(Reduce { kind, axes, keep }), vec![]))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Sum,
    Mean,
    SumSquare,
    L1,
    L2,
    LogSumExp,
}

/// The named axes, or all where none is named, are summed away. Sums are made in float64.
#[derive(Debug, Clone)]
struct Reduce {
    kind: Kind,
    axes: Vec<i64>,
    keep: bool,
}

impl Expansion for Reduce {
    fn name(&self) -> StaticName {
        Kernel::name(self).into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        ensure!(
            matches!(inputs.len(), 1 | 2),
            "takes one or two inputs, got {}",
            inputs.len()
        );
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.given(&inputs[0].shape, move |s, shape| {
            s.equals(&outputs[0].shape, self.shape(&shape, 1.to_dim())?)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        // The axes are known; their input is not wired.
        let inputs = &inputs[..1];
        if matches!(
            model.outlet_fact(inputs[0])?.datum_type,
            DatumType::F32 | DatumType::F64
        ) {
            return model.wire_node(prefix, MlOp::new(self.clone()), inputs);
        }
        let reducer = match self.kind {
            Kind::Sum => Reducer::Sum,
            Kind::Mean => Reducer::Mean,
            Kind::SumSquare => Reducer::SumSquare,
            Kind::L1 => Reducer::L1,
            Kind::L2 => Reducer::L2,
            Kind::LogSumExp => Reducer::LogSumExp,
        };
        let axes = (!self.axes.is_empty()).then(|| self.axes.clone());
        TractReduce::new(axes, self.keep, reducer).wire(prefix, model, inputs)
    }
}

impl Reduce {
    /// For each axis whether it is summed away.
    fn summed(&self, rank: usize) -> TractResult<TVec<bool>> {
        let mut summed: TVec<bool> = tvec![self.axes.is_empty(); rank];
        for &axis in &self.axes {
            let at = if axis < 0 { axis + rank as i64 } else { axis };
            match usize::try_from(at).ok().and_then(|at| summed.get_mut(at)) {
                Some(flag) => *flag = true,
                None => bail!("axis {axis} of a tensor with {rank}"),
            }
        }
        Ok(summed)
    }

    fn shape<D: Clone>(&self, shape: &[D], one: D) -> TractResult<TVec<D>> {
        let summed = self.summed(shape.len())?;
        let kept = shape
            .iter()
            .zip(summed)
            .filter_map(|(dim, summed)| match (summed, self.keep) {
                (false, _) => Some(dim.clone()),
                (true, true) => Some(one.clone()),
                (true, false) => None,
            });
        Ok(kept.collect())
    }

    /// Sums the flat data by group, in its order.
    fn reduce(&self, shape: &[usize], data: &[f64]) -> TractResult<Vec<f64>> {
        let summed = self.summed(shape.len())?;
        let groups: usize = shape
            .iter()
            .zip(&summed)
            .filter(|(_, s)| !**s)
            .map(|(d, _)| d)
            .product();
        let group = |mut flat: usize| {
            let (mut at, mut step) = (0, 1);
            for (dim, summed) in shape.iter().zip(&summed).rev() {
                if !summed {
                    at += flat % dim * step;
                    step *= dim;
                }
                flat /= dim;
            }
            at
        };
        let mut max = vec![0.0; groups];
        if self.kind == Kind::LogSumExp {
            max.fill(f64::NEG_INFINITY);
            for (flat, &x) in data.iter().enumerate() {
                let max = &mut max[group(flat)];
                *max = if x.is_nan() { x } else { max.max(x) };
            }
            // Infinity minus infinity is no number; zero taken out instead leaves infinity.
            max.iter_mut()
                .filter(|m| m.is_infinite())
                .for_each(|m| *m = 0.0);
        }
        let mut sums = vec![0.0; groups];
        for (flat, &x) in data.iter().enumerate() {
            let at = group(flat);
            sums[at] += match self.kind {
                Kind::Sum | Kind::Mean => x,
                Kind::SumSquare | Kind::L2 => x * x,
                Kind::L1 => x.abs(),
                Kind::LogSumExp => (x - max[at]).exp(),
            };
        }
        let members = data.len() as f64 / groups as f64;
        let finish = |(sum, max): (&f64, &f64)| match self.kind {
            Kind::Sum | Kind::SumSquare | Kind::L1 => *sum,
            Kind::Mean => sum / members,
            Kind::L2 => sum.sqrt(),
            Kind::LogSumExp => sum.ln() + max,
        };
        Ok(sums.iter().zip(&max).map(finish).collect())
    }
}

impl Kernel for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sum => "ReduceSum",
            Kind::Mean => "ReduceMean",
            Kind::SumSquare => "ReduceSumSquare",
            Kind::L1 => "ReduceL1",
            Kind::L2 => "ReduceL2",
            Kind::LogSumExp => "ReduceLogSumExp",
        }
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let (dt, shape) = inputs.first().context("no input")?;
        Ok(tvec!((*dt, self.shape(shape, 1.to_dim())?)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let input = inputs.first().context("no input")?;
        let reduced = self.reduce(input.shape(), &values::<f64>(input)?)?;
        let shape = self.shape(input.shape(), 1)?;
        Ok(tvec!(match input.datum_type() {
            DatumType::F32 => tensor(&shape, reduced.iter().map(|&x| x as f32).collect())?,
            _ => tensor(&shape, reduced)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(kind: Kind, axes: &[i64], keep: bool) -> Reduce {
        Reduce {
            kind,
            axes: axes.to_vec(),
            keep,
        }
    }

    #[test]
    fn large_and_small_exponents_survive() {
        let got = op(Kind::LogSumExp, &[-1], false);
        let got = got
            .reduce(&[2, 2], &[1000.0, 1000.0, -1000.0, -1001.0])
            .unwrap();
        assert!((got[0] - 1000.0 - 2f64.ln()).abs() < 1e-9);
        assert!((got[1] + 1000.0 - (1.0 + (-1f64).exp()).ln()).abs() < 1e-9);
        assert!(
            op(Kind::LogSumExp, &[], false)
                .reduce(&[2], &[f64::NAN, 0.0])
                .unwrap()[0]
                .is_nan()
        );
    }

    #[test]
    fn axes_and_shapes() {
        let by_column = op(Kind::Sum, &[0], true);
        assert_eq!(by_column.shape(&[2, 3], 1).unwrap()[..], [1, 3]);
        assert_eq!(
            by_column
                .reduce(&[2, 3], &[1., 2., 3., 4., 5., 6.])
                .unwrap(),
            [5., 7., 9.]
        );
        assert_eq!(
            op(Kind::Mean, &[], false)
                .reduce(&[2, 2], &[1., 2., 3., 6.])
                .unwrap(),
            [3.]
        );
        assert_eq!(
            op(Kind::L2, &[1], false)
                .reduce(&[1, 2], &[3., -4.])
                .unwrap(),
            [5.]
        );
        assert_eq!(
            op(Kind::L1, &[1], false)
                .reduce(&[1, 2], &[3., -4.])
                .unwrap(),
            [7.]
        );
        assert!(by_column.summed(0).is_err());
    }
}
