//! One value, or a list of them, of a field's type.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::State;
use super::timestamp::parse_timestamp;
use crate::schema::{DataType, Field, Scalar};

/// How deep a value of type json may nest.
const JSON_DEPTH: usize = 128;

/// A value of the field at `index`: the row's own, or an item of the row's list.
pub(super) struct Value<'a, 's> {
    pub state: &'a mut State<'s>,
    pub index: usize,
    pub item: bool,
}

impl<'s> Value<'_, 's> {
    fn field(&self) -> &'s Field {
        self.state.schema.field(self.index)
    }

    fn scalar(&self) -> Scalar {
        self.field().data_type.scalar()
    }

    /// Whether one value belongs here, rather than a list.
    fn is_one(&self) -> bool {
        self.item || !self.field().data_type.is_many()
    }

    fn may_be_null(&self) -> bool {
        self.field().nullable && !self.item
    }

    fn wanted(&self) -> String {
        let what = match self.field().data_type {
            DataType::Many(_) if !self.item => format!("a {}", self.field().data_type),
            _ => match self.scalar() {
                Scalar::Timestamp => "a timestamp such as \"2013-01-01T05:15:00-05:00\"".to_owned(),
                Scalar::Integer => "an i64".to_owned(),
                Scalar::Float => "an f64".to_owned(),
                Scalar::Text => "text".to_owned(),
                scalar => format!("a {}", scalar.name()),
            },
        };
        if self.may_be_null() {
            what + " or null"
        } else {
            what
        }
    }

    fn wrong<T, E: de::Error>(self, found: impl fmt::Display) -> Result<T, E> {
        let wanted = self.wanted();
        Err(self
            .state
            .refuse(format_args!("{found} stands where {wanted} belongs")))
    }

    fn float<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        self.check_range(value, value)?;
        match self.item {
            true => self.state.rows.push_float(value),
            false => self
                .state
                .rows
                .set_float(self.state.schema.slot(self.index), value),
        }
        Ok(())
    }

    fn integer<E: de::Error>(self, value: i64) -> Result<(), E> {
        match self.item {
            true => self.state.rows.push_integer(value),
            false => self
                .state
                .rows
                .set_integer(self.state.schema.slot(self.index), value),
        }
        Ok(())
    }

    fn text<E: de::Error>(self, value: &str) -> Result<(), E> {
        match self.item {
            true => self.state.rows.push_text(value),
            false => self
                .state
                .rows
                .set_text(self.state.schema.slot(self.index), value),
        }
        Ok(())
    }

    fn json<E: de::Error>(self, raw: &str) -> Result<(), E> {
        if raw == "null" && !self.item {
            return self.visit_unit();
        }
        let depth = depth(raw);
        if depth > JSON_DEPTH {
            return Err(self.state.refuse(format_args!(
                "nested {depth} deep; {JSON_DEPTH} is the limit"
            )));
        }
        self.text(raw)
    }

    fn check_range<E: de::Error>(&mut self, value: f64, shown: impl fmt::Display) -> Result<(), E> {
        let field = self.field();
        let outside = match (field.minimum, field.maximum) {
            (Some(low), _) if value < low => format!("{shown} is under the minimum of {low}"),
            (_, Some(high)) if value > high => format!("{shown} is over the maximum of {high}"),
            _ => return Ok(()),
        };
        Err(self.state.refuse(outside))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.is_one() && self.scalar() == Scalar::Json {
            return self.json(<&RawValue>::deserialize(deserializer)?.get());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wanted())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if self.may_be_null() {
            Ok(())
        } else {
            self.wrong("null")
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        match (self.is_one(), self.scalar()) {
            (true, Scalar::Boolean) if self.item => self.state.rows.push_boolean(value),
            (true, Scalar::Boolean) => {
                self.state
                    .rows
                    .set_boolean(self.state.schema.slot(self.index), value);
            }
            _ => return self.wrong(value),
        }
        Ok(())
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        match (self.is_one(), self.scalar()) {
            (true, Scalar::Integer) => {
                self.check_range(value as f64, value)?;
                self.integer(value)
            }
            (true, Scalar::Float) => self.float(value as f64),
            _ => self.wrong(value),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.is_one(), self.scalar()) {
            (Ok(value), ..) => self.visit_i64(value),
            (Err(_), true, Scalar::Float) => self.float(value as f64),
            (Err(_), ..) => self.wrong(value),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        match (self.is_one(), self.scalar()) {
            (true, Scalar::Float) => self.float(value),
            _ => self.wrong(value),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        match (self.is_one(), self.scalar()) {
            (true, Scalar::Text) => self.text(value),
            (true, Scalar::Timestamp) => match parse_timestamp(value) {
                Ok(micros) => self.integer(micros),
                Err(message) => Err(self.state.refuse(message)),
            },
            _ => self.wrong("text"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.is_one() {
            return self.wrong("an array");
        }
        let (state, index) = (self.state, self.index);
        let slot = state.schema.slot(index);
        state.rows.begin_list(slot);
        let mut more = Some(());
        for at in 0.. {
            if more.is_none() {
                break;
            }
            more = state.at(format_args!("[{at}]"), |state| {
                items.next_element_seed(Value {
                    state,
                    index,
                    item: true,
                })
            })?;
        }
        state.rows.end_list(slot);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.wrong("an object")
    }
}

/// `true` or `false`.
pub(super) struct Flag<'a, 's> {
    pub state: &'a mut State<'s>,
}

impl<'de> DeserializeSeed<'de> for Flag<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.state.refuse("true or false belongs here")),
        }
    }
}

/// How deep a JSON value nests. A transform that reads it recurses; it should not meet more than it can bear.
fn depth(raw: &str) -> usize {
    let (mut depth, mut deepest, mut text, mut escaped) = (0_usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'[' | b'{' if !text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The other kinds of value, refused at the current path.
macro_rules! refuse_other_than_map {
    ($value:ty, $message:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.state.refuse($message))
        }
        value::refuse_scalars!($value, $message);
    };
}

macro_rules! refuse_other_than_seq {
    ($value:ty, $message:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.state.refuse($message))
        }
        value::refuse_scalars!($value, $message);
    };
}

macro_rules! refuse_scalars {
    ($value:ty, $message:expr) => {
        fn visit_unit<E: de::Error>(self) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
        fn visit_bool<E: de::Error>(self, _: bool) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
        fn visit_str<E: de::Error>(self, _: &str) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
    };
}

pub(super) use {refuse_other_than_map, refuse_other_than_seq, refuse_scalars};
