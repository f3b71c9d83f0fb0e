//! How values are spread: an even sample, its quantiles, and how far two are apart.

use std::collections::HashMap;

use serde::Serialize;

use super::SAMPLE_ROWS;
use super::batch::Cell;
use crate::drift;

/// How many texts have a bin of their own.
const TEXTS: usize = 20;

/// Draws an even sample of rows whose number is not known before (Vitter's algorithm R), the same every time.
pub struct Draw {
    rows: u64,
    state: u64,
}

/// Where a row goes in the samples of its columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Next,
    /// In the place of another.
    At(usize),
}

impl Draw {
    pub fn new() -> Draw {
        Draw {
            rows: 0,
            state: 0x7469_6465_6d69_6c6c,
        }
    }

    /// The place of the next row; none where it is not drawn.
    pub fn next(&mut self) -> Option<Place> {
        self.rows += 1;
        if self.rows <= SAMPLE_ROWS as u64 {
            return Some(Place::Next);
        }
        let at = ((u128::from(self.random()) * u128::from(self.rows)) >> 64) as usize;
        (at < SAMPLE_ROWS).then_some(Place::At(at))
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A value of a sample.
pub enum Kept {
    /// Null or NaN.
    None,
    Number(f64),
    Text(Box<str>),
}

impl From<Cell<'_>> for Kept {
    fn from(cell: Cell<'_>) -> Kept {
        match cell {
            Cell::Null => Kept::None,
            Cell::Float(value) if value.is_nan() => Kept::None,
            Cell::Float(value) => Kept::Number(value),
            Cell::Integer(value) => Kept::Number(value as f64),
            Cell::Boolean(value) => Kept::Number(f64::from(u8::from(value))),
            Cell::Text(value) => Kept::Text(value.into()),
        }
    }
}

pub struct Sample(Vec<Kept>);

/// Of the numbers of a sample, between neighbours in proportion; none where there is no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    pub mean: Option<f64>,
    pub p5: Option<f64>,
    pub p25: Option<f64>,
    pub p50: Option<f64>,
    pub p75: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

impl Sample {
    pub fn new() -> Sample {
        Sample(Vec::new())
    }

    pub fn put(&mut self, place: Option<Place>, value: impl FnOnce() -> Kept) {
        match place {
            None => {}
            Some(Place::Next) => self.0.push(value()),
            Some(Place::At(at)) => self.0[at] = value(),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let numbers = self.0.iter().filter_map(|kept| match kept {
            Kept::Number(value) => Some(*value),
            _ => None,
        });
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    }

    pub fn quantiles(&self) -> Quantiles {
        let sorted = self.sorted();
        let at = |share| quantile(&sorted, share);
        let count = sorted.len() as f64;
        Quantiles {
            mean: (count > 0.0).then(|| sorted.iter().sum::<f64>() / count),
            p5: at(0.05),
            p25: at(0.25),
            p50: at(0.5),
            p75: at(0.75),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let (low, high) = (sorted[low], sorted[(low + 1).min(sorted.len() - 1)]);
    // Of infinities the difference is no number.
    Some(match part == 0.0 || low == high {
        true => low,
        false => low + (high - low) * part,
    })
}

/// The population stability index; none where a side has no row.
pub fn psi(from: &Sample, to: &Sample) -> Option<f64> {
    let sorted = from.sorted();
    let mut edges: Vec<f64> = (1..10)
        .filter_map(|tenth| quantile(&sorted, f64::from(tenth) / 10.0))
        .collect();
    edges.dedup();
    let texts = frequent(from);
    let bin = |kept: &Kept| match kept {
        Kept::None => 0,
        // An edge has a bin of its own: a value that is common is told from all around it.
        Kept::Number(value) => {
            let below = edges.partition_point(|edge| edge < value);
            1 + below + edges.partition_point(|edge| edge <= value)
        }
        Kept::Text(text) => {
            let frequent = texts.get(&**text).copied();
            2 * edges.len() + 2 + frequent.unwrap_or(TEXTS)
        }
    };
    let bins = 2 * edges.len() + 3 + TEXTS;
    let counts = |sample: &Sample| {
        let mut counts = vec![0; bins];
        sample.0.iter().for_each(|kept| counts[bin(kept)] += 1);
        counts
    };
    drift::psi(&counts(from), &counts(to))
}

/// The most frequent texts of a sample, each with its rank.
fn frequent(sample: &Sample) -> HashMap<&str, usize> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for kept in &sample.0 {
        if let Kept::Text(text) = kept {
            *counts.entry(text).or_default() += 1;
        }
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
    counts.truncate(TEXTS);
    let ranked = counts.into_iter().enumerate();
    ranked.map(|(rank, (text, _))| (text, rank)).collect()
}
