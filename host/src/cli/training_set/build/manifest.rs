//! What a set says of itself.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::rows::Finished;
use crate::schema::check_name;
use crate::service::Definition;
use crate::statistics::Statistics;
use crate::training_set::{Manifest, Span};

pub const FILE: &str = "manifest.json";

/// What the set is called: as asked, or as its folder.
pub fn name(asked: Option<String>, out: &Path) -> Result<String> {
    let named = asked.is_some();
    let folder = || out.file_name().map(|name| name.to_string_lossy().into());
    let name: String = asked.or_else(folder).unwrap_or_default();
    match check_name(&name) {
        Ok(()) => Ok(name),
        Err(reason) if named => bail!("--name: {reason}"),
        Err(reason) => bail!("the set would be called as its folder, but {reason}; give --name"),
    }
}

/// Writes `manifest.json` into the folder of a set of the service version `id`, of which the server showed `shown`. `source`
/// is where its rows came from (an object: `{"spine": {…}}`).
pub fn write(
    out: &Path,
    name: &str,
    id: &str,
    shown: &Value,
    rows: Finished,
    source: Map<String, Value>,
) -> Result<Manifest> {
    let pins = &shown["pins"];
    let definition: Definition = serde_json::from_value(shown["definition"].clone())?;
    let views = spans(&definition, &pins["views"], &rows.statistics);
    let mut manifest = json!({
        "name": name,
        "service": id,
        "transforms": pins["transforms"],
        "model": pins["model"],
        "features": shown["features"].as_array().into_iter().flatten()
            .map(|field| field["name"].clone()).collect::<Vec<Value>>(),
        "rows": rows.file.rows,
        "views": views,
        "files": [rows.file],
        "schema": rows.schema,
        "statistics": rows.statistics,
        "made_by": concat!("tidemill ", env!("CARGO_PKG_VERSION")),
    });
    if let Some(manifest) = manifest.as_object_mut() {
        manifest.extend(source);
    }
    let manifest: Manifest = serde_json::from_value(manifest)?;
    manifest.check().map_err(anyhow::Error::msg)?;
    let path = out.join(FILE);
    std::fs::write(&path, serde_json::to_string_pretty(&manifest)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(manifest)
}

/// Of each view that was looked up and had a row, the earliest and the latest event time that the rows show. A view that
/// several look-ups read has one span for all of them.
fn spans(definition: &Definition, pins: &Value, statistics: &[Statistics]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let pins = pins.as_array().into_iter().flatten();
    for (lookup, pin) in definition.lookups.iter().zip(pins) {
        let view = pin["id"].as_str().unwrap_or_default();
        let bare = view.split('@').next().unwrap_or(view);
        let alias = lookup.alias.as_deref().unwrap_or(bare);
        // Where the view has a column of that name itself, the look-up's is called otherwise.
        let column = ["lookup_event_time", "event_time"].map(|name| format!("{alias}.{name}"));
        let found = column
            .iter()
            .find_map(|name| statistics.iter().find(|column| column.column == *name));
        let Some(times) = found.and_then(|column| column.times) else {
            continue;
        };
        if times.earliest.is_none() {
            continue;
        }
        match spans.iter_mut().find(|span| span.view == view) {
            Some(span) => {
                span.from = span.from.min(times.earliest);
                span.to = span.to.max(times.latest);
            }
            None => spans.push(Span {
                view: view.to_owned(),
                from: times.earliest,
                to: times.latest,
            }),
        }
    }
    spans
}
