//! What a training set is: the feature vectors of a service for many past events, and exactly what made them.
//!
//! The files themselves lie where whoever made them put them; the registry keeps what is in them, with their digests.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::schema::check_name;
use crate::statistics::Statistics;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrainingSetManifest)]
pub struct Manifest {
    pub name: String,
    /// The service's version whose vectors these are: `flight-delay@2`.
    pub service: String,
    /// All transforms that the service pins.
    #[serde(default)]
    pub transforms: Vec<Used>,
    /// A model that had a part in it, if one had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Used>,
    /// The columns, in the order of the service's vector.
    pub features: Vec<String>,
    pub rows: u64,
    /// Where the events came from, in the maker's own words. Kept and shown, not read.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub spine: Value,
    /// The views that were looked up, and which of their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<Span>,
    /// What is learnt later, where it stands beside the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labelled>,
    pub files: Vec<File>,
    /// The columns of the files, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<FileColumn>,
    /// What the columns hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<Statistics>,
    /// The version of Tidemill that made it.
    pub made_by: String,
}

/// A version, and the digest of its artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VersionUsed)]
pub struct Used {
    /// `name@version`.
    pub id: String,
    /// SHA-256, with or without `sha256:` before it.
    pub digest: String,
}

/// The rows of a view whose event times lie between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ViewSpan)]
pub struct Span {
    /// `weather@1`.
    pub view: String,
    /// Absent: from the first row on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Absent: to the last row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrainingSetFile)]
pub struct File {
    pub path: String,
    /// Of its bytes, lower-case hexadecimal, with or without `sha256:` before it.
    pub sha256: String,
    pub rows: u64,
    pub bytes: u64,
}

/// A column of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrainingSetColumn)]
pub struct FileColumn {
    pub name: String,
    /// `f64`, `text`, `list<i64>`; of a column that is no feature's its Arrow type.
    #[serde(rename = "type")]
    pub data_type: String,
    pub nullable: bool,
}

/// The labels beside the rows of a training set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrainingSetLabels)]
pub struct Labelled {
    /// `stored`: those that the server kept; else the file they were in.
    pub from: String,
    /// The service's version that says what they are: `flight-delay@2`.
    pub declared_by: String,
    /// `label.late`
    pub columns: Vec<String>,
    /// Absent: all that was known when the set was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Rows that have a label.
    pub matched: u64,
    /// Rows of which nothing was known: their labels are null.
    pub unmatched: u64,
}

impl Used {
    /// The digest alone.
    pub fn hex(&self) -> &str {
        hex(&self.digest)
    }
}

impl File {
    /// The digest alone.
    pub fn hex(&self) -> &str {
        hex(&self.sha256)
    }
}

impl Manifest {
    pub fn from_json(bytes: &[u8]) -> Result<Manifest> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::refused("the training set", error.to_string()))
    }

    /// What can be seen without knowing what is registered.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        if self.features.is_empty() {
            return Err(
                "it has no features; name the columns in the order of the vector".to_owned(),
            );
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.features.iter().find(|name| !seen.insert(*name)) {
            return Err(format!("its features name {twice} twice"));
        }
        if self.files.is_empty() {
            return Err("it has no files; name each with path, sha256, rows and bytes".to_owned());
        }
        let digests = self.files.iter().map(|file| (&file.path, &file.sha256));
        let used = self.transforms.iter().chain(&self.model);
        for (what, digest) in digests.chain(used.map(|used| (&used.id, &used.digest))) {
            let hex = hex(digest);
            let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if hex.len() != 64 || !hex.bytes().all(digit) {
                return Err(format!(
                    "the digest of {what} is \"{digest}\"; a SHA-256 has 64 hexadecimal digits in lower case"
                ));
            }
        }
        let rows = self
            .files
            .iter()
            .map(|file| file.rows)
            .fold(0, u64::saturating_add);
        if rows != self.rows {
            return Err(format!(
                "it has {} rows, but its files have {rows}",
                self.rows
            ));
        }
        if let Some(other) = (self.statistics.iter()).find(|column| column.rows != self.rows) {
            return Err(format!(
                "it has {} rows, but its statistics of {} are of {}",
                self.rows, other.column, other.rows
            ));
        }
        if let Some(labels) = &self.labels
            && labels.matched.saturating_add(labels.unmatched) != self.rows
        {
            return Err(format!(
                "it has {} rows, but labels of {} and none of {}",
                self.rows, labels.matched, labels.unmatched
            ));
        }
        for column in &self.statistics {
            column
                .check()
                .map_err(|reason| format!("its statistics: {reason}"))?;
        }
        for span in &self.views {
            if let (Some(from), Some(to)) = (span.from, span.to)
                && from > to
            {
                let view = &span.view;
                return Err(format!(
                    "its rows of view {view} are from {from} to {to}, which is before"
                ));
            }
        }
        Ok(())
    }
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        json!({
            "name": "flights-2013",
            "service": "flight-delay@2",
            "transforms": [{ "id": "great-circle@1.0.0", "digest": "a".repeat(64) }],
            "features": ["leg.km", "plane.seats"],
            "rows": 30,
            "spine": { "file": "flights.parquet" },
            "views": [{ "view": "weather@1", "from": "2013-01-01T00:00:00Z", "to": "2013-12-31T00:00:00Z" }],
            "labels": { "from": "stored", "declared_by": "flight-delay@2", "columns": ["label.late"], "matched": 20, "unmatched": 10 },
            "files": [
                { "path": "a.parquet", "sha256": "b".repeat(64), "rows": 10, "bytes": 100 },
                { "path": "b.parquet", "sha256": format!("sha256:{}", "c".repeat(64)), "rows": 20, "bytes": 200 },
            ],
            "made_by": "0.1.0",
        })
    }

    #[test]
    fn a_manifest_there_and_back() {
        let text = manifest().to_string();
        let read = Manifest::from_json(text.as_bytes()).unwrap();
        read.check().unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn each_refusal() {
        let whole = |rows: u64| json!([{ "column": "leg.km", "kind": "number", "rows": rows, "missing": 0, "missing_share": 0.0 }]);
        let with = |name: &str, value: Value| {
            let mut column = whole(30);
            column[0][name] = value;
            column
        };
        let bins = |bins: Value| {
            with(
                "numbers",
                json!({ "nan": 1, "infinite": 0, "mean": null, "standard_deviation": null, "min": null, "max": null,
                    "quantiles": [], "bins": bins }),
            )
        };
        for (pointer, value, expected) in [
            (
                "/statistics",
                with("missing", json!(31)),
                "leg.km counts more missing values than it has rows",
            ),
            (
                "/statistics",
                with("booleans", json!({ "trues": 31, "true_share": null })),
                "leg.km counts more true values",
            ),
            (
                "/statistics",
                with(
                    "texts",
                    json!({ "distinct": 1, "values": [{ "value": "a", "count": 9 }], "other": 22, "short_by": 0 }),
                ),
                "the texts of leg.km do not add up to its 30 values",
            ),
            (
                "/statistics",
                bins(json!([{ "upto": null, "count": 30 }])),
                "do not add up to its 30 values",
            ),
            (
                "/statistics",
                bins(
                    json!([{ "upto": 2.0, "count": 9 }, { "upto": 1.0, "count": 10 }, { "upto": null, "count": 10 }]),
                ),
                "the bins of leg.km do not rise",
            ),
            (
                "/statistics",
                bins(json!([{ "upto": null, "count": 9 }, { "upto": null, "count": 20 }])),
                "a bin of leg.km before the last has no end",
            ),
            (
                "/statistics",
                whole(29),
                "its statistics of leg.km are of 29",
            ),
            ("/name", json!("Flights"), "is no name"),
            ("/features", json!([]), "it has no features"),
            (
                "/features/1",
                json!("leg.km"),
                "its features name leg.km twice",
            ),
            ("/files", json!([]), "it has no files"),
            (
                "/files/0/sha256",
                json!("B".repeat(64)),
                "the digest of a.parquet is",
            ),
            (
                "/transforms/0/digest",
                json!("aa"),
                "the digest of great-circle@1.0.0 is \"aa\"",
            ),
            ("/rows", json!(31), "it has 31 rows, but its files have 30"),
            (
                "/labels/matched",
                json!(3),
                "it has 30 rows, but labels of 3 and none of 10",
            ),
            (
                "/views/0/to",
                json!("2012-12-31T00:00:00Z"),
                "view weather@1 are from",
            ),
        ] {
            let mut changed = manifest();
            match pointer {
                "/statistics" => changed["statistics"] = value,
                _ => *changed.pointer_mut(pointer).unwrap() = value,
            }
            let read = Manifest::from_json(changed.to_string().as_bytes()).unwrap();
            let message = read.check().unwrap_err();
            assert!(message.contains(expected), "{pointer}: {message}");
        }
        let message = Manifest::from_json(b"{\"naem\": 1}")
            .unwrap_err()
            .to_string();
        assert!(message.contains("unknown field `naem`"), "{message}");
    }
}
