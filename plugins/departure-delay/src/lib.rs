//! How late a flight left its gate.

use tidemill_sdk::prelude::*;

/// From how many minutes on a departure counts as late: the usage of the US Bureau of Transportation Statistics.
const LATE: f64 = 15.0;

/// One flight leg at the gate.
#[derive(Input)]
pub struct Leg {
    /// When the flight should leave the gate.
    pub scheduled: Timestamp,
    /// When it left the gate; null while it stands there.
    pub departed: Option<Timestamp>,
}

/// How late it was.
#[derive(Output)]
pub struct Delay {
    /// Minutes from schedule to departure; negative where it left early, null where it has not left.
    pub minutes_late: Option<f64>,
    /// Whether it left more than 15 minutes late.
    pub is_late: bool,
}

/// Minutes between schedule and departure of a flight.
#[transform]
pub fn departure_delay(leg: Leg) -> Delay {
    let minutes_late = leg
        .departed
        .map(|departed| departed.minutes_since(leg.scheduled));
    Delay {
        minutes_late,
        is_late: minutes_late.is_some_and(|minutes| minutes > LATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    #[test]
    fn late_early_on_time_and_not_gone() {
        let answer = run::<departure_delay>(rows![
            { scheduled: "2013-01-01T05:15:00-05:00", departed: "2013-01-01T05:17:00-05:00" },
            { scheduled: "2013-01-01T05:15:00-05:00", departed: "2013-01-01T05:10:30-05:00" },
            { scheduled: "2013-01-01T23:50:00-05:00", departed: "2013-01-02T00:05:00-05:00" },
            { scheduled: "2013-01-01T23:50:00-05:00", departed: "2013-01-02T00:05:00.000001-05:00" },
            { scheduled: "2013-01-01T05:15:00-05:00", departed: null },
        ]);
        assert_eq!(
            answer,
            rows![
                { minutes_late: 2.0, is_late: false },
                { minutes_late: -4.5, is_late: false },
                { minutes_late: 15.0, is_late: false },
                { minutes_late: 900_000_001.0 / 6e7, is_late: true },
                { minutes_late: null, is_late: false },
            ]
        );
    }
}
