//! What a service answers beside the score.

use std::fmt;

use indexmap::IndexMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Place;
use crate::block::Block;
use crate::schema::{DataType, Schema};

/// `[output]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputDefinition {
    /// What the score is: one of the model's outputs (`probabilities[1]`, or `variable` where it has one column), or a
    /// column (`calibrated.probability`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// Further fields of the answer: name = where it comes from.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, OutputField>)]
    pub fields: IndexMap<String, OutputField>,
}

/// `"decide.reason"`, or `{ from = "decide.reason", type = "text", nullable = false }`: then the column must be so.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputField {
    pub from: String,
    pub data_type: Option<DataType>,
    pub nullable: Option<bool>,
}

/// The fields of an answer, with every name resolved.
pub struct Output {
    pub schema: Schema,
    pub places: Vec<Place>,
}

/// An answer that is declared rather than computed.
#[derive(Debug)]
pub struct DeclaredAnswer {
    pub score: Option<f64>,
    /// One row of the service's output fields; none where it has none.
    pub output: Option<Block>,
}

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OutputFieldTable)]
struct Written {
    from: String,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    data_type: Option<DataType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nullable: Option<bool>,
}

impl utoipa::PartialSchema for OutputField {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let either = utoipa::openapi::OneOfBuilder::new();
        let either = either.item(<String as utoipa::PartialSchema>::schema());
        either
            .item(<Written as utoipa::PartialSchema>::schema())
            .into()
    }
}

impl utoipa::ToSchema for OutputField {}

impl Serialize for OutputField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if (self.data_type, self.nullable) == (None, None) {
            return serializer.serialize_str(&self.from);
        }
        Written {
            from: self.from.clone(),
            data_type: self.data_type,
            nullable: self.nullable,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OutputField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OutputField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column such as \"decide.reason\", or a table such as { from = \"decide.reason\", type = \"text\" }")
            }

            fn visit_str<E>(self, text: &str) -> Result<OutputField, E> {
                Ok(OutputField {
                    from: text.to_owned(),
                    data_type: None,
                    nullable: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OutputField, A::Error> {
                let written = Written::deserialize(MapAccessDeserializer::new(map))?;
                Ok(OutputField {
                    from: written.from,
                    data_type: written.data_type,
                    nullable: written.nullable,
                })
            }
        }

        deserializer.deserialize_any(Either)
    }
}
