//! Histograms that many threads count in at once without waiting for each other: each has counts of its own, which are
//! added up when somebody looks. Bounds lie at even ratios, so that a value's bucket is found by counting bits.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

/// Threads beyond so many share places.
const PLACES: usize = 8;

/// Upper bounds `first`, `first << step`, `first << 2·step`, …, so many, in whole units; beyond the last there is one more
/// bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub first: u64,
    pub step: u32,
    pub count: usize,
    /// How many units are one of what is shown: 1e9 for nanoseconds shown as seconds.
    pub per: f64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    bounds: Bounds,
    places: [Place; PLACES],
}

/// In cache lines of its own.
#[repr(align(128))]
struct Place {
    sum: AtomicU64,
    counts: Box<[AtomicU64]>,
}

/// Histograms of one name, by their labels.
#[derive(Clone)]
pub struct Histograms(Arc<Family>);

struct Family {
    desc: Desc,
    bounds: Bounds,
    children: Mutex<BTreeMap<Vec<String>, Histogram>>,
}

impl Bounds {
    /// The first bucket whose bound is not under the value.
    fn bucket(&self, value: u64) -> usize {
        let doublings = 64 - (value.saturating_sub(1) / self.first).leading_zeros();
        (doublings.div_ceil(self.step) as usize).min(self.count)
    }

    fn bound(&self, at: usize) -> f64 {
        self.first as f64 * 2f64.powi((at as u32 * self.step) as i32) / self.per
    }
}

impl Histogram {
    fn new(bounds: Bounds) -> Histogram {
        let place = || Place {
            sum: AtomicU64::new(0),
            counts: (0..=bounds.count).map(|_| AtomicU64::new(0)).collect(),
        };
        Histogram(Arc::new(Inner {
            bounds,
            places: std::array::from_fn(|_| place()),
        }))
    }

    /// Counts a value, in units.
    pub fn observe(&self, value: u64) {
        let place = &self.0.places[mine()];
        place.counts[self.0.bounds.bucket(value)].fetch_add(1, Relaxed);
        place.sum.fetch_add(value, Relaxed);
    }

    fn show(&self) -> proto::Histogram {
        let (bounds, places) = (&self.0.bounds, &self.0.places);
        let count = |at: usize| -> u64 {
            let counts = places.iter().map(|place| place.counts[at].load(Relaxed));
            counts.sum()
        };
        let mut all = 0;
        let buckets = (0..bounds.count).map(|at| {
            all += count(at);
            let mut bucket = proto::Bucket::default();
            bucket.set_cumulative_count(all);
            bucket.set_upper_bound(bounds.bound(at));
            bucket
        });
        let buckets: Vec<proto::Bucket> = buckets.collect();
        let sum: u64 = places.iter().map(|place| place.sum.load(Relaxed)).sum();
        let mut shown = proto::Histogram::default();
        shown.set_sample_count(all + count(bounds.count));
        shown.set_sample_sum(sum as f64 / bounds.per);
        shown.set_bucket(buckets);
        shown
    }
}

/// The place of this thread.
fn mine() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| match mine.get() {
        usize::MAX => {
            let place = NEXT.fetch_add(1, Relaxed) % PLACES;
            mine.set(place);
            place
        }
        place => place,
    })
}

impl Histograms {
    pub fn new(
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: Bounds,
    ) -> prometheus::Result<Histograms> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Histograms(Arc::new(Family {
            desc,
            bounds,
            children: Mutex::default(),
        })))
    }

    /// The histogram of these labels, in the order they were named.
    pub fn with(&self, labels: &[&str]) -> Histogram {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut children = self.0.children.lock();
        let new = || Histogram::new(self.0.bounds);
        children.entry(labels).or_insert_with(new).clone()
    }
}

impl Collector for Histograms {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let children = self.0.children.lock();
        let metrics = children.iter().map(|(labels, histogram)| {
            let pairs = self.0.desc.variable_labels.iter().zip(labels);
            let pairs = pairs.map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.clone());
                pair.set_value(value.clone());
                pair
            });
            let mut metric = proto::Metric::default();
            metric.set_label(pairs.collect());
            metric.set_histogram(histogram.show());
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, Registry, TextEncoder};

    use super::*;

    const NANOS: Bounds = Bounds {
        first: 500,
        step: 1,
        count: 4,
        per: 1e9,
    };

    #[test]
    fn a_value_is_in_the_first_bucket_that_holds_it() {
        for (value, bucket) in [
            (0, 0),
            (500, 0),
            (501, 1),
            (1000, 1),
            (1001, 2),
            (2000, 2),
            (4000, 3),
            (4001, 4),
            (u64::MAX, 4),
        ] {
            assert_eq!(NANOS.bucket(value), bucket, "{value}");
        }
        let fuel = Bounds {
            first: 256,
            step: 2,
            count: 14,
            per: 1.0,
        };
        for at in 0..14 {
            let bound = fuel.bound(at) as u64;
            assert_eq!((fuel.bucket(bound), fuel.bucket(bound + 1)), (at, at + 1));
        }
    }

    #[test]
    fn what_many_threads_counted_is_shown_whole() {
        let all = Histograms::new("t_seconds", "How long", &["stage"], NANOS).unwrap();
        let one = all.with(&["decode"]);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1000).for_each(|at| one.observe(at * 10)));
            }
        });
        let registry = Registry::new();
        registry.register(Box::new(all)).unwrap();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "# TYPE t_seconds histogram",
            "t_seconds_bucket{stage=\"decode\",le=\"0.0000005\"} 1020",
            "t_seconds_bucket{stage=\"decode\",le=\"0.000004\"} 8020",
            "t_seconds_bucket{stage=\"decode\",le=\"+Inf\"} 20000",
            "t_seconds_count{stage=\"decode\"} 20000",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(
            text.contains("t_seconds_sum{stage=\"decode\"} 0.0999"),
            "{text}"
        );
    }
}
