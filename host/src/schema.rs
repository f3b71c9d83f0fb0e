//! The names and types of columns, and where each column lies in a [`Block`](crate::block::Block).

pub mod named;
pub(crate) mod names;

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    Boolean,
    Integer,
    Float,
    Text,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// Text that holds one JSON value.
    Json,
}

/// A column holds one value a row, or a list of values a row. Items of a list are never null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    One(Scalar),
    Many(Scalar),
}

/// The physical home of a value in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    Floats,
    Integers,
    Booleans,
    Text,
}

/// One named, typed column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: DataType,
    #[serde(default)]
    pub nullable: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// Smallest value a number may have, included. With either end there is a range, and NaN lies in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest value a number may have, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Of a request field: its value where the caller leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
}

/// Where a column lies in a block: see `wit/transform.wit` for the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub pool: Pool,
    /// For one value a row: which of the pool's columns. For a list: which of the block's list columns.
    pub index: usize,
    pub many: bool,
    /// Which of the nullable columns, if it is one.
    pub validity: Option<usize>,
}

/// How many columns of each kind a block of this schema has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub floats: usize,
    pub integers: usize,
    pub booleans: usize,
    pub texts: usize,
    pub lists: usize,
    pub nullables: usize,
}

/// Fields in order, with the slot of each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fields: Vec<Field>,
    slots: Vec<Slot>,
    layout: Layout,
}

impl Scalar {
    pub const ALL: [Scalar; 6] = [
        Scalar::Boolean,
        Scalar::Integer,
        Scalar::Float,
        Scalar::Text,
        Scalar::Timestamp,
        Scalar::Json,
    ];

    /// The name in service files, view definitions and messages.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::Boolean => "bool",
            Scalar::Integer => "i64",
            Scalar::Float => "f64",
            Scalar::Text => "text",
            Scalar::Timestamp => "timestamp",
            Scalar::Json => "json",
        }
    }

    pub fn pool(self) -> Pool {
        match self {
            Scalar::Boolean => Pool::Booleans,
            Scalar::Integer | Scalar::Timestamp => Pool::Integers,
            Scalar::Float => Pool::Floats,
            Scalar::Text | Scalar::Json => Pool::Text,
        }
    }
}

impl DataType {
    pub fn scalar(self) -> Scalar {
        match self {
            DataType::One(scalar) | DataType::Many(scalar) => scalar,
        }
    }

    pub fn is_many(self) -> bool {
        matches!(self, DataType::Many(_))
    }

    /// Reads `f64` or `list<f64>`.
    pub fn parse(text: &str) -> Option<DataType> {
        let scalar = |name: &str| Scalar::ALL.into_iter().find(|s| s.name() == name);
        match text
            .strip_prefix("list<")
            .and_then(|rest| rest.strip_suffix('>'))
        {
            Some(item) => scalar(item).map(DataType::Many),
            None => scalar(text).map(DataType::One),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::One(scalar) => f.write_str(scalar.name()),
            DataType::Many(scalar) => write!(f, "list<{}>", scalar.name()),
        }
    }
}

impl Serialize for DataType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DataType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        DataType::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "no type \"{text}\"; there are bool, i64, f64, text, timestamp, json and list<…> of each"
            ))
        })
    }
}

impl Field {
    /// Any value of its type, and null where it is `nullable`.
    pub fn new(name: impl Into<String>, data_type: DataType, nullable: bool) -> Field {
        Field {
            name: name.into(),
            data_type,
            nullable,
            doc: String::new(),
            minimum: None,
            maximum: None,
            default: None,
        }
    }

    /// Whether it promises a range.
    pub fn is_ranged(&self) -> bool {
        self.minimum.is_some() || self.maximum.is_some()
    }

    /// Whether a number is within the promised range, if there is one. NaN is within none, as an input and as an output.
    pub fn allows(&self, value: f64) -> bool {
        !self.is_ranged()
            || (self.minimum.is_none_or(|low| value >= low)
                && self.maximum.is_none_or(|high| value <= high)
                && !value.is_nan())
    }

    /// Says of a value that the range does not allow, where it should lie.
    pub fn range_text(&self) -> String {
        match (self.minimum, self.maximum) {
            (Some(low), Some(high)) => format!("{low} to {high}"),
            (Some(low), None) => format!("{low} to inf"),
            (None, Some(high)) => format!("-inf to {high}"),
            (None, None) => "of any number".to_owned(),
        }
    }
}

/// Text, one of the names there are.
impl utoipa::PartialSchema for DataType {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let one = Scalar::ALL.map(DataType::One).into_iter();
        let all = one.chain(Scalar::ALL.map(DataType::Many));
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
        text.enum_values(Some(all.map(|data_type| data_type.to_string())))
            .into()
    }
}

impl utoipa::ToSchema for DataType {}

impl Schema {
    /// The same fields, each of which may be null and anything of its type.
    pub fn opened(&self) -> Schema {
        let fields = self.fields().iter().map(|field| Field {
            nullable: true,
            minimum: None,
            maximum: None,
            ..field.clone()
        });
        Schema::new(fields.collect())
    }

    pub fn new(fields: Vec<Field>) -> Schema {
        let mut layout = Layout::default();
        let slots = fields.iter().map(|field| layout.place(field)).collect();
        Schema(Arc::new(Inner {
            fields,
            slots,
            layout,
        }))
    }

    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    pub fn len(&self) -> usize {
        self.0.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.fields.is_empty()
    }

    pub fn field(&self, index: usize) -> &Field {
        &self.0.fields[index]
    }

    pub fn slot(&self, index: usize) -> Slot {
        self.0.slots[index]
    }

    pub fn slots(&self) -> &[Slot] {
        &self.0.slots
    }

    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// The position of the field of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.fields.iter().position(|field| field.name == name)
    }

    /// The names, for messages that list what there is.
    pub fn names(&self) -> Vec<String> {
        self.0
            .fields
            .iter()
            .map(|field| field.name.clone())
            .collect()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Schema) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.fields == other.0.fields
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Schema::new)
    }
}

/// The rule for the names of transforms, views, models and services.
pub fn check_name(name: &str) -> Result<(), String> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(letters);
    if good {
        return Ok(());
    }
    Err(format!(
        "\"{}\" is no name: up to 64 lower-case letters, digits, hyphens and underscores, with a letter first",
        name.chars().take(80).collect::<String>()
    ))
}

impl Layout {
    fn place(&mut self, field: &Field) -> Slot {
        let next = |count: &mut usize| {
            *count += 1;
            *count - 1
        };
        let pool = field.data_type.scalar().pool();
        let many = field.data_type.is_many();
        let index = match pool {
            _ if many => next(&mut self.lists),
            Pool::Floats => next(&mut self.floats),
            Pool::Integers => next(&mut self.integers),
            Pool::Booleans => next(&mut self.booleans),
            Pool::Text => next(&mut self.texts),
        };
        let validity = field.nullable.then(|| next(&mut self.nullables));
        Slot {
            pool,
            index,
            many,
            validity,
        }
    }
}
