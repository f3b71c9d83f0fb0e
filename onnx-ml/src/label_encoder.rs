//! `LabelEncoder`: one value to another, by a table; every pair of key and value types, opsets 1 to 4.

use std::collections::HashMap;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs;
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{tensor, values};

/// Any shape to the same shape; what is not in the table becomes the default.
#[derive(Debug)]
struct LabelEncoder {
    keys: Keys,
    /// The values in the order of the file, then the default.
    values: Tensor,
    /// Opset 1 has one list of classes, and the input's type says which way to map.
    reverse: Option<Box<LabelEncoder>>,
}

#[derive(Debug)]
enum Keys {
    Ints(HashMap<i64, usize>),
    /// By bits, with one zero and one NaN.
    Floats(HashMap<u32, usize>),
    Doubles(HashMap<u64, usize>),
    Strings(HashMap<String, usize>),
}

pub(crate) fn build(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let opset = ctx
        .model
        .opset_import
        .iter()
        .find(|o| o.domain == "ai.onnx.ml")
        .map_or(4, |o| o.version);
    built(node, 1, parse(node, opset)?)
}

fn parse(node: &NodeProto, opset: i64) -> TractResult<LabelEncoder> {
    if let Some(classes) = node.get_attr_opt_vec::<String>("classes_strings")? {
        let default_text = node
            .get_attr_opt("default_string")?
            .unwrap_or_else(|| "_Unused".to_string());
        let default_int = node.get_attr_opt("default_int64")?.unwrap_or(-1i64);
        let numbers: Vec<i64> = (0..classes.len() as i64).collect();
        // Of a class listed twice the last counts.
        let keys = Keys::Strings(
            classes
                .iter()
                .cloned()
                .enumerate()
                .map(|(i, c)| (c, i))
                .collect(),
        );
        let reverse = LabelEncoder {
            keys: Keys::Ints(numbers.iter().map(|&i| (i, i as usize)).collect()),
            values: with_default(classes, default_text),
            reverse: None,
        };
        let values = with_default(numbers, default_int);
        return Ok(LabelEncoder {
            keys,
            values,
            reverse: Some(Box::new(reverse)),
        });
    }
    let keys = list(node, "keys")?;
    let listed = list(node, "values")?;
    node.expect(keys.len() == listed.len(), || {
        format!(
            "as many values as keys ({}), got {}",
            keys.len(),
            listed.len()
        )
    })?;
    // Before opset 4 a NaN key matches nothing, since NaN equals nothing.
    let keys = Keys::new(node, &keys, opset >= 4)?;
    Ok(LabelEncoder {
        keys,
        values: values_and_default(node, &listed)?,
        reverse: None,
    })
}

fn with_default<T: Datum>(mut values: Vec<T>, default: T) -> Tensor {
    values.push(default);
    tensor1(&values)
}

/// The list of keys or values, whichever of the four attributes holds it, as a tensor of one dimension.
fn list(node: &NodeProto, what: &str) -> TractResult<Tensor> {
    let strings = node
        .get_attr_opt_vec::<String>(&format!("{what}_strings"))?
        .filter(|v| !v.is_empty());
    let ints = node
        .get_attr_opt_slice::<i64>(&format!("{what}_int64s"))?
        .filter(|v| !v.is_empty());
    let floats = node
        .get_attr_opt_slice::<f32>(&format!("{what}_floats"))?
        .filter(|v| !v.is_empty());
    let whole = attrs::tensor(node, &format!("{what}_tensor"))?;
    let mut found: Vec<Tensor> = vec![];
    found.extend(strings.map(|v| tensor1(&v)));
    found.extend(ints.map(tensor1));
    found.extend(floats.map(tensor1));
    if let Some(whole) = whole {
        let n = whole.len();
        found.push(whole.into_shape(&[n])?);
    }
    match <[Tensor; 1]>::try_from(found) {
        Ok([list]) => Ok(list),
        Err(found) => node.bail(&format!(
            "needs one of {what}_strings, {what}_int64s, {what}_floats and {what}_tensor, has {}",
            found.len()
        )),
    }
}

/// The values with the default of their type behind them.
fn values_and_default(node: &NodeProto, values: &Tensor) -> TractResult<Tensor> {
    let dt = values.datum_type();
    let default = match attrs::tensor(node, "default_tensor")? {
        Some(default) => {
            node.expect_attr(
                "default_tensor",
                default.len() >= 1 && default.datum_type() == dt,
                || format!("one value of {dt:?}"),
            )?;
            let n = default.len();
            default.into_shape(&[n])?.slice(0, 0, 1)?
        }
        None => match dt {
            DatumType::String => tensor1(&[node
                .get_attr_opt("default_string")?
                .unwrap_or_else(|| "_Unused".to_string())]),
            DatumType::F32 => tensor1(&[node.get_attr_opt("default_float")?.unwrap_or(-0.0f32)]),
            DatumType::F64 => {
                tensor1(&[node.get_attr_opt("default_float")?.unwrap_or(-0.0f32) as f64])
            }
            DatumType::I64 => tensor1(&[node.get_attr_opt("default_int64")?.unwrap_or(-1i64)]),
            DatumType::I32 => {
                tensor1(&[node.get_attr_opt("default_int64")?.unwrap_or(-1i64) as i32])
            }
            DatumType::I16 => {
                tensor1(&[node.get_attr_opt("default_int64")?.unwrap_or(-1i64) as i16])
            }
            other => return node.bail(&format!("cannot map to {other:?}")),
        },
    };
    Tensor::stack_tensors(0, &[values.clone(), default])
}

