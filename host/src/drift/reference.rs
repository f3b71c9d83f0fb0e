//! The training set's side.

use std::collections::BTreeMap;

use super::bins::Bins;
use crate::statistics::Statistics;
use crate::training_set::Manifest;

/// A training set as drift is measured against it.
pub struct Reference {
    /// `name@number`.
    pub id: String,
    pub rows: u64,
    pub(super) columns: BTreeMap<String, Known>,
}

/// A column of the training set.
pub(super) struct Known {
    pub statistics: Statistics,
    pub bins: Bins,
    pub counts: Vec<u64>,
    /// Whether it is in the model's vector.
    pub feature: bool,
}

impl Reference {
    /// `model` is the digest of the model that is asked about: the scores of a set that another model gave are no
    /// measure of this one's. Says what to do where the manifest has no statistics.
    pub fn of(id: String, manifest: &Manifest, model: Option<&str>) -> Result<Reference, String> {
        if manifest.statistics.is_empty() {
            return Err(format!(
                "training set {id} has no statistics, so there is nothing to compare with; build it with `tidemill \
                 training-set build`, which counts them, and register the model with the new number"
            ));
        }
        let scored_by = manifest.model.as_ref().map(|model| model.hex());
        let columns = manifest.statistics.iter();
        let columns = columns.filter(|column| column.column != SCORE || scored_by == model);
        let known = columns.map(|statistics| {
            let (bins, mut counts) = Bins::of(statistics);
            let mut statistics = statistics.clone();
            if statistics.column == SCORE {
                scored(&mut statistics, &mut counts);
            }
            let known = Known {
                feature: is_feature(manifest, &statistics.column),
                bins,
                counts,
                statistics,
            };
            (known.statistics.column.clone(), known)
        });
        Ok(Reference {
            rows: manifest.rows,
            columns: known.collect(),
            id,
        })
    }
}

/// The column of the log that holds the score.
pub(super) const SCORE: &str = "score";

/// Rows for which nobody asked for a score are not missing one.
pub(super) fn scored(statistics: &mut Statistics, counts: &mut [u64]) {
    statistics.rows -= statistics.missing.min(statistics.rows);
    statistics.missing = 0;
    statistics.missing_share = 0.0;
    if let Some(missing) = counts.last_mut() {
        *missing = 0;
    }
}

/// A request field stands in the vector under its bare name, and in files below `request.`.
fn is_feature(manifest: &Manifest, column: &str) -> bool {
    let bare = column.strip_prefix("request.");
    let mut features = manifest.features.iter();
    features.any(|feature| feature == column || Some(feature.as_str()) == bare)
}
