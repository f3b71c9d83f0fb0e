//! One report of a label: of which row it speaks, when that was learnt, and what it says.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Declared;
use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::offline::json::{write_text, write_value};
use crate::request::decode_key;
use crate::schema::{DataType, Scalar, Schema, Slot};
use crate::store::key;

/// The id of the answer whose row a label speaks of.
pub const REQUEST_ID: &str = "request_id";

/// Which row of the request, from 0; 0 where it is left out.
pub const ROW: &str = "row";

/// When the label was learnt.
pub const TIME: &str = "time";

/// The row that a label speaks of, as bytes of which no two are each other's beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Vec<u8>);

/// That something is said of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub subject: Subject,
    /// Its own time (µs), where it has one.
    pub time: Option<i64>,
    /// Which row of its block it is.
    pub at: usize,
}

impl Subject {
    pub fn of_request(id: Uuid, row: u32) -> Subject {
        let mut bytes = vec![b'r'];
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&row.to_be_bytes());
        Subject(bytes)
    }

    /// None where a part of the key is null.
    fn of_key(key: &Schema, block: &Block, parts: &[key::Part], row: usize) -> Option<Subject> {
        let mut bytes = vec![b'k'];
        for field in key.fields() {
            bytes.extend_from_slice(&(field.name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(field.name.as_bytes());
        }
        // Behind so many: a key of other names is another's.
        bytes.push(0xff);
        key::append(block, parts, row, &mut bytes).then_some(Subject(bytes))
    }

    /// The request and the row, where it is by these.
    pub fn request(&self) -> Option<(Uuid, u32)> {
        let (id, row) = self.0.strip_prefix(b"r")?.split_first_chunk()?;
        Some((
            Uuid::from_bytes(*id),
            u32::from_be_bytes(row.try_into().ok()?),
        ))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where in a block that begins with the columns of [`Declared::subject`] those lie.
struct Places {
    id: Slot,
    row: Slot,
    parts: Vec<key::Part>,
}

impl Places {
    fn of(declared: &Declared, schema: &Schema) -> Places {
        let keys = 2..2 + declared.key.len();
        Places {
            id: schema.slot(0),
            row: schema.slot(1),
            parts: keys.map(|at| key::Part::of(schema, at)).collect(),
        }
    }

    /// None without a request id, whatever else may be called `row`.
    fn by_request(&self, block: &Block, at: usize) -> Result<Option<Subject>, (String, String)> {
        let wrong = |field: &str, message: String| Err((field.to_owned(), message));
        if !block.is_valid(self.id, at) {
            return Ok(None);
        }
        let row = match block.is_valid(self.row, at) {
            false => 0,
            true => block.integer(self.row, at),
        };
        let text = block.text(self.id, at);
        let Ok(id) = Uuid::try_parse(text) else {
            let shown: String = text.chars().take(60).collect();
            return wrong(
                REQUEST_ID,
                format!("\"{shown}\" is no request id; answers carry theirs, a UUID"),
            );
        };
        match u32::try_from(row)
            .ok()
            .filter(|row| *row <= i32::MAX as u32)
        {
            Some(row) => Ok(Some(Subject::of_request(id, row))),
            None => wrong(
                ROW,
                format!("{row} is no row of a request; they count from 0"),
            ),
        }
    }

    /// As [`by_request`](Self::by_request), of whoever names one row: `row` is its request's, and needs that.
    fn by_request_whole(
        &self,
        block: &Block,
        at: usize,
    ) -> Result<Option<Subject>, (String, String)> {
        match self.by_request(block, at)? {
            None if block.is_valid(self.row, at) => {
                let message = format!("a row is one of a request: give its {REQUEST_ID} too");
                Err((ROW.to_owned(), message))
            }
            found => Ok(found),
        }
    }

    fn by_key(&self, declared: &Declared, block: &Block, at: usize) -> Option<Subject> {
        match self.parts.is_empty() {
            true => None,
            false => Subject::of_key(&declared.key, block, &self.parts, at),
        }
    }
}

/// The reports of a block of [`Declared::report`], none of a row that says nothing. `place` says where a row is, for
/// messages such as `rows[3].request_id: …`.
pub fn reports(
    declared: &Declared,
    block: &Block,
    place: impl Fn(usize) -> String,
) -> Result<Vec<Option<Report>>> {
    let schema = declared.report();
    let places = Places::of(declared, &schema);
    let first = schema.len() - declared.fields.len();
    let time = schema.slot(first - 1);
    let says: Vec<Slot> = (first..schema.len()).map(|at| schema.slot(at)).collect();
    let names = declared.key.names().join(", ");
    let mut all = Vec::with_capacity(block.rows());
    for at in 0..block.rows() {
        let wrong = |(field, message): (String, String)| {
            Error::invalid(format!("{}.{field}", place(at)), message)
        };
        let by_request = places.by_request_whole(block, at).map_err(wrong)?;
        let named = (2..first - 1).any(|part| block.is_valid(schema.slot(part), at));
        let subject = match by_request {
            Some(_) if named => {
                let message = format!("give it or {names}, not both");
                return Err(wrong((REQUEST_ID.to_owned(), message)));
            }
            Some(subject) => subject,
            None => match places.by_key(declared, block, at) {
                Some(subject) => subject,
                None if declared.key.is_empty() => {
                    let message =
                        "missing; a label names its answer by it, for the service declares no key";
                    return Err(wrong((REQUEST_ID.to_owned(), message.to_owned())));
                }
                None => {
                    let missing = (0..declared.key.len())
                        .find(|part| !block.is_valid(schema.slot(2 + part), at))
                        .unwrap_or_default();
                    let message = format!(
                        "missing; a label names its row by {names}, or its answer by {REQUEST_ID}"
                    );
                    let field = declared.key.field(missing).name.clone();
                    return Err(wrong((field, message)));
                }
            },
        };
        if !says.iter().any(|slot| block.is_valid(*slot, at)) {
            all.push(None);
            continue;
        }
        all.push(Some(Report {
            subject,
            time: block.is_valid(time, at).then(|| block.integer(time, at)),
            at,
        }));
    }
    Ok(all)
}

/// What a row of a block of [`Declared::report`] says, by name, as a JSON object.
pub fn said(declared: &Declared, block: &Block, at: usize) -> Vec<u8> {
    let schema = declared.report();
    let first = schema.len() - declared.fields.len();
    let mut out = vec![b'{'];
    for place in first..schema.len() {
        if place > first {
            out.push(b',');
        }
        let field = schema.field(place);
        write_text(&field.name, &mut out);
        out.push(b':');
        write_value(block, field, schema.slot(place), at, &mut out);
    }
    out.push(b'}');
    out
}

/// By request and by key, what each row of a block of [`Declared::subject`] is called; none where it is not said.
pub fn subjects(
    declared: &Declared,
    block: &Block,
    place: impl Fn(usize) -> String,
) -> Result<Vec<[Option<Subject>; 2]>> {
    let places = Places::of(declared, &declared.subject());
    let both = |at| {
        let by_request = places.by_request(block, at);
        let by_request = by_request.map_err(|(field, message)| {
            Error::invalid(format!("{}.{field}", place(at)), message)
        })?;
        Ok([by_request, places.by_key(declared, block, at)])
    };
    (0..block.rows()).map(both).collect()
}

/// The one row that a query names, and its names as JSON.
pub fn subject_of(
    declared: &Declared,
    query: &BTreeMap<String, String>,
) -> Result<(Map<String, Value>, Subject)> {
    let schema = declared.subject();
    let mut object = Map::new();
    for (name, text) in query {
        let Some(at) = schema.position(name) else {
            let message = format!("no such parameter; there are {}", schema.names().join(", "));
            return Err(Error::invalid(name.clone(), message));
        };
        let value = match schema.field(at).data_type {
            DataType::One(Scalar::Integer | Scalar::Boolean) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            _ => Value::from(text.as_str()),
        };
        object.insert(name.clone(), value);
    }
    let mut rows = RowsBuilder::new(&schema);
    let json = Value::Object(object.clone()).to_string();
    decode_key(&schema, json.as_bytes(), &mut rows)?;
    let (block, places) = (rows.finish(), Places::of(declared, &schema));
    let by_request = places.by_request_whole(&block, 0);
    let by_request =
        by_request.map_err(|(field, message)| Error::invalid(format!("key.{field}"), message))?;
    match [by_request, places.by_key(declared, &block, 0)] {
        [Some(_), Some(_)] => Err(Error::invalid(
            REQUEST_ID,
            format!("give it or {}, not both", declared.key.names().join(", ")),
        )),
        [Some(subject), None] | [None, Some(subject)] => Ok((object, subject)),
        [None, None] => {
            let key = match declared.key.is_empty() {
                true => String::new(),
                false => format!(", or {}", declared.key.names().join(" and ")),
            };
            let message = format!("say which row: {REQUEST_ID} and {ROW}{key}");
            Err(Error::invalid("query", message))
        }
    }
}
