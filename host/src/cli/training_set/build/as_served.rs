//! A set as it was served: the log's own inputs, looked-up values, features, vectors and scores.

use anyhow::Result;
use arrow_array::RecordBatch;
use serde_json::{Map, Value, json};

use super::logged::{Files, Logged, Outcomes};
use super::{Each, Of, Source};

/// Columns of the log that are the same in all rows of a set, or say what the answer cost.
const OF_THE_SERVICE: [&str; 6] = [
    "service",
    "service_version",
    "model",
    "transforms",
    "role",
    "micros",
];

/// Hands the logged rows of the service version on.
pub fn read(logged: &Logged, of: &Of<'_>, mut each: Each<'_, '_>) -> Result<Source> {
    let files = logged.files(of)?;
    each.expect(Some(files.rows()))?;
    let mut outcomes = Outcomes::default();
    for batch in files.batches() {
        let batch = kept(&batch?)?;
        outcomes.count(&batch);
        each.take(&batch, None)?;
    }
    Ok(Source {
        told: told(logged, of.id, &outcomes, None),
        said: said(&files, &outcomes),
    })
}

fn kept(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let wanted = (0..schema.fields().len())
        .filter(|&at| !OF_THE_SERVICE.contains(&schema.field(at).name().as_str()));
    Ok(batch.project(&wanted.collect::<Vec<_>>())?)
}

/// What the manifest says of rows out of the log.
pub fn told(
    logged: &Logged,
    answers_of: &str,
    outcomes: &Outcomes,
    absent: Option<Vec<String>>,
) -> Map<String, Value> {
    let moment = |micros: Option<i64>| {
        let moment = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
        moment.map(|moment| moment.to_string())
    };
    let mut spine = json!({
        "log": logged.dir.display().to_string(),
        "answers_of": answers_of,
        "from": moment(logged.from),
        "to": moment(logged.to),
        "outcomes": outcomes.told(),
    });
    if let Some(absent) = absent {
        spine["recomputed"] = json!(true);
        spine["absent"] = json!(absent);
    }
    Map::from_iter([("spine".to_owned(), spine)])
}

/// What is printed of them.
pub fn said(files: &Files, outcomes: &Outcomes) -> Vec<String> {
    let mut said = files.passed_over();
    said.extend(outcomes.words());
    said
}
