//! One column while it is being counted.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use super::sketch::Sketch;
use super::sum::{Sum, moments};
use super::texts::Texts;
use super::{BooleanStatistics, Kind, Limits, NumberStatistics, Statistics, TimeStatistics};

/// What has been counted of a column so far.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    kind: Kind,
    rows: u64,
    missing: u64,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Numbers(Box<Numbers>),
    Booleans {
        trues: u64,
    },
    Texts(Texts),
    /// µs.
    Times(Option<(i64, i64)>),
    /// Of a type that is counted and not looked into.
    Other,
}

#[derive(Clone, Debug)]
struct Numbers {
    nan: u64,
    infinite: u64,
    sum: Sum,
    squares: Sum,
    /// Whether a square was no double any more.
    vast: bool,
    sketch: Sketch,
}

impl Column {
    pub fn new(name: &str, data_type: &DataType, limits: Limits) -> Column {
        let kind = kind(data_type);
        let values = match kind {
            Kind::Number | Kind::List => Values::Numbers(Box::new(Numbers {
                nan: 0,
                infinite: 0,
                sum: Sum::default(),
                squares: Sum::default(),
                vast: false,
                sketch: Sketch::new(limits.buckets),
            })),
            Kind::Boolean => Values::Booleans { trues: 0 },
            Kind::Text => Values::Texts(Texts::new(limits.values)),
            Kind::Timestamp => Values::Times(None),
            Kind::Other => Values::Other,
        };
        Column {
            name: name.to_owned(),
            kind,
            rows: 0,
            missing: 0,
            values,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts the values of an array; one of another type than the column's counts as values that are not looked into.
    pub fn add(&mut self, array: &ArrayRef) {
        self.rows += array.len() as u64;
        self.missing += array.null_count() as u64;
        match &mut self.values {
            Values::Numbers(numbers) => each_number(array, |value| numbers.add(value)),
            Values::Booleans { trues } => {
                if let Some(array) = array.as_boolean_opt() {
                    *trues += array.true_count() as u64;
                }
            }
            Values::Texts(texts) => {
                if let Some(array) = array.as_string_opt::<i32>() {
                    array.iter().flatten().for_each(|text| texts.add(text));
                }
            }
            Values::Times(span) => {
                if let Some(array) = array.as_primitive_opt::<TimestampMicrosecondType>() {
                    for time in array.iter().flatten() {
                        let (from, to) = span.get_or_insert((time, time));
                        (*from, *to) = ((*from).min(time), (*to).max(time));
                    }
                }
            }
            Values::Other => {}
        }
    }

    /// Adds what was counted elsewhere of a column of the same type.
    pub fn merge(&mut self, other: &Column) {
        self.rows += other.rows;
        self.missing += other.missing;
        match (&mut self.values, &other.values) {
            (Values::Numbers(mine), Values::Numbers(theirs)) => mine.merge(theirs),
            (Values::Booleans { trues }, Values::Booleans { trues: theirs }) => *trues += theirs,
            (Values::Texts(mine), Values::Texts(theirs)) => mine.merge(theirs),
            (Values::Times(mine), Values::Times(Some((from, to)))) => {
                let (first, last) = mine.get_or_insert((*from, *to));
                (*first, *last) = ((*first).min(*from), (*last).max(*to));
            }
            _ => {}
        }
    }

    pub fn statistics(&self) -> Statistics {
        let there = self.rows - self.missing;
        let mut statistics = Statistics {
            column: self.name.clone(),
            kind: self.kind,
            rows: self.rows,
            missing: self.missing,
            missing_share: self.missing as f64 / self.rows.max(1) as f64,
            numbers: None,
            booleans: None,
            texts: None,
            times: None,
        };
        match &self.values {
            Values::Numbers(numbers) => statistics.numbers = Some(numbers.statistics()),
            Values::Booleans { trues } => {
                let true_share = (there > 0).then(|| *trues as f64 / there as f64);
                statistics.booleans = Some(BooleanStatistics {
                    trues: *trues,
                    true_share,
                });
            }
            Values::Texts(texts) => statistics.texts = Some(texts.statistics()),
            Values::Times(span) => {
                let moment = |micros: i64| jiff::Timestamp::from_microsecond(micros).ok();
                statistics.times = Some(TimeStatistics {
                    earliest: span.and_then(|(from, _)| moment(from)),
                    latest: span.and_then(|(_, to)| moment(to)),
                });
            }
            Values::Other => {}
        }
        statistics
    }
}

impl Numbers {
    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nan += 1;
        } else if value.is_infinite() {
            self.infinite += 1;
        } else {
            self.sum.add(value);
            self.vast |= !self.squares.add_square(value);
            self.sketch.add(value);
        }
    }

    fn merge(&mut self, other: &Numbers) {
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.vast |= other.vast;
        self.sketch.merge(&other.sketch);
    }

    fn statistics(&self) -> NumberStatistics {
        let count = self.sketch.count();
        let (mean, deviation) = match count {
            0 => (None, None),
            _ => {
                let (mean, deviation) = moments(count, &self.sum, &self.squares);
                let finite = mean.is_finite().then_some(mean);
                (finite, deviation.filter(|_| !self.vast))
            }
        };
        NumberStatistics {
            nan: self.nan,
            infinite: self.infinite,
            mean,
            standard_deviation: deviation,
            min: self.sketch.least(),
            max: self.sketch.greatest(),
            quantiles: self.sketch.quantiles(),
            bins: self.sketch.bins(),
        }
    }
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Float64 | DataType::Float32 | DataType::Int64 | DataType::Int32 => Kind::Number,
        DataType::Boolean => Kind::Boolean,
        DataType::Utf8 => Kind::Text,
        DataType::Timestamp(TimeUnit::Microsecond, _) => Kind::Timestamp,
        DataType::List(_) => Kind::List,
        _ => Kind::Other,
    }
}

/// The numbers of an array that are not null, as doubles; of lists how many items each has.
pub fn each_number(array: &ArrayRef, mut take: impl FnMut(f64)) {
    if let Some(array) = array.as_primitive_opt::<Float64Type>() {
        array.iter().flatten().for_each(take);
    } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
        (array.iter().flatten()).for_each(|value| take(value as f64));
    } else if let Some(array) = array.as_primitive_opt::<Float32Type>() {
        (array.iter().flatten()).for_each(|value| take(value.into()));
    } else if let Some(array) = array.as_primitive_opt::<Int32Type>() {
        (array.iter().flatten()).for_each(|value| take(value.into()));
    } else if let Some(array) = array.as_list_opt::<i32>() {
        let rows = (0..array.len()).filter(|&row| array.is_valid(row));
        rows.for_each(|row| take(f64::from(array.value_length(row))));
    }
}
