//! Rows from a spine: past events in a file, joined by the server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};
use serde_json::{Map, Value, json};

use super::labels::Ids;
use super::{Each, Of, Source};
use crate::block::Block;
use crate::cli::client::Client;
use crate::labels::{REQUEST_ID, ROW};
use crate::offline::arrow::{arrow_field, to_array};
use crate::offline::{self, parallel::ordered, table::Table};
use crate::schema::{DataType, Field, Scalar, Schema};
use crate::training::{self, ARRIVAL};

/// A file of past events, and which of its columns says when each was asked.
pub struct Spine {
    pub file: PathBuf,
    pub arrival: Option<String>,
}

impl Spine {
    /// Hands the joined rows on in the order of the file; answers what the manifest says of them.
    pub fn read(self, of: &Of<'_>, mut each: Each<'_, '_>) -> Result<Source> {
        let request = &of.definition.request;
        let asked = training::spine_schema(&training::lenient(request), self.arrival.as_deref());
        // By these a row may name its label.
        let ids = each.wants_ids()
            && [REQUEST_ID, ROW]
                .iter()
                .all(|id| asked.position(id).is_none())
            && may_have_ids(&self.file);
        let read = match ids {
            true => with_ids(&asked),
            false => asked.clone(),
        };
        let spine = offline::open(&self.file, &read)?;
        each.expect(spine.rows_hint())?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        ordered(
            spine,
            threads,
            |block| {
                // A file cannot leave a field out of one row: null says it.
                let block = training::with_defaults(request, &read, block?, |_| true)?;
                let rows = joined(of, &asked, &read, self.arrival.as_deref(), &block)?;
                let column = |at: usize| to_array(&block, read.field(at), read.slot(at));
                let ids = ids.then(|| Ids {
                    request_id: column(asked.len()),
                    row: column(asked.len() + 1),
                });
                anyhow::Ok((rows, ids))
            },
            |(rows, ids)| each.take(&rows, ids.as_ref()),
        )?;
        Ok(Source {
            told: told(&self.file, self.arrival.as_deref()),
            said: Vec::new(),
        })
    }
}

/// Whether some row may name its answer. Without a request id whatever is called `row` is something else, of any type.
fn may_have_ids(file: &Path) -> bool {
    // What is wrong with it is told when it is read.
    Table::open(file).map_or(true, |table| {
        table.may_have_more() || table.names().iter().any(|name| name == REQUEST_ID)
    })
}

/// A spine's columns, and behind them those that name the answer a row was given in.
fn with_ids(asked: &Schema) -> Schema {
    let ids = [(REQUEST_ID, Scalar::Text), (ROW, Scalar::Integer)];
    let ids = ids.map(|(name, scalar)| Field::new(name, DataType::One(scalar), true));
    Schema::new(asked.fields().iter().cloned().chain(ids).collect())
}

fn told(file: &Path, arrival: Option<&str>) -> Map<String, Value> {
    let spine = json!({ "file": file.display().to_string(), "arrival": arrival });
    Map::from_iter([("spine".to_owned(), spine)])
}

/// Posts rows of a spine, the `asked` of what was `read`, and reads the training rows.
fn joined(
    of: &Of<'_>,
    asked: &Schema,
    read: &Schema,
    arrival: Option<&str>,
    block: &Block,
) -> Result<RecordBatch> {
    let name = |name: &str| match Some(name) == arrival {
        true => ARRIVAL.to_owned(),
        false => name.to_owned(),
    };
    let fields: Vec<ArrowField> = asked
        .fields()
        .iter()
        .map(|field| arrow_field(Some(&name(&field.name)), field))
        .collect();
    let columns: Vec<ArrayRef> = asked
        .fields()
        .iter()
        .zip(read.slots())
        .map(|(field, slot)| to_array(block, field, *slot))
        .collect();
    let batch = RecordBatch::try_new(ArrowSchema::new(fields).into(), columns)?;
    training_rows(of.client, of.id, &batch)
}

/// The training rows of a service version for rows of its request's fields.
pub fn training_rows(client: &Client, id: &str, batch: &RecordBatch) -> Result<RecordBatch> {
    let path = format!("/v1/services/{id}/training-rows");
    let body = training::to_parquet(batch)?;
    let answer = client.post_bytes(&path, "application/vnd.apache.parquet", &body)?;
    Ok(training::from_parquet(answer.into())?)
}
