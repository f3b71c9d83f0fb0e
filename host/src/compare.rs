//! Two versions of a service side by side, from the feature log.
//!
//! Where both have rows of the same requests, as with a shadow, those pairs are compared one by one. Where they have none,
//! as with a canary, only how their values are spread.
//!
//! Of any log it holds at a time at most [`HELD_ROWS`] rows of one version, and samples: of what is too much for that it
//! reads the other version's rows again. Counts and differences are of all rows that are looked at; quantiles and the
//! population stability index (PSI) of at most [`SAMPLE_ROWS`] rows a side, evenly drawn and the same every time.

mod batch;
mod feature;
mod sides;
mod spread;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::log::LogFile;
use batch::{Batch, Key};
use feature::Feature;
use sides::Side;
use spread::{Draw, Sample};

pub use feature::FeatureCompared;
pub use spread::Quantiles;

/// Rows of one version held at a time.
pub const HELD_ROWS: usize = 250_000;

/// Rows of a sample.
pub const SAMPLE_ROWS: usize = 10_000;

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Options {
    pub service: String,
    pub from: u32,
    pub to: u32,
    /// µs; rows of requests that came before are passed over.
    pub since: Option<i64>,
    /// Rows of each version that are looked at, the newest.
    pub limit: usize,
    /// The score from which on a decision would be another.
    pub threshold: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub service: String,
    pub from: SideCompared,
    pub to: SideCompared,
    /// Rows that both versions have of the same request. Where there are none, all rows are compared as two populations.
    pub pairs: u64,
    pub features: Vec<FeatureCompared>,
    pub score: ScoreCompared,
}

/// What is known of the rows of one version that are compared.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SideCompared {
    pub version: u32,
    pub files: usize,
    /// Rows that were looked at.
    pub rows: u64,
    /// Rows that were compared: those of pairs, or all.
    pub compared: u64,
    /// When the requests came, first and last.
    pub first: Option<jiff::Timestamp>,
    pub last: Option<jiff::Timestamp>,
    /// Of the compared rows: whom they were for, and what they were answered with.
    pub roles: BTreeMap<String, u64>,
    pub outcomes: BTreeMap<String, u64>,
    /// µs a request, from the body to the answer; of a shadow without the answer's JSON, and at its low priority.
    pub micros: Quantiles,
}

/// The scores of the compared rows.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreCompared {
    #[serde(flatten)]
    pub values: FeatureCompared,
    pub from: Quantiles,
    pub to: Quantiles,
    /// Of pairs: of the later version's score less the earlier's.
    pub mean_difference: Option<f64>,
    pub threshold: Option<ThresholdCompared>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ThresholdCompared {
    pub threshold: f64,
    /// The share of rows with a score of at least the threshold.
    pub above_from: Option<f64>,
    pub above_to: Option<f64>,
    /// Of pairs with two scores: the share that is above on one side only.
    pub flipped: Option<f64>,
}

/// Compares two versions by the files of their service's log.
pub fn compare(files: Vec<LogFile>, options: &Options) -> Result<Comparison> {
    compare_holding(HELD_ROWS, files, options)
}

fn compare_holding(held_rows: usize, files: Vec<LogFile>, options: &Options) -> Result<Comparison> {
    let mut versions: Vec<u32> = files
        .iter()
        .map(|file| file.shape.service_version)
        .collect();
    versions.sort_unstable();
    versions.dedup();
    if options.from == options.to {
        return Err(Error::invalid("--to", "it is the same version as --from"));
    }
    if options.limit == 0 {
        return Err(Error::invalid(
            "--limit",
            "of no rows there is nothing to say",
        ));
    }
    for version in [options.from, options.to] {
        if !versions.contains(&version) {
            let id = |version| format!("{}@{version}", options.service);
            return Err(Error::NotFound {
                kind: "version in this log",
                name: id(version),
                known: versions.into_iter().map(id).collect(),
            });
        }
    }
    let sides = [options.from, options.to].map(|version| Side::of(&files, version, options));
    let names = sides::names(&sides);
    let mut tally = Tally::new(&sides, &names, options);
    tally.join(held_rows, &sides, &names)?;
    if tally.pairs == 0 {
        tally = Tally::new(&sides, &names, options);
        for (at, side) in sides.iter().enumerate() {
            side.batches(&names, |batch| {
                (0..batch.rows()).for_each(|row| tally.see(at, &batch, row));
                Ok(())
            })?;
            tally.sides[at].rows = tally.sides[at].compared;
        }
    }
    Ok(tally.finish(options))
}

impl Options {
    pub(self) fn is_wanted(&self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since)
    }
}

/// What has been seen so far.
struct Tally {
    threshold: Option<f64>,
    pairs: u64,
    sides: [SideCompared; 2],
    draws: [Draw; 2],
    features: Vec<Feature>,
    score: Feature,
    /// Sum of differences, and of how many.
    differences: (f64, u64),
    /// Rows with a score of at least the threshold, and with a score.
    above: [(u64, u64); 2],
    /// Pairs on two sides of the threshold, and with two scores.
    flipped: (u64, u64),
    /// A sample of requests rather than of rows.
    micros: [(Draw, Sample); 2],
}