impl Keys {
    fn new(node: &NodeProto, keys: &Tensor, nan_is_a_key: bool) -> TractResult<Keys> {
        /// Of a key listed twice the first counts.
        fn first<K: Hash + Eq>(keys: impl Iterator<Item = Option<K>>) -> HashMap<K, usize> {
            let mut map = HashMap::new();
            for (i, key) in keys.enumerate() {
                if let Some(key) = key {
                    map.entry(key).or_insert(i);
                }
            }
            map
        }
        let is_key = |nan: bool| nan_is_a_key || !nan;
        Ok(match keys.datum_type() {
            DatumType::String => {
                let keys = keys.try_as_plain_ram()?.as_slice::<String>()?;
                Keys::Strings(first(keys.iter().cloned().map(Some)))
            }
            DatumType::F32 => {
                let keys = keys.try_as_plain_ram()?.as_slice::<f32>()?;
                Keys::Floats(first(
                    keys.iter().map(|&k| is_key(k.is_nan()).then(|| bits32(k))),
                ))
            }
            DatumType::F64 => {
                let keys = keys.try_as_plain_ram()?.as_slice::<f64>()?;
                Keys::Doubles(first(
                    keys.iter().map(|&k| is_key(k.is_nan()).then(|| bits64(k))),
                ))
            }
            DatumType::I64 | DatumType::I32 | DatumType::I16 => {
                Keys::Ints(first(values::<i64>(keys)?.iter().copied().map(Some)))
            }
            other => return node.bail(&format!("cannot map from {other:?}")),
        })
    }

    fn takes(&self, dt: DatumType) -> bool {
        match self {
            Keys::Strings(_) => dt == DatumType::String,
            Keys::Floats(_) => dt == DatumType::F32,
            Keys::Doubles(_) => dt == DatumType::F64,
            Keys::Ints(_) => dt.is_integer() || dt == DatumType::TDim,
        }
    }

    /// The place of each input value in the table, `default` where it is not there.
    fn places(&self, input: &Tensor, default: usize) -> TractResult<Vec<usize>> {
        let or = |place: Option<&usize>| place.copied().unwrap_or(default);
        Ok(match self {
            Keys::Strings(map) => {
                let data = input.try_as_plain_ram()?.as_slice::<String>()?;
                data.iter().map(|s| or(map.get(s))).collect()
            }
            Keys::Floats(map) => values::<f32>(input)?
                .iter()
                .map(|&x| or(map.get(&bits32(x))))
                .collect(),
            Keys::Doubles(map) => values::<f64>(input)?
                .iter()
                .map(|&x| or(map.get(&bits64(x))))
                .collect(),
            Keys::Ints(map) => values::<i64>(input)?
                .iter()
                .map(|x| or(map.get(x)))
                .collect(),
        })
    }
}

/// Equal floats have equal bits: zero and minus zero are equal, and every NaN is taken for the same.
fn bits32(x: f32) -> u32 {
    if x.is_nan() {
        f32::NAN.to_bits()
    } else {
        (x + 0.0).to_bits()
    }
}

fn bits64(x: f64) -> u64 {
    if x.is_nan() {
        f64::NAN.to_bits()
    } else {
        (x + 0.0).to_bits()
    }
}

impl LabelEncoder {
    /// The direction for this input type.
    fn for_type(&self, dt: DatumType) -> TractResult<&LabelEncoder> {
        if self.keys.takes(dt) {
            return Ok(self);
        }
        match &self.reverse {
            Some(reverse) if reverse.keys.takes(dt) => Ok(reverse),
            _ => bail!("the table's keys are not of the input's type, {dt:?}"),
        }
    }
}

impl Kernel for LabelEncoder {
    fn name(&self) -> &'static str {
        "LabelEncoder"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        Ok(tvec!((self.for_type(dt)?.values.datum_type(), shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        fn gather<T: Datum>(
            values: &Tensor,
            places: &[usize],
            shape: &[usize],
        ) -> TractResult<Tensor> {
            let values = values.try_as_plain_ram()?.as_slice::<T>()?;
            tensor(shape, places.iter().map(|&p| values[p].clone()).collect())
        }
        let [input] = exactly(inputs)?;
        let LabelEncoder { keys, values, .. } = self.for_type(input.datum_type())?;
        let places = keys.places(input, values.len() - 1)?;
        Ok(tvec!(match values.datum_type() {
            DatumType::String => gather::<String>(values, &places, input.shape())?,
            DatumType::F32 => gather::<f32>(values, &places, input.shape())?,
            DatumType::F64 => gather::<f64>(values, &places, input.shape())?,
            DatumType::I64 => gather::<i64>(values, &places, input.shape())?,
            DatumType::I32 => gather::<i32>(values, &places, input.shape())?,
            DatumType::I16 => gather::<i16>(values, &places, input.shape())?,
            other => bail!("cannot map to {other:?}"),
        }))
    }
}
