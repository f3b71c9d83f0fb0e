//! `OneHotEncoder`: a category, whole number or text, to a row of zeros with a one at its place.

use std::collections::HashMap;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::ints;
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{check_numeric, tensor};

/// Text or numbers of any shape to floats with one more dimension, of as many columns as there are categories.
/// Numbers are truncated to whole ones first. An unknown category gives zeros, or an error where the model says
/// `zeros = 0`.
#[derive(Debug)]
struct OneHot {
    places: Places,
    categories: usize,
    zeros: bool,
}

#[derive(Debug)]
enum Places {
    Ints(HashMap<i64, usize>),
    Strings(HashMap<String, usize>),
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let whole = ints(node, "cats_int64s")?;
    let text = node
        .get_attr_opt_vec::<String>("cats_strings")?
        .unwrap_or_default();
    let categories = whole.len() + text.len();
    let places = match (whole.is_empty(), text.is_empty()) {
        (false, true) => Places::Ints(whole.iter().enumerate().map(|(i, &c)| (c, i)).collect()),
        (true, false) => {
            Places::Strings(text.into_iter().enumerate().map(|(i, c)| (c, i)).collect())
        }
        _ => return node.bail("needs cats_int64s or cats_strings, and not both"),
    };
    let zeros = node.get_attr_opt::<i64>("zeros")?.unwrap_or(1) != 0;
    built(
        node,
        1,
        OneHot {
            places,
            categories,
            zeros,
        },
    )
}

/// Truncates as x86 does, which is what the reference does: what does not fit becomes the least number.
pub(crate) fn truncate(x: f64) -> i64 {
    if (i64::MIN as f64..-(i64::MIN as f64)).contains(&x) {
        x as i64
    } else {
        i64::MIN
    }
}

impl OneHot {
    fn encode(
        &self,
        shape: &[usize],
        places: impl Iterator<Item = Option<usize>>,
    ) -> TractResult<Tensor> {
        let values: usize = shape.iter().product();
        let size = values
            .checked_mul(self.categories)
            .context("the encoded input is too large")?;
        let mut out = vec![0f32; size];
        for (i, place) in places.enumerate() {
            match place {
                Some(place) => out[i * self.categories + place] = 1.0,
                None if self.zeros => {}
                None => bail!(
                    "value {i} is no known category, and the model asks for an error then (zeros = 0)"
                ),
            }
        }
        let mut shape = shape.to_vec();
        shape.push(self.categories);
        tensor(&shape, out)
    }
}

impl Kernel for OneHot {
    fn name(&self) -> &'static str {
        "OneHotEncoder"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, mut shape)] = exactly(inputs)?;
        match self.places {
            Places::Ints(_) => check_numeric(dt)?,
            Places::Strings(_) => {
                ensure!(dt == DatumType::String, "encodes text, the input is {dt:?}")
            }
        }
        shape.push(self.categories.to_dim());
        Ok(tvec!((DatumType::F32, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(match &self.places {
            Places::Strings(places) => {
                let data = input.try_as_plain_ram()?.as_slice::<String>()?;
                self.encode(input.shape(), data.iter().map(|s| places.get(s).copied()))?
            }
            Places::Ints(places) => match input.datum_type() {
                DatumType::F32 | DatumType::F64 | DatumType::F16 => {
                    let data = crate::numbers::values::<f64>(input)?;
                    self.encode(
                        input.shape(),
                        data.iter().map(|&x| places.get(&truncate(x)).copied()),
                    )?
                }
                _ => {
                    let data = crate::numbers::values::<i64>(input)?;
                    self.encode(input.shape(), data.iter().map(|x| places.get(x).copied()))?
                }
            },
        }))
    }
}
