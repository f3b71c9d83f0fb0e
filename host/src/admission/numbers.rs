//! Numbers and moments: those of every day, and those at which code goes wrong.

use super::random::Random;
use crate::schema::Field;

/// Draws before a value that fits the range is made by force.
const TRIES: usize = 8;

const ODD_FLOATS: [f64; 26] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    0.1,
    5e-324,
    f64::MIN_POSITIVE,
    -f64::MIN_POSITIVE,
    f64::EPSILON,
    f64::MAX,
    f64::MIN,
    1e300,
    -1e300,
    1e15,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_807.0,
    -9_223_372_036_854_775_808.0,
    18_446_744_073_709_551_616.0,
    90.0,
    -180.0,
    360.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];
/// Whole numbers that people write. No other whole float comes up but by a chance of one in billions, so that what a
/// transform does at a number of its own is not found out here: that is what its own tests are for.
const SMALL: [i64; 8] = [0, 1, -1, 2, 3, 10, 100, 1_000];
const ODD_INTEGERS: [i64; 20] = [
    0,
    1,
    -1,
    7,
    255,
    256,
    -32_769,
    65_536,
    i32::MAX as i64,
    i32::MIN as i64,
    1 << 32,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53) - 1,
    999_999_999_999,
    i64::MIN,
    i64::MIN + 1,
    i64::MAX - 1,
    i64::MAX,
];
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const ODD_MOMENTS: [i64; 18] = [
    0,
    -1,
    1,
    DAY - 1,
    // Leap days, the end of a leap second's day, the hours when New York's clocks change, the last second of 32 bits.
    951_782_400 * SECOND,
    1_330_473_600 * SECOND,
    1_483_228_799 * SECOND,
    1_362_898_799 * SECOND,
    1_362_898_800 * SECOND,
    1_383_458_400 * SECOND,
    i32::MAX as i64 * SECOND,
    // The year 1, 1582, the year 9999 and what lies beyond any calendar.
    -62_135_596_800 * SECOND,
    -12_219_292_800 * SECOND,
    253_402_207_199 * SECOND,
    253_402_300_800 * SECOND,
    -100_000_000 * DAY,
    i64::MIN,
    i64::MAX,
];

/// A float within the field's range; NaN and the infinities only where no range speaks against them.
pub(super) fn float(random: &mut Random, field: &Field, odd: bool) -> f64 {
    let (low, high) = (field.minimum, field.maximum);
    let fits = |value: &f64| match (low, high) {
        (None, None) => true,
        _ => low.is_none_or(|low| *value >= low) && high.is_none_or(|high| *value <= high),
    };
    if odd && random.percent(30) {
        let ends: Vec<f64> = low.into_iter().chain(high).collect();
        if !ends.is_empty() {
            return random.of(&ends);
        }
    }
    // Within two ends, half of the values come from all over the range: others may seldom fit.
    if let (Some(low), Some(high)) = (low, high)
        && random.percent(50)
    {
        return random.between(low, high);
    }
    (0..TRIES)
        .map(|_| match odd {
            true => random.of(&ODD_FLOATS),
            false => typical_float(random),
        })
        .find(fits)
        .unwrap_or_else(|| match (low, high) {
            (Some(low), Some(high)) => random.between(low, high),
            (Some(low), None) => low + size(random),
            (None, Some(high)) => high - size(random),
            (None, None) => random.unit(),
        })
}

/// Parts, percentages, degrees, prices, and anything from a thousandth to millions.
fn typical_float(random: &mut Random) -> f64 {
    match random.below(10) {
        0 => random.of(&SMALL) as f64,
        1 => random.unit(),
        2 => random.between(-1.0, 1.0),
        3 | 4 => random.between(-90.0, 90.0),
        5 => random.between(-180.0, 180.0),
        6 | 7 => random.between(0.0, 100.0),
        8 => -size(random),
        _ => size(random),
    }
}

/// From a thousandth to ten million, each power of ten as likely as the next.
fn size(random: &mut Random) -> f64 {
    // The exponent is stepwise: no `powf`, whose last bit is each platform's own.
    let power = random.of(&[1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6]);
    power * random.between(1.0, 10.0)
}

/// An integer within the field's range.
pub(super) fn integer(random: &mut Random, field: &Field, odd: bool) -> i64 {
    // A range has floats for ends; a cast stops at the ends of i64.
    let low = field.minimum.map(|low| low.ceil() as i64);
    let high = field.maximum.map(|high| high.floor() as i64);
    let fits =
        |value: &i64| low.is_none_or(|low| *value >= low) && high.is_none_or(|high| *value <= high);
    if odd && random.percent(30) {
        let ends: Vec<i64> = low.into_iter().chain(high).filter(fits).collect();
        if !ends.is_empty() {
            return random.of(&ends);
        }
    }
    if let (Some(low), Some(high)) = (low, high)
        && random.percent(50)
    {
        return within(random, low, high);
    }
    (0..TRIES)
        .map(|_| match odd {
            true => random.of(&ODD_INTEGERS),
            false => typical_integer(random),
        })
        .find(fits)
        .unwrap_or_else(|| match (low, high) {
            (Some(low), Some(high)) => within(random, low, high),
            (Some(low), None) => low.saturating_add(size(random) as i64),
            (None, Some(high)) => high.saturating_sub(size(random) as i64),
            (None, None) => 0,
        })
}

fn typical_integer(random: &mut Random) -> i64 {
    match random.below(5) {
        0 => random.of(&SMALL),
        1 => random.below(24) as i64,
        2 => random.below(201) as i64 - 100,
        3 => random.below(10_000) as i64,
        _ => size(random) as i64,
    }
}

/// From `low` to `high`; `low` where there is no whole number between them.
fn within(random: &mut Random, low: i64, high: i64) -> i64 {
    let width = high.saturating_sub(low).max(0) as u64;
    low.wrapping_add((random.bits() % (width.saturating_add(1))) as i64)
}

/// Microseconds since 1970: mostly of 2000 to 2035, to the microsecond, the second or the day.
pub(super) fn moment(random: &mut Random, odd: bool) -> i64 {
    if odd {
        return random.of(&ODD_MOMENTS);
    }
    let days = 10_957 + random.below(12_783) as i64;
    let micros = random.below(DAY as usize) as i64;
    let within_day = match random.below(4) {
        0 => micros,
        1 => 0,
        2 => micros / (3_600 * SECOND) * 3_600 * SECOND,
        _ => micros / SECOND * SECOND,
    };
    days * DAY + within_day
}
