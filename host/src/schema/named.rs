//! A schema as a person writes it: a table of names, in order, each with its type or with more to say.
//!
//! ```toml
//! [columns]
//! origin = "text"
//! temp = { type = "f64", nullable = true, doc = "Fahrenheit", minimum = -100, maximum = 150 }
//! ```
//!
//! For `#[serde(with = "crate::schema::named")]` on a field of type [`Schema`].

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DataType, Field, Scalar, Schema};

/// A column without its name, which stands before it.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ColumnTable)]
pub(crate) struct Column {
    #[serde(rename = "type")]
    data_type: DataType,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    nullable: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    doc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minimum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<serde_json::Value>,
}

/// A column as it stands in the file: `"text"` or `{ type = "text", … }`.
pub(crate) struct Written(Column);

impl utoipa::PartialSchema for Written {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let either = utoipa::openapi::OneOfBuilder::new();
        let either = either.item(<DataType as utoipa::PartialSchema>::schema());
        either
            .item(<Column as utoipa::PartialSchema>::schema())
            .into()
    }
}

impl utoipa::ToSchema for Written {
    fn name() -> Cow<'static, str> {
        "Column".into()
    }
}

pub fn serialize<S: Serializer>(schema: &Schema, serializer: S) -> Result<S::Ok, S::Error> {
    // TOML writes the plain values of a table before its tables: with some of each, the order would change.
    let plain = schema.fields().iter().all(|field| {
        !field.nullable
            && field.doc.is_empty()
            && field.minimum.is_none()
            && field.maximum.is_none()
            && field.default.is_none()
    });
    let mut map = serializer.serialize_map(Some(schema.len()))?;
    for field in schema.fields() {
        if plain {
            map.serialize_entry(&field.name, &field.data_type)?;
        } else {
            let column = Column {
                data_type: field.data_type,
                nullable: field.nullable,
                doc: field.doc.clone(),
                minimum: field.minimum,
                maximum: field.maximum,
                default: field.default.clone(),
            };
            map.serialize_entry(&field.name, &column)?;
        }
    }
    map.end()
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schema, D::Error> {
    deserializer.deserialize_map(Table)
}

struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = Schema;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names and types")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Schema, A::Error> {
        let mut fields: Vec<Field> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if fields.iter().any(|field| field.name == name) {
                return Err(A::Error::custom(format!("\"{name}\" is there twice")));
            }
            let Written(column) = map.next_value()?;
            fields.push(Field {
                name,
                data_type: column.data_type,
                nullable: column.nullable,
                doc: column.doc,
                minimum: column.minimum,
                maximum: column.maximum,
                default: column.default,
            });
        }
        Ok(Schema::new(fields))
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type such as \"f64\", or a table such as { type = \"f64\", nullable = true }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Written, E> {
                let data_type =
                    DataType::deserialize(serde::de::value::StrDeserializer::new(text))?;
                let (nullable, doc, minimum, maximum) = (false, String::new(), None, None);
                Ok(Written(Column {
                    data_type,
                    nullable,
                    doc,
                    minimum,
                    maximum,
                    default: None,
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Column::deserialize(MapAccessDeserializer::new(map)).map(Written)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Whether a person's schema makes sense; else what is wrong with it. Column names may not hold a dot: `plane.year` is
/// the column `year` of `plane`.
pub fn check(schema: &Schema) -> Result<(), String> {
    for (at, field) in schema.fields().iter().enumerate() {
        let name = &field.name;
        let good = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 128 || !name.chars().all(good) {
            return Err(format!(
                "column \"{name}\" has a name that is not of 1 to 128 letters, digits, underscores and hyphens"
            ));
        }
        if schema.fields()[..at]
            .iter()
            .any(|before| before.name == *name)
        {
            return Err(format!("column \"{name}\" is there twice"));
        }
        let ranged = field.minimum.is_some() || field.maximum.is_some();
        if ranged && !matches!(field.data_type.scalar(), Scalar::Float | Scalar::Integer) {
            return Err(format!(
                "column \"{name}\" is of type {}, which has no minimum or maximum",
                field.data_type
            ));
        }
        let (low, high) = (
            field.minimum.unwrap_or(f64::NEG_INFINITY),
            field.maximum.unwrap_or(f64::INFINITY),
        );
        if low.is_nan() || high.is_nan() || low > high {
            return Err(format!(
                "column \"{name}\" has a range from {low} to {high}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        #[serde(with = "super")]
        columns: Schema,
    }

    const WRITTEN: &str = r#"
        [columns]
        zulu = "text"
        alpha = { type = "list<f64>", nullable = true, doc = "d", minimum = 0, maximum = 1.5 }
        mike = "timestamp"
        [columns.bravo]
        type = "i64"
    "#;

    #[test]
    fn the_order_is_that_of_the_file_there_and_back() {
        let file: File = toml::from_str(WRITTEN).unwrap();
        assert_eq!(file.columns.names(), ["zulu", "alpha", "mike", "bravo"]);
        assert_eq!(file.columns.field(1).maximum, Some(1.5));
        assert!(file.columns.field(1).nullable && !file.columns.field(0).nullable);
        assert_eq!(check(&file.columns), Ok(()));

        let text = toml::to_string(&file).unwrap();
        assert_eq!(toml::from_str::<File>(&text).unwrap(), file, "{text}");
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<File>(&json).unwrap(), file, "{json}");
    }

    #[test]
    fn plain_columns_are_written_plainly() {
        let json = r#"{"columns":{"b":"text","a":"list<i64>"}}"#;
        let file: File = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&file).unwrap(), json);
    }

    #[test]
    fn each_refusal() {
        let refusal = |text: &str| match serde_json::from_str::<File>(text) {
            Ok(file) => check(&file.columns).unwrap_err(),
            Err(error) => error.to_string(),
        };
        for (text, expected) in [
            (r#"{"columns":{"a":"float"}}"#, "no type \"float\""),
            (
                r#"{"columns":{"a":{"nullable":true}}}"#,
                "missing field `type`",
            ),
            (
                r#"{"columns":{"a":{"type":"f64","null":true}}}"#,
                "unknown field `null`",
            ),
            (r#"{"columns":{"a":7}}"#, "expected a type such as"),
            (
                r#"{"columns":{"a":"f64","a":"i64"}}"#,
                "\"a\" is there twice",
            ),
            (r#"{"columns":{"a.b":"f64"}}"#, "column \"a.b\" has a name"),
            (
                r#"{"columns":{"a":{"type":"text","minimum":1}}}"#,
                "has no minimum",
            ),
            (
                r#"{"columns":{"a":{"type":"f64","minimum":2,"maximum":1}}}"#,
                "from 2 to 1",
            ),
        ] {
            let message = refusal(text);
            assert!(message.contains(expected), "{message}");
        }
    }
}
