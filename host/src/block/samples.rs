//! Schemas and blocks for tests.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Block, RowsBuilder};
use crate::schema::{DataType, Field, Pool, Scalar, Schema};

/// Columns of a name, a type as in a service file, and whether they may be null.
pub(crate) fn schema(columns: &[(&str, &str, bool)]) -> Schema {
    let field = |(name, data_type, nullable): &(&str, &str, bool)| {
        Field::new(*name, DataType::parse(data_type).unwrap(), *nullable)
    };
    Schema::new(columns.iter().map(field).collect())
}

/// Each type, and lists of it, nullable and not.
pub(crate) fn every_type() -> Schema {
    let mut columns = Vec::new();
    for data_type in ["f64", "i64", "bool", "text", "timestamp", "json"] {
        for data_type in [data_type.to_owned(), format!("list<{data_type}>")] {
            for nullable in [false, true] {
                columns.push((format!("c{}", columns.len()), data_type.clone(), nullable));
            }
        }
    }
    let columns: Vec<_> = columns
        .iter()
        .map(|(n, t, nullable)| (n.as_str(), t.as_str(), *nullable))
        .collect();
    schema(&columns)
}

/// Blocks of 1 to `rows` rows: any bits, any text, short lists, nulls.
pub(crate) fn any_block(schema: Schema, rows: usize) -> impl Strategy<Value = Block> {
    let cell = (
        any::<u64>(),
        "[a-zé\"\\\\\n]{0,8}",
        vec((any::<u64>(), "[a-zé]{0,3}"), 0..4),
        any::<bool>(),
    );
    vec(vec(cell, schema.len()), 1..=rows).prop_map(move |cells| {
        let mut builder = RowsBuilder::new(&schema);
        for row in &cells {
            builder.begin_row();
            for (((bits, text, items, null), &slot), field) in
                row.iter().zip(schema.slots()).zip(schema.fields())
            {
                if *null && slot.validity.is_some() {
                    continue;
                }
                if slot.many {
                    builder.begin_list(slot);
                    for (bits, text) in items {
                        match slot.pool {
                            Pool::Floats => builder.push_float(f64::from_bits(*bits)),
                            Pool::Integers => builder.push_integer(*bits as i64),
                            Pool::Booleans => builder.push_boolean(bits % 2 == 0),
                            Pool::Text if field.data_type.scalar() == Scalar::Json => {
                                builder.push_text(&quoted(text))
                            }
                            Pool::Text => builder.push_text(text),
                        }
                    }
                    builder.end_list(slot);
                } else {
                    match slot.pool {
                        Pool::Floats => builder.set_float(slot, f64::from_bits(*bits)),
                        Pool::Integers => builder.set_integer(slot, *bits as i64),
                        Pool::Booleans => builder.set_boolean(slot, bits % 2 == 0),
                        Pool::Text if field.data_type.scalar() == Scalar::Json => {
                            builder.set_text(slot, &quoted(text))
                        }
                        Pool::Text => builder.set_text(slot, text),
                    }
                }
            }
        }
        builder.finish()
    })
}

/// A JSON value of a text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
