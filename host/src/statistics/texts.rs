//! How often each text comes, in bounded memory.
//!
//! Up to a number of different texts the counts are exact. Where there are more, a count is taken off all of them so that
//! half stay (Misra and Gries, as the DataSketches library does it): what is left is then short by at most as much as was
//! taken off, and what comes more often than that is never lost.

use std::collections::HashMap;

use super::{TextStatistics, ValueCount};

/// Texts of more bytes are counted with the others: nobody would read them in a table.
const LONGEST: usize = 128;
/// Texts that a summary has.
const LISTED: usize = 20;

#[derive(Clone, Debug)]
pub struct Texts {
    limit: usize,
    /// All of them.
    total: u64,
    counts: HashMap<Box<str>, u64>,
    short_by: u64,
    /// Whether one was too long.
    long: bool,
}

impl Texts {
    /// Exact up to `limit` different ones; with 0 only their number is known.
    pub fn new(limit: usize) -> Texts {
        Texts {
            limit,
            total: 0,
            counts: HashMap::new(),
            short_by: 0,
            long: false,
        }
    }

    pub fn add(&mut self, text: &str) {
        self.total += 1;
        if self.limit == 0 {
            return;
        }
        if text.len() > LONGEST {
            self.long = true;
        } else if let Some(count) = self.counts.get_mut(text) {
            *count += 1;
        } else {
            self.counts.insert(text.into(), 1);
            self.fit();
        }
    }

    pub fn merge(&mut self, other: &Texts) {
        for (text, count) in &other.counts {
            *self.counts.entry(text.clone()).or_default() += count;
        }
        self.total += other.total;
        self.short_by += other.short_by;
        self.long |= other.long;
        self.fit();
    }

    fn fit(&mut self) {
        if self.counts.len() <= self.limit {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, &mut less, _) = counts.select_nth_unstable_by(self.limit / 2, |a, b| b.cmp(a));
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(less);
            *count > 0
        });
        self.short_by += less;
    }

    pub fn statistics(&self) -> TextStatistics {
        // One that came less often than what was taken off may be there by chance.
        let sure = |count: u64| count > self.short_by;
        let mut values: Vec<ValueCount> = (self.counts.iter())
            .filter(|(_, count)| sure(**count))
            .map(|(value, &count)| ValueCount {
                value: value.to_string(),
                count,
            })
            .collect();
        values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        values.truncate(LISTED);
        let listed: u64 = values.iter().map(|value| value.count).sum();
        let exact = self.limit > 0 && self.short_by == 0 && !self.long;
        TextStatistics {
            distinct: exact.then_some(self.counts.len() as u64),
            other: self.total - listed,
            values,
            short_by: self.short_by,
        }
    }
}
