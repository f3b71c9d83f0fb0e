//! What `departure-delay` might become: no fault, but who leaves early counts as on time.

use tidemill_sdk::prelude::*;

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
    /// Minutes from schedule to departure; 0 where it left early, null where it has not left.
    pub minutes_late: Option<f64>,
    /// Whether it left more than 15 minutes late.
    pub is_late: bool,
}

/// Minutes between schedule and departure of a flight.
#[transform(name = "departure-delay", version = "1.1.0")]
pub fn departure_delay(leg: Leg) -> Delay {
    let minutes_late = leg
        .departed
        .map(|departed| departed.minutes_since(leg.scheduled).max(0.0));
    Delay {
        minutes_late,
        is_late: minutes_late.is_some_and(|minutes| minutes > 15.0),
    }
}
