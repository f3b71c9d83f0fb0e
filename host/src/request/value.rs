//! One value, or a list of them, of a field's type.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::State;
use super::timestamp::parse_timestamp;
use crate::schema::{DataType, Field, Scalar};

/// How deep a value of type json may nest.
const JSON_DEPTH: usize = 128;

/// The value of the field at `index`, set in the current row.
pub(super) struct Value<'a, 's> {
    pub state: &'a mut State<'s>,
    pub index: usize,
}

impl<'s> Value<'_, 's> {
    fn field(&self) -> &'s Field {
        self.state.schema.field(self.index)
    }

    fn wrong<T, E: de::Error>(self, found: impl fmt::Display) -> Result<T, E> {
        let wanted = wanted(self.field());
        Err(self
            .state
            .refuse(format_args!("{found} stands where {wanted} belongs")))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.field().data_type {
            DataType::One(Scalar::Json) => {
                let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
                set_json(self.state, self.index, raw.get())
            }
            DataType::One(_) => deserializer.deserialize_any(self),
            DataType::Many(_) => deserializer.deserialize_any(List {
                state: self.state,
                index: self.index,
            }),
        }
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wanted(self.field()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if self.field().nullable {
            Ok(())
        } else {
            self.wrong("null")
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        match self.field().data_type {
            DataType::One(Scalar::Boolean) => {
                self.state
                    .rows
                    .set_boolean(self.state.schema.slot(self.index), value);
                Ok(())
            }
            _ => self.wrong(value),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        match self.field().data_type {
            DataType::One(Scalar::Integer) => {
                check_range(self.state, self.index, value as f64, value)?;
                self.state
                    .rows
                    .set_integer(self.state.schema.slot(self.index), value);
                Ok(())
            }
            DataType::One(Scalar::Float) => self.visit_f64(value as f64),
            _ => self.wrong(value),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.field().data_type) {
            (Ok(value), _) => self.visit_i64(value),
            (Err(_), DataType::One(Scalar::Float)) => self.visit_f64(value as f64),
            (Err(_), _) => self.wrong(value),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        match self.field().data_type {
            DataType::One(Scalar::Float) => {
                check_range(self.state, self.index, value, value)?;
                self.state
                    .rows
                    .set_float(self.state.schema.slot(self.index), value);
                Ok(())
            }
            _ => self.wrong(value),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        let slot = self.state.schema.slot(self.index);
        match self.field().data_type {
            DataType::One(Scalar::Text) => self.state.rows.set_text(slot, value),
            DataType::One(Scalar::Timestamp) => match parse_timestamp(value) {
                Ok(micros) => self.state.rows.set_integer(slot, micros),
                Err(message) => return Err(self.state.refuse(message)),
            },
            _ => return self.wrong("text"),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.wrong("an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.wrong("an object")
    }
}

/// `[item, …]` or null.
struct List<'a, 's> {
    state: &'a mut State<'s>,
    index: usize,
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        let field = self.state.schema.field(self.index);
        if field.nullable {
            return Ok(());
        }
        Err(self
            .state
            .refuse(format_args!("null stands where {} belongs", wanted(field))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let slot = self.state.schema.slot(self.index);
        self.state.rows.begin_list(slot);
        for item in 0.. {
            let index = self.index;
            let more = self.state.at(format_args!("[{item}]"), |state| {
                items.next_element_seed(Item { state, index })
            })?;
            if more.is_none() {
                break;
            }
        }
        self.state.rows.end_list(slot);
        Ok(())
    }

    refuse_other_than_seq!((), "a list belongs here", without null);
}

/// One item of the list in the field at `index`.
struct Item<'a, 's> {
    state: &'a mut State<'s>,
    index: usize,
}

impl Item<'_, '_> {
    fn scalar(&self) -> Scalar {
        self.state.schema.field(self.index).data_type.scalar()
    }

    fn wrong<T, E: de::Error>(self, found: impl fmt::Display) -> Result<T, E> {
        let wanted = self.scalar().name();
        Err(self
            .state
            .refuse(format_args!("{found} stands where a {wanted} belongs")))
    }
}

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.scalar() == Scalar::Json {
            let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
            check_depth(self.state, raw.get())?;
            self.state.rows.push_text(raw.get());
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scalar().name())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.wrong("null")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        match self.scalar() {
            Scalar::Boolean => {
                self.state.rows.push_boolean(value);
                Ok(())
            }
            _ => self.wrong(value),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        match self.scalar() {
            Scalar::Integer => {
                check_range(self.state, self.index, value as f64, value)?;
                self.state.rows.push_integer(value);
                Ok(())
            }
            Scalar::Float => self.visit_f64(value as f64),
            _ => self.wrong(value),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.scalar()) {
            (Ok(value), _) => self.visit_i64(value),
            (Err(_), Scalar::Float) => self.visit_f64(value as f64),
            (Err(_), _) => self.wrong(value),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        match self.scalar() {
            Scalar::Float => {
                check_range(self.state, self.index, value, value)?;
                self.state.rows.push_float(value);
                Ok(())
            }
            _ => self.wrong(value),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        match self.scalar() {
            Scalar::Text => self.state.rows.push_text(value),
            Scalar::Timestamp => match parse_timestamp(value) {
                Ok(micros) => self.state.rows.push_integer(micros),
                Err(message) => return Err(self.state.refuse(message)),
            },
            _ => return self.wrong("text"),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.wrong("an array")
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
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.state.refuse("true or false belongs here")),
        }
    }
}

fn set_json<E: de::Error>(state: &mut State<'_>, index: usize, raw: &str) -> Result<(), E> {
    let field = state.schema.field(index);
    if raw == "null" && field.nullable {
        return Ok(());
    }
    check_depth(state, raw)?;
    state.rows.set_text(state.schema.slot(index), raw);
    Ok(())
}

/// A transform that reads nested JSON recurses; it should not meet more than it can bear.
fn check_depth<E: de::Error>(state: &mut State<'_>, raw: &str) -> Result<(), E> {
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
    if deepest > JSON_DEPTH {
        return Err(state.refuse(format_args!(
            "nested {deepest} deep; {JSON_DEPTH} is the limit"
        )));
    }
    Ok(())
}

fn check_range<E: de::Error>(
    state: &mut State<'_>,
    index: usize,
    value: f64,
    shown: impl fmt::Display,
) -> Result<(), E> {
    let field = state.schema.field(index);
    match (field.minimum, field.maximum) {
        (Some(low), _) if value < low => {
            Err(state.refuse(format_args!("{shown} is under the minimum of {low}")))
        }
        (_, Some(high)) if value > high => {
            Err(state.refuse(format_args!("{shown} is over the maximum of {high}")))
        }
        _ => Ok(()),
    }
}

fn wanted(field: &Field) -> String {
    let null = if field.nullable { " or null" } else { "" };
    match field.data_type {
        DataType::One(Scalar::Timestamp) => {
            format!("a timestamp such as \"2013-01-01T05:15:00-05:00\"{null}")
        }
        DataType::One(Scalar::Integer) => format!("an i64{null}"),
        DataType::One(Scalar::Float) => format!("an f64{null}"),
        DataType::One(Scalar::Text) => format!("text{null}"),
        data_type => format!("a {data_type}{null}"),
    }
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
    ($value:ty, $message:expr, without null) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<$value, A::Error> {
            Err(self.state.refuse($message))
        }
        refuse_scalars!($value, $message, without null);
    };
}

macro_rules! refuse_scalars {
    ($value:ty, $message:expr) => {
        fn visit_unit<E: de::Error>(self) -> Result<$value, E> {
            Err(self.state.refuse($message))
        }
        value::refuse_scalars!($value, $message, without null);
    };
    ($value:ty, $message:expr, without null) => {
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