impl Tally {
    fn new(sides: &[Side; 2], names: &[String], options: &Options) -> Tally {
        let feature = |name: &String| {
            let there = [0, 1].map(|at| sides[at].has(name));
            Feature::new(name.clone(), there)
        };
        Tally {
            threshold: options.threshold,
            pairs: 0,
            sides: [0, 1].map(|at| SideCompared {
                version: sides[at].version,
                files: sides[at].files.len(),
                ..SideCompared::default()
            }),
            draws: [Draw::new(), Draw::new()],
            features: names.iter().map(feature).collect(),
            score: Feature::new("score".to_owned(), [true, true]),
            differences: (0.0, 0),
            above: [(0, 0); 2],
            flipped: (0, 0),
            micros: [(Draw::new(), Sample::new()), (Draw::new(), Sample::new())],
        }
    }

    /// Finds the rows that both sides have of the same request: those of the side with fewer rows are held, a part of them
    /// at a time, while the other's pass.
    fn join(&mut self, held_rows: usize, sides: &[Side; 2], names: &[String]) -> Result<()> {
        let held = usize::from(sides[1].rows < sides[0].rows);
        let parts = sides[held].rows.div_ceil(held_rows).max(1) as u64;
        for part in 0..parts {
            let mut batches: Vec<Batch> = Vec::new();
            let mut places: HashMap<Key, (usize, usize)> = HashMap::new();
            let mut rows = 0;
            sides[held].batches(names, |batch| {
                rows += batch.rows() as u64;
                let batch = match parts {
                    1 => batch,
                    _ => batch.part(part, parts)?,
                };
                for (row, key) in batch.keys.iter().enumerate() {
                    // Where a request stands there twice, its last run counts.
                    places.insert(*key, (batches.len(), row));
                }
                batches.push(batch);
                Ok(())
            })?;
            self.sides[held].rows = rows;
            rows = 0;
            sides[1 - held].batches(names, |batch| {
                rows += batch.rows() as u64;
                for (row, key) in batch.keys.iter().enumerate() {
                    // Taken out, so that nothing is paired twice.
                    if let Some((at, its)) = places.remove(key) {
                        let mut pair = [(&batches[at], its), (&batch, row)];
                        if held == 1 {
                            pair.swap(0, 1);
                        }
                        self.pair(pair);
                    }
                }
                Ok(())
            })?;
            self.sides[1 - held].rows = rows;
        }
        Ok(())
    }

    fn pair(&mut self, [(from, from_row), (to, to_row)]: [(&Batch, usize); 2]) {
        self.pairs += 1;
        self.see(0, from, from_row);
        self.see(1, to, to_row);
        for (at, feature) in self.features.iter_mut().enumerate() {
            feature.pair(
                from.features[at].cell(from_row),
                to.features[at].cell(to_row),
            );
        }
        let (before, after) = (from.score.cell(from_row), to.score.cell(to_row));
        if let (Some(before), Some(after)) = (before.number(), after.number()) {
            if (after - before).is_finite() {
                self.differences.0 += after - before;
                self.differences.1 += 1;
            }
            if let Some(threshold) = self.threshold {
                self.flipped.0 += u64::from((before >= threshold) != (after >= threshold));
                self.flipped.1 += 1;
            }
        }
        self.score.pair(before, after);
    }

    /// A row of one side.
    fn see(&mut self, side: usize, batch: &Batch, row: usize) {
        let place = self.draws[side].next();
        for (feature, column) in self.features.iter_mut().zip(&batch.features) {
            feature.see(side, column.cell(row), place);
        }
        let score = batch.score.cell(row);
        if let (Some(score), Some(threshold)) = (score.number(), self.threshold) {
            self.above[side].0 += u64::from(score >= threshold);
            self.above[side].1 += 1;
        }
        self.score.see(side, score, place);
        let seen = &mut self.sides[side];
        seen.compared += 1;
        for (counts, word) in [
            (&mut seen.roles, batch.role.value(row)),
            (&mut seen.outcomes, batch.outcome.value(row)),
        ] {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => _ = counts.insert(word.to_owned(), 1),
            }
        }
        let time = jiff::Timestamp::from_microsecond(batch.time.value(row)).ok();
        seen.first = seen.first.min(time).or(time);
        seen.last = seen.last.max(time);
        // The time of a request stands in each of its rows.
        if batch.keys[row].1 == 0 {
            let (draw, sample) = &mut self.micros[side];
            let micros = batch.micros.value(row) as f64;
            sample.put(draw.next(), || batch::Cell::Float(micros).into());
        }
    }

    fn finish(self, options: &Options) -> Comparison {
        let share = |(count, of): (u64, u64)| (of > 0).then(|| count as f64 / of as f64);
        let [mut from, mut to] = self.sides;
        let [(_, from_micros), (_, to_micros)] = self.micros;
        from.micros = from_micros.quantiles();
        to.micros = to_micros.quantiles();
        let (sum, count) = self.differences;
        let [above_from, above_to] = self.above.map(share);
        let (from_scores, to_scores) = self.score.quantiles();
        Comparison {
            service: options.service.clone(),
            from,
            to,
            pairs: self.pairs,
            features: self.features.into_iter().map(Feature::finish).collect(),
            score: ScoreCompared {
                values: self.score.finish(),
                from: from_scores,
                to: to_scores,
                mean_difference: (count > 0).then(|| sum / count as f64),
                threshold: self.threshold.map(|threshold| ThresholdCompared {
                    threshold,
                    above_from,
                    above_to,
                    flipped: share(self.flipped),
                }),
            },
        }
    }
}
