//! Moments in time, without a calendar library.

use std::fmt;
use std::str::FromStr;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A moment: microseconds since 1970-01-01T00:00:00 UTC, without leap seconds.
///
/// Time enters a transform as a column; there is no clock to ask.
///
/// ```
/// # use tidemill_sdk::prelude::*;
/// let scheduled: Timestamp = "2013-01-01T05:15:00-05:00".parse().unwrap();
/// let departed: Timestamp = "2013-01-01T10:17:30Z".parse().unwrap();
/// assert_eq!(departed.minutes_since(scheduled), 2.5);
/// assert_eq!(departed.to_string(), "2013-01-01T10:17:30Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Timestamp(i64);

/// The text is no RFC 3339 timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTimestamp(String);

impl Timestamp {
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    #[inline]
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00 UTC.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to this moment; negative where `earlier` is later.
    #[inline]
    pub fn seconds_since(self, earlier: Timestamp) -> f64 {
        self.micros_since(earlier) as f64 / 1e6
    }

    /// Minutes from `earlier` to this moment; negative where `earlier` is later.
    #[inline]
    pub fn minutes_since(self, earlier: Timestamp) -> f64 {
        self.micros_since(earlier) as f64 / 6e7
    }

    /// Microseconds from `earlier` to this moment, held at the ends of `i64`.
    #[inline]
    pub fn micros_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment moved by so many minutes, held at the ends of time.
    #[inline]
    pub fn plus_minutes(self, minutes: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(minutes.saturating_mul(MINUTE)))
    }

    /// Hours since midnight in UTC, from 0 up to 24.
    #[inline]
    pub fn hour_of_day(self) -> f64 {
        self.0.rem_euclid(DAY) as f64 / HOUR as f64
    }

    /// The day of the week in UTC: Monday is 0, Sunday 6.
    #[inline]
    pub fn weekday(self) -> u32 {
        // 1970-01-01 was a Thursday.
        (self.0.div_euclid(DAY) + 3).rem_euclid(7) as u32
    }
}

/// RFC 3339 with an offset or `Z`; digits beyond microseconds are dropped.
impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Timestamp, BadTimestamp> {
        parse(text.as_bytes())
            .map(Timestamp)
            .ok_or_else(|| BadTimestamp(text.into()))
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    let (local, zone) = text.split_at_checked(19)?;
    let shaped =
        (local.iter().zip(b"0000-00-00T00:00:00")).all(|(found, expected)| match expected {
            b'0' => found.is_ascii_digit(),
            b'T' => b"Tt ".contains(found),
            _ => found == expected,
        });
    if !shaped {
        return None;
    }
    let (year, month, day) = (
        number(&local[..4])?,
        number(&local[5..7])?,
        number(&local[8..10])?,
    );
    let (hour, minute, second) = (
        number(&local[11..13])?,
        number(&local[14..16])?,
        number(&local[17..19])?,
    );
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = match zone.split_first() {
        Some((b'.', rest)) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let mut fraction = [b'0'; 6];
            let kept = digits.min(6);
            fraction[..kept].copy_from_slice(&rest[..kept]);
            (digits > 0).then_some((number(&fraction)?, &rest[digits..]))?
        }
        _ => (0, zone),
    };
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            let offset = hours * HOUR + minutes * MINUTE;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some(days * DAY + hour * HOUR + minute * MINUTE + second * 1_000_000 + micros - offset)
}

fn number(digits: &[u8]) -> Option<i64> {
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
    })
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
/// Source: Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html>.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// RFC 3339 in UTC, with as many digits of the second as there are.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY));
        let time = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (time / HOUR, time / MINUTE % 60, time / 1_000_000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        match time % 1_000_000 {
            0 => {}
            micros if micros % 1_000 == 0 => write!(f, ".{:03}", micros / 1_000)?,
            micros => write!(f, ".{micros:06}")?,
        }
        f.write_str("Z")
    }
}

impl fmt::Display for BadTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no RFC 3339 timestamp like 2013-01-01T05:15:00-05:00",
            self.0
        )
    }
}

impl std::error::Error for BadTimestamp {}

/// The same microseconds as timestamps, without a copy.
#[inline]
#[allow(unsafe_code, reason = "a cast between slices has no safe form")]
pub(crate) fn from_micros(micros: &[i64]) -> &[Timestamp] {
    // SAFETY: `Timestamp` is a transparent wrapper of `i64`: same layout, and every bit pattern is valid.
    unsafe { &*(std::ptr::from_ref(micros) as *const [Timestamp]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            (
                "2013-01-01T05:15:00-05:00",
                1_357_035_300_000_000,
                "2013-01-01T10:15:00Z",
            ),
            (
                "2000-02-29T23:59:59.5+05:30",
                951_848_999_500_000,
                "2000-02-29T18:29:59.500Z",
            ),
            (
                "1969-12-31T23:59:59.999999Z",
                -1,
                "1969-12-31T23:59:59.999999Z",
            ),
            (
                "0001-01-01T00:00:00Z",
                -62_135_596_800_000_000,
                "0001-01-01T00:00:00Z",
            ),
        ];
        for (text, micros, back) in cases {
            let timestamp: Timestamp = text.parse().unwrap();
            assert_eq!(
                (timestamp.micros(), timestamp.to_string().as_str()),
                (micros, back)
            );
        }
    }

    #[test]
    fn impossible_texts_are_refused() {
        for text in [
            "",
            "2013-01-01",
            "2013-01-01T05:15:00",
            "2013-02-29T00:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T00:00:00.Z",
            "2013-01-01T00:00:00+5:00",
            "2013-01-01T00:00:00Zé",
            "é013-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(BadTimestamp(text.into())));
        }
    }

    #[test]
    fn days_and_hours() {
        let timestamp: Timestamp = "2013-03-10T06:30:00Z".parse().unwrap();
        assert_eq!((timestamp.weekday(), timestamp.hour_of_day()), (6, 6.5));
        assert_eq!(Timestamp::from_micros(-1).weekday(), 2);
        assert_eq!(timestamp.plus_minutes(-390).hour_of_day(), 0.0);
        assert_eq!(
            Timestamp::from_micros(i64::MIN).micros_since(timestamp),
            i64::MIN
        );
        assert_eq!(timestamp.plus_minutes(i64::MAX).micros(), i64::MAX);
    }
}
