//! Raw JSON into columns, checked against a schema, with no tree between.
//!
//! Every refusal names the place by its path (`inputs.departed`, `rows[3].amount`) and, where a name is not known,
//! lists those that are.

mod timestamp;
mod value;

use std::fmt;
use std::fmt::Write as _;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::schema::Schema;

pub use timestamp::parse_timestamp;

/// What a body may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows: usize,
    /// Whether a field the schema does not know is passed over rather than refused.
    pub ignore_unknown: bool,
}

/// A decoded body.
#[derive(Debug)]
pub struct Request {
    pub rows: Block,
    /// Whether the caller wants the features in the answer.
    pub features: bool,
}

/// Decodes `{"inputs": {…}}` or `{"rows": [{…}, …]}`, with an optional `"features": true`.
pub fn decode(schema: &Schema, body: &[u8], limits: Limits) -> Result<Request> {
    let mut state = State::new(schema, limits);
    let mut json = serde_json::Deserializer::from_slice(body);
    let outcome = Body { state: &mut state }
        .deserialize(&mut json)
        .and_then(|body| json.end().map(|()| body));
    match outcome {
        Ok(features) => Ok(Request {
            rows: state.rows.finish(),
            features,
        }),
        Err(error) => Err(state.refusal(&error)),
    }
}

/// Appends the row that one line of NDJSON holds to `rows`; `line` is its number, for messages.
pub fn decode_row(schema: &Schema, json: &[u8], line: usize, rows: &mut RowsBuilder) -> Result<()> {
    append_row(schema, json, &format!("line {line}"), rows)
}

/// Appends the row that an object of a key's columns holds.
pub fn decode_key(schema: &Schema, json: &[u8], rows: &mut RowsBuilder) -> Result<()> {
    append_row(schema, json, "key", rows)
}

fn append_row(schema: &Schema, json: &[u8], path: &str, rows: &mut RowsBuilder) -> Result<()> {
    let mut state = State::new(
        schema,
        Limits {
            rows: usize::MAX,
            ignore_unknown: true,
        },
    );
    std::mem::swap(&mut state.rows, rows);
    state.path.push_str(path);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome = Row { state: &mut state }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    std::mem::swap(&mut state.rows, rows);
    outcome.map_err(|error| state.refusal(&error))
}

/// What the visitors share: the rows so far, and where in the body we are.
struct State<'s> {
    schema: &'s Schema,
    limits: Limits,
    rows: RowsBuilder,
    /// Which fields of the current row have been seen.
    seen: Vec<bool>,
    path: String,
    /// Our own refusal, beside serde's error that carries it up.
    refused: Option<Error>,
}

impl<'s> State<'s> {
    fn new(schema: &'s Schema, limits: Limits) -> Self {
        State {
            schema,
            limits,
            rows: RowsBuilder::new(schema),
            seen: vec![false; schema.len()],
            path: String::new(),
            refused: None,
        }
    }

    /// Notes a refusal of what stands at the current path.
    fn refuse<E: de::Error>(&mut self, message: impl fmt::Display) -> E {
        let path = if self.path.is_empty() {
            "body".to_owned()
        } else {
            self.path.clone()
        };
        self.refused
            .get_or_insert_with(|| Error::invalid(path, message.to_string()));
        E::custom("refused")
    }

    /// Runs `step` with `part` at the end of the path. The path stays as it is where `step` fails.
    fn at<T, E>(
        &mut self,
        part: fmt::Arguments<'_>,
        step: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let length = self.path.len();
        let _ = self.path.write_fmt(part);
        let value = step(self)?;
        self.path.truncate(length);
        Ok(value)
    }

    fn refusal(self, error: &serde_json::Error) -> Error {
        self.refused.unwrap_or_else(|| {
            let path = if self.path.is_empty() {
                "body".to_owned()
            } else {
                self.path
            };
            Error::invalid(path, format!("not JSON: {error}"))
        })
    }
}

const BODY_FIELDS: [&str; 3] = ["inputs", "rows", "features"];

