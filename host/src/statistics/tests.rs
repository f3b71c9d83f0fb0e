//! Against a naive computation, and in whatever order.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use arrow_schema::DataType;
use proptest::prelude::*;

use super::sketch::Sketch;
use super::sum::Sum;
use super::texts::Texts;
use super::*;

const SMALL: Limits = Limits {
    buckets: 40,
    values: 8192,
};

fn column(values: &[Option<f64>], limits: Limits) -> Column {
    let mut column = Column::new("x", &DataType::Float64, limits);
    let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
    column.add(&array);
    column
}

fn any_number() -> impl Strategy<Value = Option<f64>> {
    let finite = prop_oneof![
        -1e3..1e3f64,
        (0..40i32).prop_map(f64::from),
        (-300..300i32).prop_map(|e| 10f64.powi(e)),
        Just(0.0),
        Just(-0.0),
        Just(f64::MIN_POSITIVE),
        Just(1e15 + 0.25),
    ];
    prop_oneof![
        8 => finite.prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(Some),
    ]
}

proptest! {
    /// Split anywhere, shuffled, merged from either end: the same to the bit, also where the buckets do not suffice.
    #[test]
    fn order_and_pieces_do_not_show(
        (values, shuffled) in prop::collection::vec(any_number(), 0..300)
            .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        cut in 0.0..1.0f64,
    ) {
        let whole = column(&values, SMALL).statistics();
        let cut = (shuffled.len() as f64 * cut) as usize;
        let (left, right) = shuffled.split_at(cut);
        for (first, second) in [(left, right), (right, left)] {
            let mut merged = column(first, SMALL);
            merged.merge(&column(second, SMALL));
            prop_assert_eq!(&merged.statistics(), &whole);
        }
    }

    #[test]
    fn as_counted_by_hand(values in prop::collection::vec(any_number(), 1..300)) {
        let found = column(&values, Limits::WHOLE).statistics();
        let there: Vec<f64> = values.iter().copied().flatten().collect();
        prop_assert_eq!(found.rows as usize, values.len());
        prop_assert_eq!(found.missing as usize, values.len() - there.len());
        let numbers = found.numbers.unwrap();
        prop_assert_eq!(numbers.nan as usize, there.iter().filter(|x| x.is_nan()).count());
        prop_assert_eq!(numbers.infinite as usize, there.iter().filter(|x| x.is_infinite()).count());
        let mut finite: Vec<f64> = there.into_iter().filter(|x| x.is_finite()).collect();
        finite.sort_by(f64::total_cmp);
        prop_assert_eq!(numbers.min, finite.first().map(|x| x + 0.0));
        prop_assert_eq!(numbers.max, finite.last().map(|x| x + 0.0));
        let in_bins: u64 = numbers.bins.iter().map(|bin| bin.count).sum();
        prop_assert_eq!(in_bins as usize, finite.len());
        let mut below = f64::NEG_INFINITY;
        for bin in &numbers.bins {
            let upto = bin.upto.unwrap_or(f64::INFINITY);
            let mine = finite.iter().filter(|&&x| x > below && x <= upto).count();
            prop_assert_eq!(bin.count as usize, mine);
            below = upto;
        }
        for quantile in &numbers.quantiles {
            let rank = ((quantile.share * finite.len() as f64).ceil() as usize).max(1);
            let exact = finite[rank - 1];
            prop_assert_eq!(quantile.value, exact, "of {}", quantile.share);
        }
        if let Some(mean) = numbers.mean {
            let naive = finite.iter().sum::<f64>() / finite.len() as f64;
            let size = finite.iter().map(|x| x.abs()).fold(0.0, f64::max);
            prop_assert!((mean - naive).abs() <= 1e-12 * size, "{mean}, not {naive}");
        }
    }

    #[test]
    fn a_sum_is_exact(values in prop::collection::vec(-1e18..1e18f64, 0..50)) {
        let mut sum = Sum::default();
        for value in &values {
            sum.add(*value);
            sum.add(0.5);
        }
        // All of these can be said in 2^-52ths of an i128.
        values.iter().for_each(|value| sum.add(-value));
        prop_assert_eq!(sum.value(), (values.len() as f64 / 2.0, 0.0));
    }

    #[test]
    fn texts_are_exact_up_to_the_limit_and_never_much_off_beyond(
        texts in prop::collection::vec("[a-e]{1,2}", 0..400), cut in 0.0..1.0f64,
    ) {
        let counted = |limit: usize, texts: &[String]| {
            let mut counted = Texts::new(limit);
            texts.iter().for_each(|text| counted.add(text));
            counted
        };
        let (left, right) = texts.split_at((texts.len() as f64 * cut) as usize);
        let mut merged = counted(64, right);
        merged.merge(&counted(64, left));
        let exact = counted(64, &texts).statistics();
        prop_assert_eq!(&merged.statistics(), &exact);
        prop_assert_eq!(exact.short_by, 0);

        let mut rough = counted(8, left);
        rough.merge(&counted(8, right));
        let rough = rough.statistics();
        let count = |text: &str| texts.iter().filter(|other| *other == text).count() as u64;
        for listed in &rough.values {
            let true_count = count(&listed.value);
            prop_assert!(listed.count <= true_count && true_count <= listed.count + rough.short_by);
        }
        let listed: u64 = rough.values.iter().map(|value| value.count).sum();
        prop_assert_eq!(listed + rough.other, texts.len() as u64);
    }
}

