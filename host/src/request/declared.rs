//! Values a service file declares, checked as a request's are.

use serde_json::{Map, Value};

use crate::block::{Block, RowsBuilder};
use crate::error::listed;
use crate::schema::{Field, Schema};

/// Values for some columns of a schema.
#[derive(Debug)]
pub struct Declared {
    /// One row of the schema; what is not covered is null, zero, empty or false.
    pub row: Block,
    /// A flag a column.
    pub covered: Vec<bool>,
}

impl Declared {
    /// Reads defaults, each by the name of a column of `schema`; a mistake is a sentence.
    pub fn read(schema: &Schema, values: &Map<String, Value>) -> Result<Declared, String> {
        Declared::read_at("default", schema, values, |name| {
            let known = listed("column", &schema.names());
            format!("there is no column \"{name}\" to give a default; {known}")
        })
    }

    /// As [`Declared::read`], of the output fields of an answer.
    pub fn output(schema: &Schema, values: &Map<String, Value>) -> Result<Declared, String> {
        Declared::read_at("output", schema, values, |name| {
            let known = listed("output field", &schema.names());
            format!("there is no output field \"{name}\"; {known}")
        })
    }

    fn read_at(
        path: &str,
        schema: &Schema,
        values: &Map<String, Value>,
        unknown: impl Fn(&str) -> String,
    ) -> Result<Declared, String> {
        let mut places = Vec::with_capacity(values.len());
        for name in values.keys() {
            let Some(at) = schema.position(name) else {
                return Err(unknown(name));
            };
            places.push(at);
        }
        // A declared value is a value: null is what comes of not declaring one.
        let never_null = |&at: &usize| Field {
            nullable: false,
            ..schema.field(at).clone()
        };
        let part = Schema::new(places.iter().map(never_null).collect());
        let given =
            super::decode_declared(&part, values, path).map_err(|error| error.to_string())?;

        let mut row = RowsBuilder::new(schema);
        row.begin_row();
        let mut covered = vec![false; schema.len()];
        for (from, &at) in places.iter().enumerate() {
            row.copy(schema.slot(at), &given, part.slot(from), 0);
            covered[at] = true;
        }
        Ok(Declared {
            row: row.finish(),
            covered,
        })
    }

    /// Sets the covered columns of the current row.
    pub fn fill(&self, schema: &Schema, rows: &mut RowsBuilder) {
        for (slot, _) in schema
            .slots()
            .iter()
            .zip(&self.covered)
            .filter(|(_, covered)| **covered)
        {
            rows.copy(*slot, &self.row, *slot, 0);
        }
    }
}
