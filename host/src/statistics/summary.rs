//! What is kept and shown of a column.

use jiff::Timestamp;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a column held. A list counts by how many items it had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ColumnStatistics)]
pub struct Statistics {
    /// As in the files: `request.carrier`, `leg.km`, `weather.status`.
    pub column: String,
    pub kind: Kind,
    pub rows: u64,
    /// Rows in which it was null.
    pub missing: u64,
    /// `missing` / `rows`.
    pub missing_share: f64,
    /// Of numbers, and of the lengths of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<NumberStatistics>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booleans: Option<BooleanStatistics>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<TextStatistics>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeStatistics>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ColumnKind)]
pub enum Kind {
    Number,
    Boolean,
    Text,
    Timestamp,
    List,
    Other,
}

/// Of the finite numbers; the others are counted apart. Integers are taken for the nearest double.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberStatistics {
    pub nan: u64,
    pub infinite: u64,
    /// Null where there is none, or it is beyond all doubles.
    #[schema(required)]
    pub mean: Option<f64>,
    /// Of a sample: divided by the count less one.
    #[schema(required)]
    pub standard_deviation: Option<f64>,
    #[schema(required)]
    pub min: Option<f64>,
    #[schema(required)]
    pub max: Option<f64>,
    pub quantiles: Vec<Quantile>,
    /// About a tenth each, with exact counts.
    pub bins: Vec<Bin>,
}

/// The least number that is not under a share of all: exact up to 2048 different numbers; of more, as a rule at most 1/128
/// off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    pub share: f64,
    pub value: f64,
}

/// The numbers above the bin before, up to and with this one's end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HistogramBin)]
pub struct Bin {
    /// Null: without end.
    #[schema(required)]
    pub upto: Option<f64>,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BooleanStatistics {
    pub trues: u64,
    /// Of the rows that have it; null where none has.
    #[schema(required)]
    pub true_share: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextStatistics {
    /// How many different ones; null where they are too many or too long to be counted.
    #[schema(required)]
    pub distinct: Option<u64>,
    /// The most frequent, the first most.
    pub values: Vec<ValueCount>,
    /// Rows with any other text.
    pub other: u64,
    /// How much too low each count may be: 0 unless there were too many different texts to count them all.
    pub short_by: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueCount {
    pub value: String,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeStatistics {
    #[schema(required)]
    pub earliest: Option<Timestamp>,
    #[schema(required)]
    pub latest: Option<Timestamp>,
}

impl Statistics {
    /// Whether the counts can be of so many rows: they may have come over HTTP.
    pub fn check(&self) -> Result<(), String> {
        let column = &self.column;
        let more = |what: &str| Err(format!("{column} counts more {what} than it has rows"));
        let Some(there) = self.rows.checked_sub(self.missing) else {
            return more("missing values");
        };
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
        if let Some(numbers) = &self.numbers {
            let bins = numbers.bins.iter().map(|bin| bin.count);
            if sum(&mut bins.chain([numbers.nan, numbers.infinite])) != there {
                return Err(format!(
                    "the bins of {column}, NaN and infinities do not add up to its {there} values"
                ));
            }
            let mut ends: Vec<Option<f64>> = numbers.bins.iter().map(|bin| bin.upto).collect();
            let open = ends.pop().is_none_or(|last| last.is_none());
            if !open || !ends.is_sorted_by(|a, b| a.is_some() && b.is_some() && a < b) {
                return Err(format!(
                    "the bins of {column} do not rise, each with its end and the last without"
                ));
            }
            if ends.iter().any(Option::is_none) {
                return Err(format!("a bin of {column} before the last has no end"));
            }
        }
        if self.booleans.is_some_and(|booleans| booleans.trues > there) {
            return more("true values");
        }
        if let Some(texts) = &self.texts {
            let mut seen = BTreeSet::new();
            let twice = texts.values.iter().find(|value| !seen.insert(&value.value));
            if let Some(twice) = twice {
                return Err(format!(
                    "{column} counts the text \"{}\" twice",
                    twice.value
                ));
            }
        }
        if let Some(texts) = &self.texts
            && sum(&mut (texts.values.iter().map(|value| value.count)).chain([texts.other]))
                != there
        {
            return Err(format!(
                "the texts of {column} do not add up to its {there} values"
            ));
        }
        Ok(())
    }
}

impl NumberStatistics {
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let found = self.quantiles.iter().find(|known| known.share == share);
        found.map(|known| known.value)
    }
}
