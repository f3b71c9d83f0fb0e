//! What becomes of one feature from a version to another.

use serde::Serialize;

use super::batch::Cell;
use super::spread::{Place, Quantiles, Sample, psi};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureCompared {
    /// `group.column`.
    pub name: String,
    /// Whether a version has it at all; the rest is of both, where both have it.
    pub in_from: bool,
    pub in_to: bool,
    /// The share of pairs whose two values are not the same bit by bit.
    pub differ: Option<f64>,
    /// Of pairs of finite numbers; timestamps in µs.
    pub mean_distance: Option<f64>,
    pub max_distance: Option<f64>,
    pub null_from: Option<f64>,
    pub null_to: Option<f64>,
    /// Of the values, in bins by the deciles of the earlier version, or by its twenty most frequent texts; null and NaN are
    /// a bin of their own, and a bin's share is taken as at least 0.0001.
    pub psi: Option<f64>,
}

pub struct Feature {
    name: String,
    there: [bool; 2],
    pairs: u64,
    differ: u64,
    distances: (f64, u64),
    furthest: f64,
    rows: [u64; 2],
    nulls: [u64; 2],
    samples: [Sample; 2],
}

impl Feature {
    pub fn new(name: String, there: [bool; 2]) -> Feature {
        Feature {
            name,
            there,
            pairs: 0,
            differ: 0,
            distances: (0.0, 0),
            furthest: 0.0,
            rows: [0; 2],
            nulls: [0; 2],
            samples: [Sample::new(), Sample::new()],
        }
    }

    /// The value of a row of one side, which has this place in the sample.
    pub fn see(&mut self, side: usize, cell: Cell<'_>, place: Option<Place>) {
        self.rows[side] += 1;
        self.nulls[side] += u64::from(cell.is_null());
        self.samples[side].put(place, || cell.into());
    }

    pub fn pair(&mut self, from: Cell<'_>, to: Cell<'_>) {
        self.pairs += 1;
        if from.is(&to) {
            self.distances.1 += u64::from(from.distance(&to).is_some());
            return;
        }
        self.differ += 1;
        if let Some(distance) = from.distance(&to) {
            self.distances.0 += distance;
            self.distances.1 += 1;
            self.furthest = self.furthest.max(distance);
        }
    }

    pub fn quantiles(&self) -> (Quantiles, Quantiles) {
        (self.samples[0].quantiles(), self.samples[1].quantiles())
    }

    pub fn finish(self) -> FeatureCompared {
        let both = self.there == [true, true];
        let (sum, count) = self.distances;
        let of_pairs = |value: f64, of: u64| (both && of > 0).then(|| value / of as f64);
        let nulls = |side: usize| {
            let of = self.rows[side];
            (self.there[side] && of > 0).then(|| self.nulls[side] as f64 / of as f64)
        };
        let [from, to] = &self.samples;
        FeatureCompared {
            in_from: self.there[0],
            in_to: self.there[1],
            differ: of_pairs(self.differ as f64, self.pairs),
            mean_distance: of_pairs(sum, count),
            max_distance: (both && count > 0).then_some(self.furthest),
            null_from: nulls(0),
            null_to: nulls(1),
            psi: both.then(|| psi(from, to)).flatten(),
            name: self.name,
        }
    }
}
