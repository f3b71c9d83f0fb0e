//! Raw JSON into columns, checked against a schema, with no tree between.
//!
//! Every refusal names the place by its path (`inputs.departed`, `rows[3].amount`) and, where a name is not known,
//! lists those that are.

mod declared;
mod lines;
#[cfg(test)]
mod tests;
mod timestamp;
mod value;

use std::fmt;
use std::fmt::Write as _;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::block::{Block, Column, Picked, RowsBuilder, Source, pick};
use crate::error::{Error, Result};
use crate::schema::Schema;
use crate::score::Looked;

pub use declared::Declared;
pub use lines::decode_lines;
pub use timestamp::parse_timestamp;

/// What a body may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    pub rows: usize,
    /// Whether a field the schema does not know is passed over rather than refused.
    pub ignore_unknown: bool,
    /// The values of fields that are left out.
    pub defaults: Option<&'a Declared>,
}

/// A decoded body.
#[derive(Debug)]
pub struct Request {
    /// With what is shared in every row.
    pub rows: Block,
    /// A flag a field: whether it was given once, for all rows.
    pub shared: Option<Vec<bool>>,
    /// Of each row, when it was asked (µs): nothing that arrived later is looked up. None: now.
    pub arrivals: Option<Vec<i64>>,
    /// By steps of the plan, what their look-ups found: they are not asked again.
    pub found: Vec<(usize, Source, Looked)>,
    /// Whether each transform runs on an instance made for this request alone.
    pub fresh: bool,
    /// Whether nobody waits: the service's deadline does not hold then, only what each look-up may take.
    pub unhurried: bool,
    pub wishes: Wishes,
}

impl Request {
    /// Rows that are asked about now, each with all its fields.
    pub fn of(rows: Block) -> Request {
        Request {
            rows,
            shared: None,
            arrivals: None,
            found: Vec::new(),
            fresh: false,
            unhurried: false,
            wishes: Wishes::default(),
        }
    }
}

/// What the caller wants in the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    pub features: bool,
    pub timings: bool,
    /// The best rows only, so many, best first.
    pub top_k: Option<usize>,
}

/// Decodes `{"inputs": {…}}`, `{"rows": [{…}, …]}` or `{"shared": {…}, "rows": [{…}, …]}`, with what is wished for.
pub fn decode(schema: &Schema, body: &[u8], limits: Limits<'_>) -> Result<Request> {
    let mut state = State::new(schema, limits);
    let mut json = serde_json::Deserializer::from_slice(body);
    let outcome = Body { state: &mut state }
        .deserialize(&mut json)
        .and_then(|wishes| json.end().map(|()| wishes));
    match outcome {
        Ok(wishes) => state.request(wishes),
        Err(error) => Err(state.refusal(&error)),
    }
}

/// Reads one row of values by name; `path` says where it stands.
fn decode_declared(
    schema: &Schema,
    values: &serde_json::Map<String, serde_json::Value>,
    path: &str,
) -> Result<Block> {
    let json = serde_json::to_vec(values).map_err(|error| Error::Internal(error.to_string()))?;
    let mut rows = RowsBuilder::new(schema);
    append_row(schema, &json, path, &mut rows)?;
    Ok(rows.finish())
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
            defaults: None,
        },
    );
    std::mem::swap(&mut state.rows, rows);
    state.path.push_str(path);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome = Row { state: &mut state }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    std::mem::swap(&mut state.rows, rows);
    match outcome {
        Ok(()) => state.complete(|_| false, |_| path.to_owned()),
        Err(error) => Err(state.refusal(&error)),
    }
}

/// The fields that are the same for all rows.
struct Shared {
    /// One row of the request's schema, of which only the given fields count.
    row: Block,
    given: Vec<bool>,
}

/// What the visitors share: the rows so far, and where in the body we are.
struct State<'s> {
    schema: &'s Schema,
    limits: Limits<'s>,
    rows: RowsBuilder,
    /// How many rows have been read: not those of `rows`, which may hold others' before them.
    read: usize,
    /// Which fields of the current row have been seen.
    seen: Vec<bool>,
    /// Of each field the first row that has it, and the first that has not.
    given: Vec<Option<usize>>,
    missing: Vec<Option<usize>>,
    /// What is the same for all rows.
    shared: Option<Shared>,
    /// Whether the row just being read is `shared`.
    sharing: bool,
    /// Whether the body has one row, `inputs`.
    single: bool,
    path: String,
    /// Our own refusal, beside serde's error that carries it up.
    refused: Option<Error>,
}

