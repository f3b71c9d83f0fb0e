//! A row as a JSON object.
//!
//! A timestamp is RFC 3339 text in UTC with as many digits of a second as it needs; before the year 0 and from
//! 9999-12-30T22:00:00Z on, where no such text can be read back, it is the number of microseconds since 1970. A float is
//! the shortest text that reads back as the same double; NaN and the infinities, for which JSON has no word, are null.
//! A json value stands as it is, on one line.

use std::io::Write as _;

use crate::block::Block;
use crate::offline::convert::is_json;
use crate::schema::{Field, Scalar, Schema, Slot};

/// Appends `{"name":value,…}` to `out`, the fields in the order of the schema.
pub fn write_row(block: &Block, schema: &Schema, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (field, &slot)) in schema.fields().iter().zip(schema.slots()).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(&field.name, out);
        out.push(b':');
        write_value(block, field, slot, row, out);
    }
    out.push(b'}');
}

/// Appends the value of one field: null, one value, or an array of them.
pub fn write_value(block: &Block, field: &Field, slot: Slot, row: usize, out: &mut Vec<u8>) {
    let scalar = field.data_type.scalar();
    if !block.is_valid(slot, row) {
        out.extend_from_slice(b"null");
    } else if slot.many {
        out.push(b'[');
        for (at, item) in block.items(slot, row).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_item(block, scalar, item, out);
        }
        out.push(b']');
    } else {
        write_item(block, scalar, slot.index * block.rows() + row, out);
    }
}

/// Appends a timestamp in µs as JSON: `"2013-01-01T10:00:00Z"`.
pub fn write_timestamp(micros: i64, out: &mut Vec<u8>) {
    // jiff ends 26 hours before the year 10000, and this is where the year 0 begins: RFC 3339 knows none below it.
    const FIRST: i64 = -62_167_219_200_000_000;
    let time = jiff::Timestamp::from_microsecond(micros)
        .ok()
        .filter(|_| micros >= FIRST);
    // Writing to a vector cannot fail.
    let _ = match time {
        Some(time) => write!(out, "\"{time}\""),
        None => write!(out, "{micros}"),
    };
}

/// Appends a float; null where it is not finite.
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, &value);
}

/// Appends a text, quoted and escaped.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

/// The value at `index` of the scalar's pool.
fn write_item(block: &Block, scalar: Scalar, index: usize, out: &mut Vec<u8>) {
    match scalar {
        Scalar::Boolean => out.extend_from_slice(if block.boolean_item(index) {
            b"true"
        } else {
            b"false"
        }),
        Scalar::Integer => out.extend_from_slice(
            itoa::Buffer::new()
                .format(block.integer_item(index))
                .as_bytes(),
        ),
        Scalar::Float => write_float(block.float_item(index), out),
        Scalar::Text => write_text(block.text_at(index), out),
        Scalar::Timestamp => write_timestamp(block.integer_item(index), out),
        Scalar::Json => {
            let text = block.text_at(index);
            match is_json(text) {
                // A line break between JSON's tokens would end a line of NDJSON; within a string there can be none.
                Ok(()) => out.extend(text.bytes().map(|byte| {
                    if matches!(byte, b'\n' | b'\r') {
                        b' '
                    } else {
                        byte
                    }
                })),
                // A transform may have answered anything.
                Err(_) => write_text(text, out),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::RowsBuilder;
    use crate::block::samples::{any_block, every_type, schema};
    use crate::request::decode_row;

    fn value(data_type: &str, set: impl Fn(&mut RowsBuilder, Slot)) -> String {
        let schema = schema(&[("a \"b\"", data_type, true)]);
        let mut rows = RowsBuilder::new(&schema);
        rows.begin_row();
        set(&mut rows, schema.slot(0));
        let mut out = Vec::new();
        write_row(&rows.finish(), &schema, 0, &mut out);
        let text = String::from_utf8(out).unwrap();
        text.strip_prefix(r#"{"a \"b\"":"#)
            .unwrap()
            .strip_suffix('}')
            .unwrap()
            .to_owned()
    }

    #[test]
    fn each_type() {
        let float = |value_: f64| value("f64", move |rows, slot| rows.set_float(slot, value_));
        let time = |micros: i64| {
            value("timestamp", move |rows, slot| {
                rows.set_integer(slot, micros)
            })
        };
        let json = |text: &str| value("json", |rows, slot| rows.set_text(slot, text));
        let list = value("list<timestamp>", |rows, slot| {
            rows.begin_list(slot);
            rows.push_integer(0);
            rows.push_integer(-1);
            rows.end_list(slot);
        });
        for (found, expected) in [
            (value("f64", |_, _| ()), "null"),
            (value("list<f64>", |_, _| ()), "null"),
            (value("list<f64>", |rows, slot| rows.begin_list(slot)), "[]"),
            (float(0.1 + 0.2), "0.30000000000000004"),
            (float(-0.0), "-0.0"),
            (float(5e-324), "5e-324"),
            (float(f64::NAN), "null"),
            (float(f64::NEG_INFINITY), "null"),
            (
                value("i64", |rows, slot| rows.set_integer(slot, i64::MIN)),
                "-9223372036854775808",
            ),
            (
                value("bool", |rows, slot| rows.set_boolean(slot, true)),
                "true",
            ),
            (
                value("text", |rows, slot| rows.set_text(slot, "a\n\u{1}\"é")),
                r#""a\n\u0001\"é""#,
            ),
            (time(1_357_035_300_000_000), "\"2013-01-01T10:15:00Z\""),
            (time(1_357_035_300_000_100), "\"2013-01-01T10:15:00.0001Z\""),
            (time(253_402_207_199_000_000), "\"9999-12-30T21:59:59Z\""),
            (time(253_402_207_201_000_000), "253402207201000000"),
            (time(-62_167_219_200_000_000), "\"0000-01-01T00:00:00Z\""),
            (time(i64::MIN), "-9223372036854775808"),
            (
                list,
                "[\"1970-01-01T00:00:00Z\",\"1969-12-31T23:59:59.999999Z\"]",
            ),
            (json("{\"a\":\n[1, 2.0]}"), "{\"a\": [1, 2.0]}"),
            (json("{"), "\"{\""),
        ] {
            assert_eq!(found, expected);
        }
    }

    proptest! {
        /// What is written reads back the same, but for what JSON cannot say: NaN, infinities, times far away.
        #[test]
        fn rows_read_back(mut block in any_block(every_type(), 4)) {
            let schema = every_type();
            block.floats.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.1);
            block.integers.iter_mut().for_each(|value| *value /= 150);
            let mut rows = RowsBuilder::new(&schema);
            for row in 0..block.rows() {
                let mut out = Vec::new();
                write_row(&block, &schema, row, &mut out);
                prop_assert!(!out.contains(&b'\n'));
                decode_row(&schema, &out, row + 1, &mut rows).unwrap();
            }
            prop_assert_eq!(rows.finish().first_difference(&block, &schema), None);
        }
    }
}
