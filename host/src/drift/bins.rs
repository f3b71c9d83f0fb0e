//! Which bin of the training set a value belongs to.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};

use crate::statistics::{Kind, Statistics, each_number};

/// The bins of a column, as its statistics have them; one more, the last, is for what is missing.
pub(super) enum Bins {
    /// Where each bin ends; there is one more without end. What is no finite number counts as missing.
    Numbers(Vec<f64>),
    /// False and true.
    Booleans,
    /// The texts that are listed, then all others.
    Texts(HashMap<String, usize>),
    /// There, or not: of timestamps, which never stay, and of what is not looked into.
    Presence,
}

impl Bins {
    /// The bins, and how many rows of the training set lie in each.
    pub fn of(column: &Statistics) -> (Bins, Vec<u64>) {
        let there = column.rows - column.missing;
        if let Some(numbers) = &column.numbers {
            let ends = numbers.bins.iter().filter_map(|bin| bin.upto).collect();
            let mut counts: Vec<u64> = numbers.bins.iter().map(|bin| bin.count).collect();
            if counts.is_empty() {
                counts.push(0);
            }
            counts.push(column.missing + numbers.nan + numbers.infinite);
            (Bins::Numbers(ends), counts)
        } else if let Some(booleans) = &column.booleans {
            let falses = there - booleans.trues.min(there);
            (Bins::Booleans, vec![falses, booleans.trues, column.missing])
        } else if let Some(texts) = &column.texts {
            let listed = texts.values.iter().map(|value| value.value.clone());
            let places = listed.zip(0..).collect();
            let counts = texts.values.iter().map(|value| value.count);
            let counts = counts.chain([texts.other, column.missing]).collect();
            (Bins::Texts(places), counts)
        } else {
            (Bins::Presence, vec![there, column.missing])
        }
    }

    /// Counts the values of an array; `counts` has a place for each bin.
    pub fn count(&self, array: &ArrayRef, counts: &mut [u64]) {
        let Some(last) = counts.len().checked_sub(1) else {
            return;
        };
        let mut there = 0;
        let mut put = |place: usize| {
            counts[place.min(last)] += 1;
            there += 1;
        };
        match self {
            Bins::Numbers(ends) => each_number(array, |value| {
                if value.is_finite() {
                    put(ends.partition_point(|end| *end < value));
                }
            }),
            Bins::Booleans => {
                let values = array.as_boolean_opt().into_iter().flatten().flatten();
                values.for_each(|value| put(value.into()));
            }
            Bins::Texts(places) => {
                let values = array.as_string_opt::<i32>().into_iter().flatten().flatten();
                values.for_each(|text| put(places.get(text).copied().unwrap_or(places.len())));
            }
            Bins::Presence => (0..array.len() - array.null_count()).for_each(|_| put(0)),
        }
        counts[last] += array.len() as u64 - there;
    }

    /// What a person calls bin `at`.
    pub fn words(&self, column: &Statistics, at: usize) -> String {
        let bins = match self {
            Bins::Numbers(ends) => ends.len() + 1,
            Bins::Booleans => 2,
            Bins::Texts(places) => places.len() + 1,
            Bins::Presence => 1,
        };
        if at >= bins {
            return "missing".to_owned();
        }
        match self {
            Bins::Numbers(ends) => match (at.checked_sub(1).map(|at| ends[at]), ends.get(at)) {
                (None, None) => "any number".to_owned(),
                (None, Some(to)) => format!("up to {}", round(*to)),
                (Some(from), None) => format!("over {}", round(from)),
                (Some(from), Some(to)) => format!("over {} to {}", round(from), round(*to)),
            },
            Bins::Booleans => ["false", "true"][at].to_owned(),
            Bins::Texts(_) => {
                let values = column.texts.iter().flat_map(|texts| &texts.values);
                let value = values.map(|value| value.value.clone()).nth(at);
                value.unwrap_or_else(|| "any other".to_owned())
            }
            Bins::Presence => match column.kind {
                Kind::Timestamp => "any time".to_owned(),
                _ => "any value".to_owned(),
            },
        }
    }
}

/// To four digits: enough to tell bins apart by eye.
fn round(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
