//! Rows from a spine: past events in a file, joined by the server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};
use serde_json::{Map, Value, json};

use super::{Each, Of};
use crate::block::Block;
use crate::cli::client::Client;
use crate::offline::arrow::{arrow_field, to_array};
use crate::offline::{self, parallel::ordered};
use crate::schema::Schema;
use crate::training::{self, ARRIVAL};

/// A file of past events, and which of its columns says when each was asked.
pub struct Spine {
    pub file: PathBuf,
    pub arrival: Option<String>,
}

impl Spine {
    /// Hands the joined rows on in the order of the file; answers what the manifest says of them.
    pub fn read(self, of: &Of<'_>, mut each: Each<'_>) -> Result<Map<String, Value>> {
        let schema = training::spine_schema(&of.definition.request, self.arrival.as_deref());
        let spine = offline::open(&self.file, &schema)?;
        each.expect(spine.rows_hint())?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        ordered(
            spine,
            threads,
            |block| joined(of, &schema, self.arrival.as_deref(), &block?),
            |batch| each.take(&batch),
        )?;
        Ok(told(&self.file, self.arrival.as_deref()))
    }
}

fn told(file: &Path, arrival: Option<&str>) -> Map<String, Value> {
    let spine = json!({ "file": file.display().to_string(), "arrival": arrival });
    Map::from_iter([("spine".to_owned(), spine)])
}

/// Posts rows of a spine and reads the training rows.
fn joined(
    of: &Of<'_>,
    schema: &Schema,
    arrival: Option<&str>,
    block: &Block,
) -> Result<RecordBatch> {
    let name = |name: &str| match Some(name) == arrival {
        true => ARRIVAL.to_owned(),
        false => name.to_owned(),
    };
    let fields: Vec<ArrowField> = schema
        .fields()
        .iter()
        .map(|field| arrow_field(Some(&name(&field.name)), field))
        .collect();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(schema.slots())
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
