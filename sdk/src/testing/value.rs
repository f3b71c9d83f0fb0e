//! Values without a column's type yet.

use std::fmt;

use crate::Timestamp;

/// One value of a row made by hand; see [`rows!`](crate::rows) for what becomes one.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer; also good for a column of floats.
    Integer(i64),
    /// A float.
    Float(f64),
    /// Text, JSON, or a timestamp in RFC 3339.
    Text(String),
    /// A moment.
    Timestamp(Timestamp),
    /// A list.
    List(Vec<Value>),
}

/// No value.
#[allow(non_upper_case_globals, reason = "written like the JSON literal")]
pub const null: Value = Value::Null;

/// Rows made by hand with [`rows!`](crate::rows).
#[derive(Clone, PartialEq)]
pub struct Rows(pub(super) Vec<Vec<(String, Value)>>);

impl FromIterator<Vec<(String, Value)>> for Rows {
    fn from_iter<I: IntoIterator<Item = Vec<(String, Value)>>>(rows: I) -> Rows {
        Rows(rows.into_iter().collect())
    }
}

impl Rows {
    /// These rows, and then those.
    pub fn and(mut self, those: Rows) -> Rows {
        self.0.extend(those.0);
        self
    }

    /// The name of a column from the tokens of one: `r#type` and `"type"` are `type`.
    #[doc(hidden)]
    pub fn name(tokens: &str) -> String {
        tokens.trim_start_matches("r#").trim_matches('"').to_owned()
    }
}

impl Value {
    /// Whether both say the same, whatever the type it was written in: `1` and `1.0`, a moment and its text.
    pub(super) fn says(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(one), Value::Float(other)) => {
                one == other || (one.is_nan() && other.is_nan())
            }
            (Value::Float(float), Value::Integer(integer))
            | (Value::Integer(integer), Value::Float(float)) => *float == *integer as f64,
            (Value::Timestamp(moment), Value::Text(text))
            | (Value::Text(text), Value::Timestamp(moment)) => text.parse() == Ok(*moment),
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| one.says(other))
            }
            _ => self == other,
        }
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr;)*) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Value {
                $made
            }
        }
    )*};
}

from! {
    bool => |value| Value::Boolean(value);
    i32 => |value| Value::Integer(value.into());
    i64 => |value| Value::Integer(value);
    f64 => |value| Value::Float(value);
    &str => |value| Value::Text(value.into());
    String => |value| Value::Text(value);
    Timestamp => |value| Value::Timestamp(value);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, T::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Value {
        Value::List(items.into_iter().map(T::into).collect())
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Value {
        Vec::from(items).into()
    }
}

/// As it is written in `rows!`.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::Timestamp(value) => write!(f, "\"{value}\""),
            Value::List(items) => write!(f, "{items:?}"),
        }
    }
}

/// As it is written in `rows!`.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows![\n")?;
        for row in &self.0 {
            let values: Vec<String> = row
                .iter()
                .map(|(name, value)| format!("{name}: {value:?}"))
                .collect();
            writeln!(f, "    {{ {} }},", values.join(", "))?;
        }
        f.write_str("]")
    }
}
