//! What a set says of itself.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Writes `manifest.json` into the folder of a set of the service version `id`, of which the server showed `shown`. `file`
/// is what is said of its rows, `source` where they came from (an object: `{"spine": {…}}`).
pub fn write(
    out: &Path,
    id: &str,
    shown: &Value,
    file: &Value,
    source: Map<String, Value>,
) -> Result<Value> {
    let mut manifest = json!({
        "service": id,
        "transforms": shown["pins"]["transforms"],
        "model": shown["pins"]["model"],
        "features": shown["features"].as_array().into_iter().flatten()
            .map(|field| field["name"].clone()).collect::<Vec<Value>>(),
        "rows": file["rows"],
        "files": [file],
        "made_by": concat!("tidemill ", env!("CARGO_PKG_VERSION")),
    });
    if let Some(manifest) = manifest.as_object_mut() {
        manifest.extend(source);
    }
    let path = out.join("manifest.json");
    std::fs::write(&path, serde_json::to_string_pretty(&manifest)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(manifest)
}