#[test]
fn quantiles_of_many_numbers_are_near() {
    // From 1 to 1000, evenly on a scale of logarithms; 20,001 different numbers.
    let number = |at: u32| 1000f64.powf(f64::from(at) / 20_000.0);
    let mut sketch = Sketch::new(Limits::WHOLE.buckets);
    (0..=20_000).for_each(|at| sketch.add(number(at)));
    for quantile in sketch.quantiles() {
        let exact = number((quantile.share * 20_001.0).ceil() as u32 - 1);
        let off = (quantile.value - exact).abs() / exact;
        assert!(off < 1.0 / 128.0, "{quantile:?}, not {exact}");
    }
    let bins = sketch.bins();
    assert_eq!(bins.len(), 10);
    assert!(
        bins.iter().all(|bin| bin.count.abs_diff(2000) < 30),
        "{bins:?}"
    );
}

#[test]
fn deviations_survive_large_numbers() {
    let values: Vec<Option<f64>> = (0..10).map(|x| Some(1e15 + f64::from(x))).collect();
    let numbers = column(&values, Limits::WHOLE).statistics().numbers.unwrap();
    assert_eq!(numbers.mean, Some(1e15 + 4.5));
    let expected = (82.5f64 / 9.0).sqrt();
    let found = numbers.standard_deviation.unwrap();
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    // The square of 1e200 is no double.
    let vast = column(&[Some(1e200), Some(3.0)], Limits::WHOLE).statistics();
    let numbers = vast.numbers.unwrap();
    assert_eq!(
        (numbers.standard_deviation, numbers.mean),
        (None, Some(5e199))
    );
    // Here only the sum of the squares is none.
    let wide = column(&[Some(1.3e154), Some(-1.3e154)], Limits::WHOLE).statistics();
    let numbers = wide.numbers.unwrap();
    assert_eq!(
        (numbers.standard_deviation, numbers.mean),
        (None, Some(0.0))
    );
    let beyond = column(&[Some(f64::MAX), Some(f64::MAX)], Limits::WHOLE).statistics();
    assert_eq!(beyond.numbers.unwrap().mean, None);
}

#[test]
fn equal_numbers_share_a_bin_and_what_lies_below_them_has_one() {
    let bins = |values: &[f64]| {
        let mut sketch = Sketch::new(256);
        values.iter().for_each(|&value| sketch.add(value));
        let bins = sketch.bins();
        bins.iter()
            .map(|bin| (bin.upto, bin.count))
            .collect::<Vec<_>>()
    };
    let zeros = [vec![0.0; 9], vec![7.0]].concat();
    let below = 0f64.next_down();
    assert_eq!(bins(&zeros), [(Some(below), 0), (Some(0.0), 9), (None, 1)]);
    assert_eq!(
        bins(&[5.0; 3]),
        [(Some(5f64.next_down()), 0), (Some(5.0), 3), (None, 0)]
    );
    let ten: Vec<f64> = (0..100).map(f64::from).collect();
    let found = bins(&ten);
    assert_eq!(found.len(), 10);
    assert_eq!(found[0], (Some(9.0), 10));
    assert_eq!(found[9], (None, 10));
    assert_eq!(bins(&[]), []);
}

#[test]
fn other_kinds() {
    let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![
        Some(true),
        None,
        Some(false),
        Some(true),
    ]));
    let mut column = Column::new("late", &DataType::Boolean, Limits::WHOLE);
    column.add(&booleans);
    let found = column.statistics();
    assert_eq!((found.rows, found.missing), (4, 1));
    assert_eq!(found.booleans.unwrap().true_share, Some(2.0 / 3.0));

    let long = "x".repeat(500);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("b"),
        Some("a"),
        Some("b"),
        Some(&long),
        None,
    ]));
    let mut column = Column::new("text", &DataType::Utf8, Limits::WHOLE);
    column.add(&texts);
    let found = column.statistics().texts.unwrap();
    let values: Vec<_> = (found.values.iter())
        .map(|value| (value.value.as_str(), value.count))
        .collect();
    assert_eq!(values, [("b", 2), ("a", 1)]);
    assert_eq!((found.other, found.distinct), (1, None));
}
