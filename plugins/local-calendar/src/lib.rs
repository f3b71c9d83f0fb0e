//! Hour and weekday of a moment in a time zone.

use std::cell::RefCell;
use std::f64::consts::TAU;

use jiff::tz::TimeZone;
use tidemill_sdk::prelude::*;

/// A moment, and the zone in which it is looked at.
#[derive(Input)]
pub struct Moment<'a> {
    /// Any moment from the year 1 to 9999.
    pub at: Timestamp,
    /// Name in the IANA time zone database, like America/New_York. Where it is missing, there is no answer.
    pub zone: Option<&'a str>,
}

/// Two points on the unit circle, so that 23:59 lies beside 00:00 and Sunday beside Monday.
#[derive(Output)]
pub struct Calendar {
    /// Sine of the local time of day, 0 at midnight, 1 at six in the morning.
    #[field(min = -1.0, max = 1.0)]
    pub hour_sin: Option<f64>,
    /// Cosine of the local time of day, 1 at midnight, −1 at noon.
    #[field(min = -1.0, max = 1.0)]
    pub hour_cos: Option<f64>,
    /// Sine of the local day of the week, 0 on Monday.
    #[field(min = -1.0, max = 1.0)]
    pub weekday_sin: Option<f64>,
    /// Cosine of the local day of the week, 1 on Monday.
    #[field(min = -1.0, max = 1.0)]
    pub weekday_cos: Option<f64>,
}

/// Local hour and weekday as points on a circle: 2π · hour / 24 and 2π · weekday / 7, as sine and cosine.
///
/// The hour is what clocks in the zone show, daylight saving included, in steps of a second; Monday is 0. The rules
/// are those of the time zone database built into this component: a newer database is a newer version of it.
#[transform]
pub fn local_calendar(moment: Moment) -> Result<Calendar, Refusal> {
    let Some(name) = moment.zone else {
        return Ok(Calendar {
            hour_sin: None,
            hour_cos: None,
            weekday_sin: None,
            weekday_cos: None,
        });
    };
    let Some(zone) = zone(name) else {
        refuse!("no time zone `{name}`; zones have names like America/New_York");
    };
    let utc = jiff::Timestamp::from_microsecond(moment.at.micros())?;
    let local = zone.to_datetime(utc);
    let hour = f64::from(local.hour())
        + f64::from(local.minute()) / 60.0
        + f64::from(local.second()) / 3600.0;
    let (hour_sin, hour_cos) = circle(hour / 24.0);
    let (weekday_sin, weekday_cos) =
        circle(f64::from(local.weekday().to_monday_zero_offset()) / 7.0);
    Ok(Calendar {
        hour_sin,
        hour_cos,
        weekday_sin,
        weekday_cos,
    })
}

/// The zone of that name, if there is one. Rows of one zone often lie side by side, so the last one is at hand: to find it
/// among all names costs more than the rest of a row. This is no memory that could change an answer, for a zone does not
/// change.
fn zone(name: &str) -> Option<TimeZone> {
    thread_local! {
        static LAST: RefCell<Option<(String, TimeZone)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((known, zone)) if known == name => Some(zone.clone()),
        _ => {
            let zone = TimeZone::get(name).ok()?;
            *last = Some((name.to_owned(), zone.clone()));
            Some(zone)
        }
    })
}

