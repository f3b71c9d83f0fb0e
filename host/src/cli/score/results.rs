//! The answers of a stream, as columns.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::columns::{Columns, FEATURES, FIELDS, NOTES, PARTS, SCORES};
use crate::block::{Block, RowsBuilder};
use crate::request::decode_row;
use crate::schema::{Field, Scalar, Slot};

/// The answer of a row.
#[derive(Deserialize)]
pub struct Line<'a> {
    row: usize,
    score: Option<f64>,
    outputs: Option<Value>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    features: Option<&'a RawValue>,
    gate: Option<String>,
    fallback: Option<Value>,
    #[serde(borrow)]
    defaulted: Option<&'a RawValue>,
    error: Option<Value>,
}

/// The answers of `rows` rows, a line each.
pub fn lines(answer: &[u8], rows: usize) -> Result<Vec<Line<'_>>> {
    let mut found = Vec::with_capacity(rows);
    for text in answer.split(|&byte| byte == b'\n') {
        if text.is_empty() {
            continue;
        }
        let line: Line =
            serde_json::from_slice(text).context("the server's answer cannot be read")?;
        let at = found.len();
        if line.row != at || at == rows {
            bail!(
                "the server answered row {} where row {at} was asked",
                line.row
            );
        }
        found.push(line);
    }
    if found.len() != rows {
        let found = found.len();
        bail!("the server answered {found} rows of {rows}; its log may say why");
    }
    Ok(found)
}

/// How many rows have another answer than their neighbours.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// No answer.
    pub ill: u64,
    /// The service's fallback.
    pub fallback: u64,
}

/// Results being collected, a row a row of the input.
pub struct Results<'c> {
    columns: &'c Columns,
    /// One a part; that of what was sent stays empty.
    parts: [RowsBuilder; PARTS],
    pub counts: Counts,
}

impl<'c> Results<'c> {
    pub fn new(columns: &'c Columns) -> Results<'c> {
        Results {
            columns,
            parts: std::array::from_fn(|part| RowsBuilder::new(&columns.parts[part])),
            counts: Counts::default(),
        }
    }

    /// A row that was not sent, and why.
    pub fn ill(&mut self, message: &str) {
        for part in &mut self.parts[SCORES..] {
            part.begin_row();
        }
        self.refuse(message);
    }

    /// A row that was answered.
    pub fn answered(&mut self, line: &Line<'_>) {
        if let Some(error) = &line.error {
            let detail = error["detail"].as_str();
            let detail = detail.unwrap_or("the server did not say why");
            // Which row it is, is plain here; and the server counts within a request.
            let place = format!("rows[{}]", line.row);
            let rest = detail.strip_prefix(&place).unwrap_or(detail);
            return self.ill(rest.trim_start_matches(['.', ':', ' ']));
        }
        self.parts[NOTES].begin_row();
        self.parts[SCORES].begin_row();
        self.set_scores(line);
        self.note("gate", line.gate.as_deref());
        self.note("defaulted", line.defaulted.map(RawValue::get));
        if let Some(fallback) = &line.fallback {
            self.counts.fallback += 1;
            self.note("fallback", fallback["detail"].as_str());
        }
        for (part, values) in [(FIELDS, line.output), (FEATURES, line.features)] {
            if let Err(error) = self.set_object(part, values) {
                // Such as a list with an item that JSON has no word for.
                self.parts[part].begin_row();
                self.refuse(&format!("its answer cannot be written: {error}"));
            }
        }
    }

    fn set_scores(&mut self, line: &Line<'_>) {
        let schema = &self.columns.parts[SCORES];
        let scores = &mut self.parts[SCORES];
        let first = usize::from(self.columns.has_score);
        if let (Some(score), true) = (line.score, self.columns.has_score) {
            scores.set_float(schema.slot(0), score);
        }
        let Some(outputs) = &line.outputs else {
            return;
        };
        for (at, (name, index)) in self.columns.outputs.iter().enumerate() {
            let value = match index {
                None => &outputs[name],
                Some(index) => &outputs[name][index],
            };
            let (field, slot) = (schema.field(first + at), schema.slot(first + at));
            set(scores, field, slot, value);
        }
    }

    /// Reads an object of a part's fields.
    fn set_object(&mut self, part: usize, values: Option<&RawValue>) -> crate::error::Result<()> {
        let (schema, rows) = (&self.columns.parts[part], &mut self.parts[part]);
        let Some(values) = values.filter(|_| !schema.is_empty()) else {
            rows.begin_row();
            return Ok(());
        };
        let before = rows.rows();
        decode_row(schema, values.get().as_bytes(), before + 1, rows).inspect_err(|_| {
            if rows.rows() > before {
                rows.drop_row();
            }
        })
    }

    fn refuse(&mut self, message: &str) {
        self.note("error", Some(message));
        self.counts.ill += 1;
    }

    fn note(&mut self, name: &str, text: Option<&str>) {
        let schema = &self.columns.parts[NOTES];
        if let (Some(at), Some(text)) = (schema.position(name), text) {
            self.parts[NOTES].set_text(schema.slot(at), text);
        }
    }

    /// All parts, with what was sent.
    pub fn finish(self, sent: Block) -> [Block; PARTS] {
        let mut blocks = self.parts.map(RowsBuilder::finish);
        blocks[0] = sent;
        blocks
    }
}

/// Sets a value; null where JSON had no word for it.
fn set(rows: &mut RowsBuilder, field: &Field, slot: Slot, value: &Value) {
    match field.data_type.scalar() {
        Scalar::Float => value.as_f64().map(|value| rows.set_float(slot, value)),
        Scalar::Integer => value.as_i64().map(|value| rows.set_integer(slot, value)),
        Scalar::Boolean => value.as_bool().map(|value| rows.set_boolean(slot, value)),
        _ => value.as_str().map(|value| rows.set_text(slot, value)),
    };
}
