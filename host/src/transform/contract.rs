//! `wit/transform.wit` as Rust types: what crosses the boundary, and nothing else.
//!
//! Written by hand rather than by `bindgen!`, so that a block's columns are borrowed on the way in and owned on the way
//! out, and so that the whole contract can be read here. The types are checked against every component when it is
//! loaded.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::block::{Block, Parts};
use crate::schema::{DataType, Field, Scalar};

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "made by lifting, which casts from the discriminant"
)]
pub(super) enum WireScalar {
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "integer")]
    Integer,
    #[component(name = "float")]
    Float,
    #[component(name = "text")]
    Text,
    #[component(name = "timestamp")]
    Timestamp,
    #[component(name = "json")]
    Json,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(variant)]
pub(super) enum WireType {
    #[component(name = "one")]
    One(WireScalar),
    #[component(name = "many")]
    Many(WireScalar),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct WireField {
    name: String,
    #[component(name = "data-type")]
    data_type: WireType,
    nullable: bool,
    doc: String,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct WireDescription {
    pub name: String,
    pub version: String,
    pub doc: String,
    pub inputs: Vec<WireField>,
    pub outputs: Vec<WireField>,
    pub provenance: Vec<(String, String)>,
}

/// A block on its way in. Its columns are copied once, from here into the guest's memory.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct BlockIn<'a> {
    rows: u32,
    floats: &'a [f64],
    integers: &'a [i64],
    booleans: &'a [u8],
    text: &'a [u8],
    #[component(name = "text-ends")]
    text_ends: &'a [u32],
    #[component(name = "list-offsets")]
    list_offsets: &'a [u32],
    validity: &'a [u8],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct BlockOut {
    rows: u32,
    floats: Vec<f64>,
    integers: Vec<i64>,
    booleans: Vec<u8>,
    text: Vec<u8>,
    #[component(name = "text-ends")]
    text_ends: Vec<u32>,
    #[component(name = "list-offsets")]
    list_offsets: Vec<u32>,
    validity: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct WireRefusal {
    pub row: u32,
    pub message: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct WireAnswer {
    pub rows: BlockOut,
    pub refusals: Vec<WireRefusal>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct WireFailure {
    pub message: String,
}

/// What `describe` answers.
pub(super) type Described = (WireDescription,);
/// What `transform` takes.
pub(super) type Asked<'a> = (BlockIn<'a>,);
/// What `transform` answers.
pub(super) type Answered = (Result<WireAnswer, WireFailure>,);

impl<'a> From<&'a Block> for BlockIn<'a> {
    fn from(block: &'a Block) -> BlockIn<'a> {
        BlockIn {
            rows: block.rows as u32,
            floats: &block.floats,
            integers: &block.integers,
            booleans: &block.booleans,
            text: block.text.as_bytes(),
            text_ends: &block.text_ends,
            list_offsets: &block.list_offsets,
            validity: &block.validity,
        }
    }
}

impl From<BlockOut> for Parts {
    fn from(block: BlockOut) -> Parts {
        Parts {
            rows: block.rows as usize,
            floats: block.floats,
            integers: block.integers,
            booleans: block.booleans,
            text: block.text,
            text_ends: block.text_ends,
            list_offsets: block.list_offsets,
            validity: block.validity,
        }
    }
}

impl From<WireScalar> for Scalar {
    fn from(scalar: WireScalar) -> Scalar {
        match scalar {
            WireScalar::Boolean => Scalar::Boolean,
            WireScalar::Integer => Scalar::Integer,
            WireScalar::Float => Scalar::Float,
            WireScalar::Text => Scalar::Text,
            WireScalar::Timestamp => Scalar::Timestamp,
            WireScalar::Json => Scalar::Json,
        }
    }
}

impl From<WireField> for Field {
    fn from(field: WireField) -> Field {
        Field {
            name: field.name,
            data_type: match field.data_type {
                WireType::One(scalar) => DataType::One(scalar.into()),
                WireType::Many(scalar) => DataType::Many(scalar.into()),
            },
            nullable: field.nullable,
            doc: field.doc,
            minimum: field.minimum,
            maximum: field.maximum,
            default: None,
        }
    }
}