/// The whole body; answers whether features are wanted.
struct Body<'a, 's> {
    state: &'a mut State<'s>,
}

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"inputs\" or \"rows\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let state = self.state;
        let (mut given, mut features) = (None, None);
        while let Some(key) = map.next_key_seed(Name)? {
            let key: &str = &key;
            let part = format_args!("{key}");
            match key {
                "inputs" | "rows" if given.is_some() => {
                    return state.at(part, |state| {
                        Err(state.refuse("give \"inputs\" or \"rows\", once"))
                    });
                }
                "inputs" => {
                    given = Some(());
                    state.at(part, |state| map.next_value_seed(Row { state }))?;
                }
                "rows" => {
                    given = Some(());
                    state.at(part, |state| map.next_value_seed(Rows { state }))?;
                }
                "features" if features.is_some() => {
                    return state.at(part, |state| Err(state.refuse("given twice")));
                }
                "features" => {
                    features =
                        Some(state.at(part, |state| map.next_value_seed(value::Flag { state }))?)
                }
                _ => {
                    return state.at(part, |state| {
                        Err(state.refuse(format_args!(
                            "no such field; there are {}",
                            BODY_FIELDS.join(", ")
                        )))
                    });
                }
            }
        }
        match given {
            None => Err(state.refuse("give \"inputs\": {…} or \"rows\": [{…}, …]")),
            Some(()) => Ok(features.unwrap_or(false)),
        }
    }

    value::refuse_other_than_map!(bool, "an object with \"inputs\" or \"rows\" belongs here");
}

/// `[{…}, …]`
struct Rows<'a, 's> {
    state: &'a mut State<'s>,
}

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let state = self.state;
        let mut row = 0;
        loop {
            if row == state.limits.rows {
                // One more is one too many, whatever it is.
                if rows.next_element::<IgnoredAny>()?.is_some() {
                    let limit = state.limits.rows.to_string();
                    state.refused = Some(Error::TooLarge {
                        what: "the number of rows".to_owned(),
                        limit,
                    });
                    return Err(de::Error::custom("refused"));
                }
                return Ok(());
            }
            match state.at(format_args!("[{row}]"), |state| {
                rows.next_element_seed(Row { state })
            })? {
                Some(()) => row += 1,
                None if row == 0 => return Err(state.refuse("no rows")),
                None => return Ok(()),
            }
        }
    }

    value::refuse_other_than_seq!((), "an array of rows belongs here");
}

/// `{"field": value, …}`
struct Row<'a, 's> {
    state: &'a mut State<'s>,
}

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.state;
        state.rows.begin_row();
        state.seen.fill(false);
        // Clients send fields in one order, mostly the schema's: try the next one first.
        let mut next = 0;
        while let Some(key) = map.next_key_seed(Name)? {
            let key: &str = &key;
            let schema = state.schema;
            let position = match schema.fields().get(next) {
                Some(field) if field.name == key => Some(next),
                _ => schema.position(key),
            };
            let part = format_args!(".{key}");
            match position {
                Some(index) if state.seen[index] => {
                    return state.at(part, |state| Err(state.refuse("given twice")));
                }
                Some(index) => {
                    state.seen[index] = true;
                    next = index + 1;
                    state.at(part, |state| {
                        map.next_value_seed(value::Value {
                            state,
                            index,
                            item: false,
                        })
                    })?;
                }
                None if state.limits.ignore_unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
                None => {
                    let known = schema.names().join(", ");
                    return state.at(part, |state| {
                        Err(state.refuse(format_args!("no such field; there are {known}")))
                    });
                }
            }
        }
        for (field, seen) in state.schema.fields().iter().zip(&state.seen) {
            if !seen && !field.nullable {
                let _ = write!(state.path, ".{}", field.name);
                return Err(
                    state.refuse(format_args!("missing; a {} belongs here", field.data_type))
                );
            }
        }
        Ok(())
    }

    value::refuse_other_than_map!((), "an object belongs here");
}

/// A key, borrowed from the body where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = std::borrow::Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = std::borrow::Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(name.into())
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(name.to_owned().into())
    }
}