impl<'s> State<'s> {
    fn new(schema: &'s Schema, limits: Limits<'s>) -> Self {
        State {
            schema,
            limits,
            rows: RowsBuilder::new(schema),
            read: 0,
            seen: vec![false; schema.len()],
            given: vec![None; schema.len()],
            missing: vec![None; schema.len()],
            shared: None,
            sharing: false,
            single: false,
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

    /// The row just read is whole: what it lacks has a default, or may yet be shared, or is missing.
    fn end_row(&mut self) {
        for (at, seen) in self.seen.iter().enumerate() {
            let first = match seen {
                true => &mut self.given[at],
                false => &mut self.missing[at],
            };
            first.get_or_insert(self.read);
            if !seen
                && let Some(defaults) = self.limits.defaults
                && defaults.covered[at]
            {
                let slot = self.schema.slot(at);
                self.rows.copy(slot, &defaults.row, slot, 0);
            }
        }
        self.read += 1;
    }

    /// Whether no row lacks what it must have. `path` says where a row is.
    fn complete(
        &self,
        is_shared: impl Fn(usize) -> bool,
        path: impl Fn(usize) -> String,
    ) -> Result<()> {
        for (at, field) in self.schema.fields().iter().enumerate() {
            let optional = field.nullable
                || self
                    .limits
                    .defaults
                    .is_some_and(|defaults| defaults.covered[at]);
            match self.missing[at] {
                Some(row) if !optional && !is_shared(at) => {
                    return Err(Error::invalid(
                        format!("{}.{}", path(row), field.name),
                        format!("missing; a {} belongs here", field.data_type),
                    ));
                }
                _ => {}
            }
            if let Some(row) = self.given[at].filter(|_| is_shared(at)) {
                return Err(Error::invalid(
                    format!("{}.{}", path(row), field.name),
                    "given in \"shared\" as well",
                ));
            }
        }
        Ok(())
    }

    /// The request, once all of the body has been read.
    fn request(mut self, wishes: Wishes) -> Result<Request> {
        let shared = self.shared.take();
        let is_shared = |at: usize| shared.as_ref().is_some_and(|shared| shared.given[at]);
        let single = self.single;
        self.complete(is_shared, |row| match single {
            true => "inputs".to_owned(),
            false => format!("rows[{row}]"),
        })?;
        let rows = self.rows.finish();
        let Some(shared) = shared else {
            return Ok(Request {
                wishes,
                ..Request::of(rows)
            });
        };
        let first = vec![0; rows.rows()];
        let column = |at: usize| Picked {
            column: Column {
                block: if shared.given[at] { &shared.row } else { &rows },
                slot: self.schema.slot(at),
            },
            rows: shared.given[at].then_some(first.as_slice()),
        };
        let rows = pick(self.schema, column, rows.rows());
        Ok(Request {
            shared: Some(shared.given),
            wishes,
            ..Request::of(rows)
        })
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

const BODY_FIELDS: [&str; 6] = ["inputs", "rows", "shared", "features", "timings", "top_k"];

/// The whole body; answers what is wished for.
struct Body<'a, 's> {
    state: &'a mut State<'s>,
}

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = Wishes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Wishes, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = Wishes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"inputs\" or \"rows\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wishes, A::Error> {
        let state = self.state;
        let mut seen = [false; BODY_FIELDS.len()];
        let mut wishes = Wishes::default();
        while let Some(key) = map.next_key_seed(Name)? {
            let key: &str = &key;
            let part = format_args!("{key}");
            let Some(at) = BODY_FIELDS.iter().position(|field| *field == key) else {
                return state.at(part, |state| {
                    Err(state.refuse(format_args!(
                        "no such field; there are {}",
                        BODY_FIELDS.join(", ")
                    )))
                });
            };
            if std::mem::replace(&mut seen[at], true) {
                return state.at(part, |state| Err(state.refuse("given twice")));
            }
            state.at(part, |state| match key {
                "inputs" | "rows" | "shared" if seen[0] && (seen[1] || seen[2]) => {
                    Err(state.refuse("give \"inputs\", or \"rows\" with or without \"shared\""))
                }
                "inputs" => {
                    state.single = true;
                    map.next_value_seed(Row { state })
                }
                "rows" => map.next_value_seed(Rows { state }),
                "shared" => {
                    let rows = std::mem::replace(&mut state.rows, RowsBuilder::new(state.schema));
                    state.sharing = true;
                    map.next_value_seed(Row { state })?;
                    state.sharing = false;
                    let row = std::mem::replace(&mut state.rows, rows).finish();
                    let given = state.seen.clone();
                    state.shared = Some(Shared { row, given });
                    Ok(())
                }
                "features" => {
                    wishes.features = map.next_value_seed(value::Flag { state })?;
                    Ok(())
                }
                "timings" => {
                    wishes.timings = map.next_value_seed(value::Flag { state })?;
                    Ok(())
                }
                _ => {
                    let count = map.next_value::<serde_json::Value>()?;
                    match count.as_u64() {
                        Some(count) if count > 0 => wishes.top_k = Some(count as usize),
                        _ => {
                            return Err(state.refuse(format_args!(
                                "{count} stands where a number of rows, 1 or more, belongs"
                            )));
                        }
                    }
                    Ok(())
                }
            })?;
        }
        match seen[0] || seen[1] {
            false => Err(state.refuse("give \"inputs\": {…} or \"rows\": [{…}, …]")),
            true => Ok(wishes),
        }
    }

    value::refuse_other_than_map!(Wishes, "an object with \"inputs\" or \"rows\" belongs here");
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
        if !state.sharing {
            state.end_row();
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
