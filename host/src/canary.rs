//! Which entities a canary answers: a stable share of them, chosen by a hash of request fields.
//!
//! The hash is SHA-256 of the service's name and of each key field in order, each after a zero byte: text as it is, i64 in
//! decimal, a timestamp in decimal microseconds since 1970-01-01T00:00:00Z, a bool as `true` or `false`. Its first 53
//! bits, as a fraction of 2^53, are the entity's place from 0 up to 1; the canary has the places below its share. So an
//! entity stays on its side while the share does, and a larger share only adds entities. Whoever wants to know which
//! entities those are can compute it anywhere.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::block::Block;
use crate::error::{Error, Result, listed};
use crate::schema::{DataType, Scalar, Schema, Slot};

/// Another version that answers a share of the entities, as an alias' settings have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    pub version: u32,
    /// From 0 to 1, of the entities.
    #[schema(minimum = 0, maximum = 1)]
    pub share: f64,
    /// The request fields that say which entity a request is about.
    #[serde(with = "crate::schema::names")]
    #[schema(value_type = crate::schema::names::Names)]
    pub key: Vec<String>,
}

impl Canary {
    /// Whether it answers a request of this service. A request of several rows goes by its first, all of it; one whose key
    /// is null in part is about no entity, and not the canary's.
    pub fn answers(&self, service: &str, schema: &Schema, rows: &Block) -> bool {
        let mut hash = Sha256::new_with_prefix(service);
        let mut text = String::new();
        for name in &self.key {
            // Both schemas had it when it was set, and schemas do not change.
            let Some(at) = schema.position(name) else {
                return false;
            };
            let slot = schema.slot(at);
            if rows.rows() == 0 || !rows.is_valid(slot, 0) {
                return false;
            }
            hash.update([0]);
            text.clear();
            hash.update(value(schema.field(at).data_type, slot, rows, &mut text));
        }
        place(&hash.finalize().into()) < self.share
    }

    /// Whether the key is of fields that this request schema, that of service `id`, has and that can be hashed.
    pub fn check_key(&self, id: &str, schema: &Schema) -> Result<()> {
        let invalid = |message| Err(Error::invalid("canary.key", message));
        if self.key.is_empty() {
            return invalid(
                "name the request field, or fields, that say which entity it is".into(),
            );
        }
        for name in &self.key {
            let Some(at) = schema.position(name) else {
                let there = listed("field", &schema.names());
                return invalid(format!("a request to {id} has no \"{name}\"; {there}"));
            };
            let data_type = schema.field(at).data_type;
            if !can_be_key(data_type) {
                return invalid(format!(
                    "\"{name}\" of {id} is {data_type}; what names an entity is text, i64, bool or timestamp"
                ));
            }
        }
        Ok(())
    }
}

/// That it is from 0 to 1; `path` says where it stands.
pub(crate) fn check_share(path: String, share: f64) -> Result<()> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(()),
        false => {
            let message = format!("{share} is no share; it is from 0 to 1, 0.05 for 5 %");
            Err(Error::invalid(path, message))
        }
    }
}

fn can_be_key(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::One(Scalar::Text | Scalar::Integer | Scalar::Boolean | Scalar::Timestamp)
    )
}

/// The value of the first row, as it is hashed.
fn value<'a>(data_type: DataType, slot: Slot, rows: &'a Block, text: &'a mut String) -> &'a [u8] {
    match data_type.scalar() {
        Scalar::Text | Scalar::Json => return rows.text(slot, 0).as_bytes(),
        Scalar::Boolean => _ = write!(text, "{}", rows.boolean(slot, 0)),
        Scalar::Integer | Scalar::Timestamp => _ = write!(text, "{}", rows.integer(slot, 0)),
        Scalar::Float => {}
    }
    text.as_bytes()
}

/// The first 53 bits as a fraction: as many as a double holds exactly.
fn place(digest: &[u8; 32]) -> f64 {
    let first = digest[..8]
        .iter()
        .fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    (first >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::RowsBuilder;
    use crate::request::decode_row;

    fn schema() -> Schema {
        let field =
            |name, kind| serde_json::json!({ "name": name, "type": kind, "nullable": true });
        let fields = [
            field("customer", "text"),
            field("shop", "i64"),
            field("at", "timestamp"),
            field("new", "bool"),
            field("amount", "f64"),
            field("tags", "list<text>"),
        ];
        serde_json::from_value(fields.into_iter().collect()).unwrap()
    }

    fn rows(lines: &[&str]) -> Block {
        let schema = schema();
        let mut rows = RowsBuilder::new(&schema);
        for (line, json) in lines.iter().enumerate() {
            decode_row(&schema, json.as_bytes(), line, &mut rows).unwrap();
        }
        rows.finish()
    }

    fn canary(share: f64, key: &[&str]) -> Canary {
        Canary {
            version: 2,
            share,
            key: key.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn the_place_is_that_of_the_documented_hash() {
        // printf 'shop\0c-1\0-7\x001704067200000000\0true' | sha256sum
        let row = rows(&[
            r#"{"customer": "c-1", "shop": -7, "at": "2024-01-01T00:00:00Z", "new": true}"#,
        ]);
        // 56830a7b924a381f…, of which the first 53 bits.
        let exact = (0x5683_0a7b_924a_381f_u64 >> 11) as f64 / (1u64 << 53) as f64;
        assert_eq!(exact, 0.337_937_026_184_854_33);
        let key = ["customer", "shop", "at", "new"];
        assert!(!canary(exact, &key).answers("shop", &schema(), &row));
        assert!(canary(exact.next_up(), &key).answers("shop", &schema(), &row));
        assert!(!canary(0.0, &key).answers("shop", &schema(), &row));
        assert!(canary(1.0, &key).answers("shop", &schema(), &row));
    }

    #[test]
    fn places_lie_from_zero_up_to_one() {
        assert_eq!(place(&[0; 32]), 0.0);
        assert!(place(&[255; 32]) < 1.0);
        assert_eq!(place(&[128; 32]), 0.501_960_784_313_725_5);
    }

    #[test]
    fn a_request_goes_by_its_first_row_and_without_an_entity_stays() {
        let all = canary(1.0, &["customer"]);
        let given = r#"{"customer": "c-1"}"#;
        assert!(all.answers("shop", &schema(), &rows(&[given, "{}"])));
        assert!(!all.answers("shop", &schema(), &rows(&["{}", given])));
        let both = canary(1.0, &["customer", "shop"]);
        assert!(!both.answers("shop", &schema(), &rows(&[given])));
    }

    #[test]
    fn a_share_and_a_key_are_checked() {
        let refused = |key: &[&str]| {
            let outcome = canary(0.5, key).check_key("shop@2", &schema());
            outcome.unwrap_err().to_string()
        };
        assert!(
            canary(0.5, &["customer", "at"])
                .check_key("shop@2", &schema())
                .is_ok()
        );
        assert!(refused(&[]).starts_with("canary.key: name the request field"));
        assert_eq!(
            refused(&["client"]),
            "canary.key: a request to shop@2 has no \"client\"; there are customer, shop, at, new, amount and tags"
        );
        assert_eq!(
            refused(&["amount"]),
            "canary.key: \"amount\" of shop@2 is f64; what names an entity is text, i64, bool or timestamp"
        );
        assert!(refused(&["tags"]).contains("is list<text>"));
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(check_share("canary.share".into(), share).is_err());
        }
    }
}
