//! `Cast` of the main domain, completed: tract turns every cast to int64 into its type for dimensions, which an
//! answer of a model is not, and knows one cast of text. Exported pipelines cast labels and categories.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::kernel::{Built, Kernel, MlOp, Typed, exactly};
use crate::numbers::{tensor, values};

/// Any shape to the same shape of type `to`.
#[derive(Debug, Clone)]
struct Cast {
    to: DatumType,
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    Ok((
        expand(Cast {
            to: node.get_attr::<DatumType>("to")?,
        }),
        vec![],
    ))
}

impl Cast {
    /// Dimensions stay dimensions: shape arithmetic casts them to int64 and back.
    fn result(&self, from: DatumType) -> DatumType {
        if from == DatumType::TDim && self.to == DatumType::I64 {
            from
        } else {
            self.to
        }
    }
}

impl Expansion for Cast {
    fn name(&self) -> StaticName {
        "Cast".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].rank, &inputs[0].rank)?;
        s.equals(&outputs[0].shape, &inputs[0].shape)?;
        s.given(&inputs[0].datum_type, move |s, from| {
            s.equals(&outputs[0].datum_type, self.result(from))
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let from = model.outlet_fact(inputs[0])?.datum_type;
        let to = self.result(from);
        if from == to {
            return model.wire_node(prefix, tract_core::ops::identity::Identity, inputs);
        }
        if from == DatumType::String || to == DatumType::String {
            return model.wire_node(prefix, MlOp::new(TextCast { to }), inputs);
        }
        model.wire_node(prefix, tract_core::ops::cast::cast(to), inputs)
    }
}

/// Between text and numbers.
#[derive(Debug)]
struct TextCast {
    to: DatumType,
}

impl Kernel for TextCast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(_, shape)] = exactly(inputs)?;
        Ok(tvec!((self.to, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(if input.datum_type() == DatumType::String {
            let text = input.try_as_plain_ram()?.as_slice::<String>()?;
            parse(text, input.shape(), self.to)?
        } else {
            tensor(input.shape(), print(input)?)?
        }))
    }
}

fn parse(text: &[String], shape: &[usize], to: DatumType) -> TractResult<Tensor> {
    let whole = |s: &String| {
        s.trim()
            .parse::<i64>()
            .map_err(|_| format_err!("{s:?} is no whole number"))
    };
    // Rust reads the spellings ONNX lists for infinity and NaN in any case.
    let number = |s: &String| {
        s.trim()
            .parse::<f64>()
            .map_err(|_| format_err!("{s:?} is no number"))
    };
    let single = |s: &String| {
        s.trim()
            .parse::<f32>()
            .map_err(|_| format_err!("{s:?} is no number"))
    };
    match to {
        DatumType::F32 => tensor(
            shape,
            text.iter().map(single).collect::<TractResult<Vec<_>>>()?,
        ),
        DatumType::F64 => tensor(
            shape,
            text.iter().map(number).collect::<TractResult<Vec<_>>>()?,
        ),
        DatumType::I64 => tensor(
            shape,
            text.iter().map(whole).collect::<TractResult<Vec<_>>>()?,
        ),
        DatumType::I32 => {
            let narrow = |s| whole(s).and_then(|i| Ok(i32::try_from(i)?));
            tensor(
                shape,
                text.iter().map(narrow).collect::<TractResult<Vec<_>>>()?,
            )
        }
        DatumType::Bool => {
            let yes = |s| whole(s).map(|i| i != 0);
            tensor(
                shape,
                text.iter().map(yes).collect::<TractResult<Vec<_>>>()?,
            )
        }
        other => bail!("cannot read {other:?} from text"),
    }
}

fn print(input: &Tensor) -> TractResult<Vec<String>> {
    Ok(match input.datum_type() {
        DatumType::F32 => values::<f32>(input)?
            .iter()
            .map(|&x| float(x as f64, 8))
            .collect(),
        DatumType::F64 => values::<f64>(input)?.iter().map(|&x| float(x, 8)).collect(),
        DatumType::Bool => values::<u8>(input)?.iter().map(|x| x.to_string()).collect(),
        _ => values::<i64>(input)?
            .iter()
            .map(|x| x.to_string())
            .collect(),
    })
}

/// C's `%.{digits}g`, as ONNX Runtime prints floats: that many significant digits, no trailing zeros, an exponent
/// below 1e-4 and from 10^digits on.
fn float(x: f64, digits: usize) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x < 0.0 { "-INF".into() } else { "INF".into() };
    }
    if x == 0.0 {
        return if x.is_sign_negative() {
            "-0".into()
        } else {
            "0".into()
        };
    }
    let scientific = format!("{x:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => s.to_string(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    trim(&format!("{x:.*}", (digits as i32 - 1 - exponent) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_c_does() {
        for (x, digits, text) in [
            (1.0, 8, "1"),
            (0.1f32 as f64, 8, "0.1"),
            (0.5, 8, "0.5"),
            (123456789.0, 8, "1.2345679e+08"),
            (1e-5, 8, "1e-05"),
            (0.0001, 8, "0.0001"),
            (-2.5, 8, "-2.5"),
            (f64::NAN, 8, "NaN"),
            (f64::NEG_INFINITY, 8, "-INF"),
            (0.0, 8, "0"),
        ] {
            assert_eq!(float(x, digits), text);
        }
    }

    #[test]
    fn text_is_read() {
        let text = ["1.5".to_string(), "-INF".into(), "NaN".into()];
        let read = parse(&text, &[3], DatumType::F32).unwrap();
        let read = read
            .try_as_plain_ram()
            .unwrap()
            .as_slice::<f32>()
            .unwrap()
            .to_vec();
        assert_eq!(read[..2], [1.5, f32::NEG_INFINITY]);
        assert!(read[2].is_nan());
        assert!(
            parse(&["x".into()], &[1], DatumType::I64)
                .unwrap_err()
                .to_string()
                .contains("\"x\"")
        );
    }
}
