//! `Exp`, `Log`, `Sigmoid` and `Tanh` of floats and doubles, one number at a time: tract's vectorised kernels answer
//! for some positions in a tensor with other last bits than for others, so that a row's answer would depend on the
//! batch it came in; and tract has no `Sigmoid` of doubles. Other types are tract's.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::kernel::{Built, Kernel, MlOp, Typed, exactly};
use crate::numbers::{tensor, values};

#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Exp,
    Log,
    Sigmoid,
    Tanh,
}

macro_rules! apply {
    ($function:expr, $x:expr) => {
        match $function {
            Function::Exp => $x.exp(),
            Function::Log => $x.ln(),
            Function::Tanh => $x.tanh(),
            // From the exponential of a negative number, which does not overflow.
            Function::Sigmoid => {
                let v = 1.0 / (1.0 + (-$x.abs()).exp());
                if $x < 0.0 { 1.0 - v } else { v }
            }
        }
    };
}

pub(super) fn build_exp(_: &ParsingContext, _: &NodeProto) -> Built {
    Ok((expand(Elementwise(Function::Exp)), vec![]))
}

pub(super) fn build_log(_: &ParsingContext, _: &NodeProto) -> Built {
    Ok((expand(Elementwise(Function::Log)), vec![]))
}

pub(super) fn build_sigmoid(_: &ParsingContext, _: &NodeProto) -> Built {
    Ok((expand(Elementwise(Function::Sigmoid)), vec![]))
}

pub(super) fn build_tanh(_: &ParsingContext, _: &NodeProto) -> Built {
    Ok((expand(Elementwise(Function::Tanh)), vec![]))
}

#[derive(Debug, Clone, Copy)]
struct Elementwise(Function);

impl Expansion for Elementwise {
    fn name(&self) -> StaticName {
        Kernel::name(self).into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        use tract_onnx::tract_core::ops::{math, nn};
        if matches!(
            model.outlet_fact(inputs[0])?.datum_type,
            DatumType::F32 | DatumType::F64
        ) {
            return model.wire_node(prefix, MlOp::new(*self), inputs);
        }
        let tract = match self.0 {
            Function::Exp => math::exp(),
            Function::Log => math::ln(),
            Function::Sigmoid => nn::sigmoid(),
            Function::Tanh => math::tanh(),
        };
        model.wire_node(prefix, tract, inputs)
    }
}

impl Kernel for Elementwise {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Exp => "Exp",
            Function::Log => "Log",
            Function::Sigmoid => "Sigmoid",
            Function::Tanh => "Tanh",
        }
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(input))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(match input.datum_type() {
            DatumType::F64 => {
                let data = values::<f64>(input)?
                    .iter()
                    .map(|&x| apply!(self.0, x))
                    .collect();
                tensor(input.shape(), data)?
            }
            _ => {
                let data = values::<f32>(input)?
                    .iter()
                    .map(|&x| apply!(self.0, x))
                    .collect();
                tensor(input.shape(), data)?
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_both_types() {
        let input = tensor1(&[0.0f32, 800.0, -800.0]);
        let got = Elementwise(Function::Sigmoid).run(&[&input]).unwrap();
        assert_eq!(got[0], tensor1(&[0.5f32, 1.0, 0.0]));
        let got = Elementwise(Function::Exp)
            .run(&[&tensor1(&[0.0f64, 1.0])])
            .unwrap();
        assert_eq!(got[0], tensor1(&[1.0, std::f64::consts::E]));
    }
}
