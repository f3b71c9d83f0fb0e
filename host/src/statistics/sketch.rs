//! The distribution of numbers in a bounded number of buckets.
//!
//! A bucket holds the numbers that agree in sign, exponent and the first bits of their fraction, and knows how many they
//! are and the least and the greatest of them. At first each number has its own, so that a column of few different numbers
//! is known exactly. Where there are more buckets than allowed all of them become twice as wide, until they fit: how wide
//! they end up depends on which numbers there were, never on their order or on who counted them. With 2048 buckets, numbers
//! that span a thousandfold end in buckets of at most 1/128 of them.
//!
//! Why none of the crates: a t-digest's centroids depend on the order of the numbers and of the merges, so that the same
//! file would have other quantiles with other threads. DDSketch (`sketches-ddsketch`) merges well, but finds its buckets by
//! the platform's logarithm, takes all below 1e-9 for zero, gives up the lowest buckets first, and keeps the buckets to
//! itself: the shares of the bins that drift is measured with (`bins`) could not be exact.

use super::{Bin, Quantile};

/// The quantiles that a summary has.
const SHARES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Bins of a histogram whose numbers are all different.
const BINS: u64 = 10;

#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    limit: usize,
    /// How many of the last bits of a double do not tell buckets apart.
    shift: u32,
    count: u64,
    /// In the order of their keys: to search a list costs less than to walk a tree, and new ones become rare.
    buckets: Vec<(u64, Bucket)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    count: u64,
    least: f64,
    greatest: f64,
}

impl Sketch {
    /// At most `limit` buckets, two at least.
    pub fn new(limit: usize) -> Sketch {
        Sketch {
            limit: limit.max(2),
            shift: 0,
            count: 0,
            buckets: Vec::new(),
        }
    }

    /// Counts a finite number.
    pub fn add(&mut self, value: f64) {
        // -0 is 0.
        let value = value + 0.0;
        let bucket = Bucket {
            count: 1,
            least: value,
            greatest: value,
        };
        self.count += 1;
        put(&mut self.buckets, ordered(value) >> self.shift, bucket);
        self.fit();
    }

    pub fn merge(&mut self, other: &Sketch) {
        self.widen(other.shift);
        let finer = self.shift - other.shift.min(self.shift);
        for (key, bucket) in &other.buckets {
            put(&mut self.buckets, key >> finer, *bucket);
        }
        self.count += other.count;
        self.fit();
    }

    fn fit(&mut self) {
        while self.buckets.len() > self.limit {
            self.widen(self.shift + 1);
        }
    }

    fn widen(&mut self, shift: u32) {
        if shift > self.shift {
            let by = shift - self.shift;
            let mut wider = Vec::new();
            for (key, bucket) in std::mem::take(&mut self.buckets) {
                put(&mut wider, key >> by, bucket);
            }
            (self.buckets, self.shift) = (wider, shift);
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn least(&self) -> Option<f64> {
        self.buckets.first().map(|(_, bucket)| bucket.least)
    }

    pub fn greatest(&self) -> Option<f64> {
        self.buckets.last().map(|(_, bucket)| bucket.greatest)
    }

    /// The least number that is not under `share` of all; within a bucket of different numbers, interpolated.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = rank(share, self.count);
        let mut before = 0;
        for (_, bucket) in &self.buckets {
            if before + bucket.count >= rank {
                let place = (rank - before).saturating_sub(1) as f64;
                let width = bucket.greatest - bucket.least;
                let last = bucket.count.saturating_sub(1).max(1) as f64;
                return Some(bucket.least + width * (place / last));
            }
            before += bucket.count;
        }
        self.greatest()
    }

    pub fn quantiles(&self) -> Vec<Quantile> {
        let known = |share| Some((share, self.quantile(share)?));
        let all = SHARES.into_iter().filter_map(known);
        all.map(|(share, value)| Quantile { share, value })
            .collect()
    }

    /// The numbers in bins of about a tenth each, with exact counts: each bin ends with a number that there was. Equal
    /// numbers are never parted, so there are fewer bins where many are equal; where the lowest bin is one number alone, a
    /// bin below it says that there was nothing. The last one has no end.
    pub fn bins(&self) -> Vec<Bin> {
        let mut bins: Vec<Bin> = Vec::new();
        let (mut seen, mut in_bin, mut next) = (0, 0, 1);
        for (_, bucket) in &self.buckets {
            seen += bucket.count;
            in_bin += bucket.count;
            if next < BINS && seen * BINS >= next * self.count {
                if bins.is_empty() && Some(bucket.greatest) == self.least() {
                    bins.push(Bin {
                        upto: Some(bucket.greatest.next_down()),
                        count: 0,
                    });
                }
                bins.push(Bin {
                    upto: Some(bucket.greatest),
                    count: std::mem::take(&mut in_bin),
                });
                next = seen * BINS / self.count.max(1) + 1;
            }
        }
        if self.count > 0 {
            bins.push(Bin {
                upto: None,
                count: in_bin,
            });
        }
        bins
    }
}

fn put(buckets: &mut Vec<(u64, Bucket)>, key: u64, bucket: Bucket) {
    match buckets.binary_search_by_key(&key, |(key, _)| *key) {
        Err(at) => buckets.insert(at, (key, bucket)),
        Ok(at) => {
            let there = &mut buckets[at].1;
            there.count += bucket.count;
            there.least = there.least.min(bucket.least);
            there.greatest = there.greatest.max(bucket.greatest);
        }
    }
}

/// The place of a quantile among `count` numbers in order, from 1.
fn rank(share: f64, count: u64) -> u64 {
    ((share * count as f64).ceil() as u64).clamp(1, count.max(1))
}

/// Bits that are in the order of the numbers.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    }
}
