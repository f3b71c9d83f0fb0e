//! A list of names as a person writes it: one name, or a list of them.
//!
//! For `#[serde(with = "crate::schema::names")]` on a field of type `Vec<String>`.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How such a field stands in the OpenAPI document.
pub(crate) struct Names;

impl utoipa::PartialSchema for Names {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let either = utoipa::openapi::OneOfBuilder::new();
        let either = either.item(<String as utoipa::PartialSchema>::schema());
        let many = <Vec<String> as utoipa::PartialSchema>::schema();
        either.item(many).into()
    }
}

impl utoipa::ToSchema for Names {}

pub fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match names {
        [one] => serializer.serialize_str(one),
        many => many.serialize(serializer),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name, or a list of names")
        }

        fn visit_str<E>(self, name: &str) -> Result<Vec<String>, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Vec<String>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(names))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}
