//! The values of one Arrow array, each exactly or refused. A null becomes a zero.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, GenericStringArray, OffsetSizeTrait};
use arrow_schema::{DataType as ArrowType, TimeUnit};

use super::At;
use crate::request::parse_timestamp;
use crate::schema::Scalar;

pub(super) fn floats(array: &dyn Array, out: &mut Vec<f64>) -> Result<(), At> {
    match array.data_type() {
        ArrowType::Float64 => {
            copied::<Float64Type>(array, out);
            Ok(())
        }
        ArrowType::Float32 => each::<Float32Type, _>(array, out, |value| Ok(f64::from(value))),
        _ => {
            let mut whole = Vec::new();
            integers(array, &mut whole).map_err(|fault| {
                if fault.0.is_none() {
                    unlike(array, Scalar::Float)
                } else {
                    fault
                }
            })?;
            for (at, value) in whole.into_iter().enumerate() {
                let float = value as f64;
                if float as i128 != i128::from(value) {
                    return Err((Some(at), format!("no f64 is exactly {value}")));
                }
                out.push(float);
            }
            Ok(())
        }
    }
}

pub(super) fn integers(array: &dyn Array, out: &mut Vec<i64>) -> Result<(), At> {
    match array.data_type() {
        ArrowType::Int64 => {
            copied::<Int64Type>(array, out);
            Ok(())
        }
        ArrowType::Int32 => each::<Int32Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::Int16 => each::<Int16Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::Int8 => each::<Int8Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::UInt64 => each::<UInt64Type, _>(array, out, |value| {
            i64::try_from(value).map_err(|_| format!("{value} is too large for an i64"))
        }),
        ArrowType::UInt32 => each::<UInt32Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::UInt16 => each::<UInt16Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::UInt8 => each::<UInt8Type, _>(array, out, |value| Ok(value.into())),
        ArrowType::Float64 => each::<Float64Type, _>(array, out, whole),
        ArrowType::Float32 => each::<Float32Type, _>(array, out, |value| whole(value.into())),
        _ => Err(unlike(array, Scalar::Integer)),
    }
}

/// A float that is an i64.
pub(in crate::offline) fn whole(value: f64) -> Result<i64, String> {
    // The bounds are exact doubles: -2^63 is an i64, 2^63 is the first that is none.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value) {
        Ok(value as i64)
    } else {
        Err(format!("{value} is no i64"))
    }
}

pub(super) fn timestamps(array: &dyn Array, out: &mut Vec<i64>) -> Result<(), At> {
    let scaled = |value: i64, micros: i64| {
        value
            .checked_mul(micros)
            .ok_or_else(|| format!("{value} is too large for a timestamp in microseconds"))
    };
    match array.data_type() {
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            copied::<TimestampMicrosecondType>(array, out);
            Ok(())
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => {
            each::<TimestampNanosecondType, _>(array, out, |value| Ok(value / 1000))
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            each::<TimestampMillisecondType, _>(array, out, |value| scaled(value, 1000))
        }
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            each::<TimestampSecondType, _>(array, out, |value| scaled(value, 1_000_000))
        }
        ArrowType::Date32 => {
            each::<Date32Type, _>(array, out, |days| scaled(days.into(), 86_400_000_000))
        }
        ArrowType::Date64 => each::<Date64Type, _>(array, out, |value| scaled(value, 1000)),
        _ => {
            for (at, text) in texts(array)
                .ok_or_else(|| unlike(array, Scalar::Timestamp))?
                .enumerate()
            {
                let micros = text
                    .map_or(Ok(0), parse_timestamp)
                    .map_err(|message| (Some(at), message))?;
                out.push(micros);
            }
            Ok(())
        }
    }
}

/// The values as they are, and a zero for each null.
fn copied<T: ArrowPrimitiveType>(array: &dyn Array, out: &mut Vec<T::Native>) {
    let start = out.len();
    out.extend_from_slice(array.as_primitive::<T>().values());
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        for (value, valid) in out[start..].iter_mut().zip(nulls.iter()) {
            if !valid {
                *value = T::Native::default();
            }
        }
    }
}

/// Converts each value, and puts a zero for each null.
fn each<T: ArrowPrimitiveType, O: Default>(
    array: &dyn Array,
    out: &mut Vec<O>,
    convert: impl Fn(T::Native) -> Result<O, String>,
) -> Result<(), At> {
    out.reserve(array.len());
    for (at, value) in array.as_primitive::<T>().iter().enumerate() {
        out.push(
            value
                .map_or(Ok(O::default()), &convert)
                .map_err(|message| (Some(at), message))?,
        );
    }
    Ok(())
}

/// The texts of an array, all of which have one, as their bytes and where each ends; none where it has another layout.
pub(super) fn whole_texts(array: &dyn Array) -> Option<(&[u8], Vec<usize>)> {
    if array.null_count() > 0 {
        return None;
    }
    fn cut<O: OffsetSizeTrait>(texts: &GenericStringArray<O>) -> (&[u8], Vec<usize>) {
        let offsets = texts.value_offsets();
        let first = offsets[0].as_usize();
        let ends = offsets[1..].iter().map(|end| end.as_usize() - first);
        let last = offsets[offsets.len() - 1].as_usize();
        (&texts.value_data()[first..last], ends.collect())
    }
    match array.data_type() {
        ArrowType::Utf8 => Some(cut(array.as_string::<i32>())),
        ArrowType::LargeUtf8 => Some(cut(array.as_string::<i64>())),
        _ => None,
    }
}

/// The texts of an array that holds such.
pub(super) fn texts(array: &dyn Array) -> Option<Box<dyn Iterator<Item = Option<&str>> + '_>> {
    Some(match array.data_type() {
        ArrowType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        ArrowType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
        ArrowType::Utf8View => Box::new(array.as_string_view().iter()),
        ArrowType::Dictionary(_, values) if !matches!(**values, ArrowType::Dictionary(..)) => {
            let dictionary = array.as_any_dictionary();
            let values: Vec<_> = texts(dictionary.values().as_ref())?.collect();
            if values.is_empty() {
                return Some(Box::new((0..array.len()).map(|_| None)));
            }
            let keys = dictionary.normalized_keys();
            Box::new((0..array.len()).map(move |at| {
                if array.is_null(at) {
                    None
                } else {
                    values[keys[at]]
                }
            }))
        }
        _ => return None,
    })
}

/// Whether a text is one JSON value.
pub(in crate::offline) fn is_json(text: &str) -> Result<(), String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(drop)
        .map_err(|error| format!("it is no JSON: {error}"))
}

/// A whole column of another type.
pub(super) fn unlike(array: &dyn Array, wanted: Scalar) -> At {
    (
        None,
        format!(
            "it is of type {} there, where {} belongs",
            array.data_type(),
            wanted.name()
        ),
    )
}