/// Sine and cosine of a part of the whole turn.
fn circle(part: f64) -> (Option<f64>, Option<f64>) {
    let (sin, cos) = (TAU * part).sin_cos();
    (Some(sin), Some(cos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    /// The local hour and weekday that lie behind the four numbers.
    #[track_caller]
    fn read_back(at: &str, zone: &str) -> (f64, f64) {
        let moment = Moment {
            at: at.parse().unwrap(),
            zone: Some(zone),
        };
        let calendar = local_calendar(moment).unwrap();
        let part = |sin: Option<f64>, cos: Option<f64>| {
            sin.unwrap().atan2(cos.unwrap()).rem_euclid(TAU) / TAU
        };
        let rounded = |value: f64| (value * 3600.0).round() / 3600.0;
        let hour = rounded(part(calendar.hour_sin, calendar.hour_cos) * 24.0);
        (
            hour,
            rounded(part(calendar.weekday_sin, calendar.weekday_cos) * 7.0),
        )
    }

    const SATURDAY: f64 = 5.0;
    const SUNDAY: f64 = 6.0;
    const MONDAY: f64 = 0.0;

    #[test]
    fn spring_forward_in_new_york() {
        assert_eq!(
            read_back("2013-03-10T06:59:59Z", "America/New_York"),
            (1.0 + 3599.0 / 3600.0, SUNDAY)
        );
        assert_eq!(
            read_back("2013-03-10T07:00:00Z", "America/New_York"),
            (3.0, SUNDAY)
        );
        assert_eq!(
            read_back("2013-03-10T04:30:00Z", "America/New_York"),
            (23.5, SATURDAY)
        );
    }

    #[test]
    fn fall_back_in_new_york() {
        assert_eq!(
            read_back("2013-11-03T05:30:00Z", "America/New_York"),
            (1.5, SUNDAY)
        );
        assert_eq!(
            read_back("2013-11-03T06:30:00Z", "America/New_York"),
            (1.5, SUNDAY)
        );
        assert_eq!(
            read_back("2013-11-04T04:30:00Z", "America/New_York"),
            (23.5, SUNDAY)
        );
        assert_eq!(
            read_back("2013-11-04T05:00:00Z", "America/New_York"),
            (0.0, MONDAY)
        );
    }

    #[test]
    fn the_south_half_hours_and_no_daylight_saving() {
        // Sydney leaves daylight saving on 2013-04-07.
        assert_eq!(
            read_back("2013-04-06T15:30:00Z", "Australia/Sydney"),
            (2.5, SUNDAY)
        );
        assert_eq!(
            read_back("2013-04-06T16:30:00Z", "Australia/Sydney"),
            (2.5, SUNDAY)
        );
        assert_eq!(
            read_back("2013-07-01T00:00:00Z", "Asia/Kolkata"),
            (5.5, MONDAY)
        );
        assert_eq!(
            read_back("2013-03-10T12:00:00Z", "America/Phoenix"),
            (5.0, SUNDAY)
        );
        assert_eq!(
            read_back("2013-07-01T12:00:00Z", "America/Phoenix"),
            (5.0, MONDAY)
        );
    }

    #[test]
    fn long_ago_and_far_ahead() {
        // Local mean time before the railways: New York at −4:56:02.
        assert_eq!(
            read_back("1850-01-01T04:56:02Z", "America/New_York"),
            (0.0, 1.0)
        );
        // Beyond the table, the rule goes on.
        assert_eq!(
            read_back("2200-07-01T12:00:00Z", "America/New_York"),
            (8.0, 1.0)
        );
    }

    #[test]
    fn fractions_of_a_second_are_dropped() {
        let at = |at: &str| read_back(at, "UTC").0;
        assert_eq!(
            at("2013-01-01T00:00:01.999999Z"),
            at("2013-01-01T00:00:01Z")
        );
        assert_eq!(at("1969-12-31T23:59:59.5Z"), at("1969-12-31T23:59:59Z"));
    }

    #[test]
    fn no_zone_and_an_unknown_one() {
        let answer = run::<local_calendar>(rows![
            { at: "2013-01-07T00:00:00Z", zone: "UTC" },
            { at: "2013-01-07T00:00:00Z", zone: null },
            { at: "2013-01-07T00:00:00Z", zone: "Atlantis/Capital" },
        ]);
        assert_eq!(
            answer.refusals(),
            [(
                2,
                "no time zone `Atlantis/Capital`; zones have names like America/New_York"
            )]
        );
        for (column, expected) in [
            ("hour_sin", 0.0),
            ("hour_cos", 1.0),
            ("weekday_sin", 0.0),
            ("weekday_cos", 1.0),
        ] {
            assert_eq!(
                answer.column::<Option<f64>>(column),
                [Some(expected), None, None]
            );
        }
    }
}
