//! A value written as plain text, as in a cell of a CSV file or behind a `--key` on the command line.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::convert::{is_json, whole};
use crate::block::RowsBuilder;
use crate::request::parse_timestamp;
use crate::schema::{Field, Scalar, Slot};

/// Sets the field in the builder's current row. Empty text is null. bool is `true` or `false` in any case, a timestamp is
/// RFC 3339, a list is a JSON array; an i64 may be written as a whole float (`4.0`).
pub fn set(field: &Field, slot: Slot, text: &str, rows: &mut RowsBuilder) -> Result<(), String> {
    if text.is_empty() {
        return if field.nullable {
            Ok(())
        } else {
            Err("it is empty, and may not be null".to_owned())
        };
    }
    let scalar = field.data_type.scalar();
    if slot.many {
        return set_list(field, scalar, slot, text, rows);
    }
    match scalar {
        Scalar::Boolean if text.eq_ignore_ascii_case("true") => rows.set_boolean(slot, true),
        Scalar::Boolean if text.eq_ignore_ascii_case("false") => rows.set_boolean(slot, false),
        Scalar::Boolean => return Err(unlike(text, scalar)),
        Scalar::Integer => {
            // The range is asked of the double nearest, as it is of requests.
            let value = integer(text).ok_or_else(|| unlike(text, scalar))?;
            rows.set_integer(slot, in_range(field, value as f64).map(|()| value)?);
        }
        Scalar::Float => {
            let value = text.trim().parse().map_err(|_| unlike(text, scalar))?;
            rows.set_float(slot, in_range(field, value).map(|()| value)?);
        }
        Scalar::Text => rows.set_text(slot, text),
        Scalar::Timestamp => rows.set_integer(slot, parse_timestamp(text)?),
        Scalar::Json => rows.set_text(slot, is_json(text).map(|()| text)?),
    }
    Ok(())
}

fn set_list(
    field: &Field,
    scalar: Scalar,
    slot: Slot,
    text: &str,
    rows: &mut RowsBuilder,
) -> Result<(), String> {
    rows.begin_list(slot);
    match scalar {
        Scalar::Boolean => items::<bool>(text, scalar)?
            .into_iter()
            .for_each(|item| rows.push_boolean(item)),
        Scalar::Integer => {
            for item in items::<i64>(text, scalar)? {
                rows.push_integer(in_range(field, item as f64).map(|()| item)?);
            }
        }
        Scalar::Float => {
            for item in items::<f64>(text, scalar)? {
                rows.push_float(in_range(field, item).map(|()| item)?);
            }
        }
        Scalar::Text => items::<String>(text, scalar)?
            .iter()
            .for_each(|item| rows.push_text(item)),
        Scalar::Timestamp => {
            for item in items::<String>(text, scalar)? {
                rows.push_integer(parse_timestamp(&item)?);
            }
        }
        Scalar::Json => items::<Box<RawValue>>(text, scalar)?
            .iter()
            .for_each(|item| rows.push_text(item.get())),
    }
    rows.end_list(slot);
    Ok(())
}

fn items<T: DeserializeOwned>(text: &str, scalar: Scalar) -> Result<Vec<T>, String> {
    serde_json::from_str(text).map_err(|error| {
        format!(
            "\"{text}\" is no list<{}> such as a JSON array of them: {error}",
            scalar.name()
        )
    })
}

fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    // Tables with holes are often written with every integer as a float.
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().and_then(|float| whole(float).ok()))
}

fn in_range(field: &Field, value: f64) -> Result<(), String> {
    match field.allows(value) {
        true => Ok(()),
        false => Err(format!(
            "{value} is outside its range {}",
            field.range_text()
        )),
    }
}

fn unlike(text: &str, scalar: Scalar) -> String {
    format!("\"{text}\" stands where {} belongs", scalar.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::samples::schema;
    use crate::offline::json::write_row;
    use crate::schema::Schema;

    fn read(data_type: &str, text: &str) -> Result<String, String> {
        let mut field = schema(&[("a", data_type, true)]).field(0).clone();
        if matches!(field.data_type.scalar(), Scalar::Integer | Scalar::Float) {
            field.maximum = Some(1e16);
        }
        let schema = Schema::new(vec![field]);
        let mut rows = RowsBuilder::new(&schema);
        rows.begin_row();
        set(schema.field(0), schema.slot(0), text, &mut rows)?;
        let mut out = Vec::new();
        write_row(&rows.finish(), &schema, 0, &mut out);
        let text = String::from_utf8(out).unwrap();
        Ok(text
            .strip_prefix("{\"a\":")
            .unwrap()
            .strip_suffix('}')
            .unwrap()
            .to_owned())
    }

    #[test]
    fn each_type() {
        for (data_type, text, expected) in [
            ("bool", "TRUE", "true"),
            ("bool", "", "null"),
            ("i64", " -7 ", "-7"),
            ("i64", "4.0", "4"),
            ("i64", "9007199254740993", "9007199254740993"),
            ("f64", "1e-3", "0.001"),
            ("text", "a\"b", r#""a\"b""#),
            (
                "timestamp",
                "2013-01-01T10:00:00+01:00",
                "\"2013-01-01T09:00:00Z\"",
            ),
            ("json", "{\"b\": 1}", "{\"b\": 1}"),
            ("list<f64>", "[1, 2.5]", "[1.0,2.5]"),
            ("list<text>", "[\"a\"]", "[\"a\"]"),
            ("list<bool>", "[]", "[]"),
            ("list<json>", "[{}, 1]", "[{},1]"),
            (
                "list<timestamp>",
                "[\"1970-01-01T00:00:00Z\"]",
                "[\"1970-01-01T00:00:00Z\"]",
            ),
        ] {
            assert_eq!(
                read(data_type, text).as_deref(),
                Ok(expected),
                "{data_type} {text}"
            );
        }
    }

    #[test]
    fn each_refusal() {
        for (data_type, text, expected) in [
            ("bool", "yes", "\"yes\" stands where bool belongs"),
            ("i64", "4.5", "\"4.5\" stands where i64 belongs"),
            ("i64", "NA", "\"NA\" stands where i64 belongs"),
            (
                "i64",
                "10000000000000002",
                "outside its range -inf to 10000000000000000",
            ),
            ("f64", "1,5", "\"1,5\" stands where f64 belongs"),
            ("timestamp", "2013-01-01", "RFC 3339"),
            ("json", "{", "it is no JSON"),
            (
                "list<i64>",
                "[1, null]",
                "is no list<i64> such as a JSON array",
            ),
            ("list<f64>", "[1e17]", "outside its range"),
            (
                "f64",
                "NaN",
                "NaN is outside its range -inf to 10000000000000000",
            ),
        ] {
            let message = read(data_type, text).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
