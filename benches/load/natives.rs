//! The demo's transforms compiled into this program, called over the same blocks.

use std::hint::black_box;

use anyhow::{Context, Result};
use tidemill::block::{Block, Parts};
use tidemill_sdk::__private::bindings::tidemill::transform::types::Block as NativeBlock;
use tidemill_sdk::Transform;

/// A transform: its name, a typical row of its inputs, and the same code natively.
pub struct Native {
    pub name: &'static str,
    pub row: &'static str,
    call: fn(&NativeBlock),
}

fn call<T: Transform>(block: &NativeBlock) {
    drop(black_box(T::transform(block)));
}

pub const NATIVES: [Native; 6] = [
    Native {
        name: "departure-delay",
        row: r#"{"scheduled": "2013-01-01T05:15:00-05:00", "departed": "2013-01-01T05:17:00-05:00"}"#,
        call: call::<departure_delay::departure_delay>,
    },
    Native {
        name: "great-circle",
        row: r#"{"from_lat": 40.6925, "from_lon": -74.168667, "to_lat": 29.984433, "to_lon": -95.341442}"#,
        call: call::<great_circle::great_circle>,
    },
    Native {
        name: "local-calendar",
        row: r#"{"at": "2013-01-01T05:15:00-05:00", "zone": "America/New_York"}"#,
        call: call::<local_calendar::local_calendar>,
    },
    Native {
        name: "weather-risk",
        row: r#"{"temp": 39.02, "wind_speed": 12.7, "wind_gust": null, "precip": 0.01, "visib": 9.0}"#,
        call: call::<weather_risk::weather_risk>,
    },
    Native {
        name: "card-payment",
        row: r#"{"amount": 12.5, "currency": "USD", "category": "fuel", "at": "2025-03-28T12:08:13Z", "lat": 52.5,
            "lon": 13.4, "home_lat": 48.1, "home_lon": 11.6, "utc_offset_minutes": 60, "mean_amount_eur": 20.0}"#,
        call: call::<card_payment::card_payment>,
    },
    Native {
        name: "delay-notice",
        row: r#"{"probabilities": [0.7, 0.3], "odds": 1.0}"#,
        call: call::<delay_notice::delay_notice>,
    },
];

impl Native {
    pub fn of(name: &str) -> Result<&'static Native> {
        let found = NATIVES.iter().find(|native| native.name == name);
        found.with_context(|| format!("{name} is not compiled into this program"))
    }

    /// A call over the rows of `block`, again and again.
    pub fn over(&self, block: Block) -> impl FnMut() + use<> {
        let parts = Parts::from(block);
        let block = NativeBlock {
            rows: parts.rows as u32,
            floats: parts.floats,
            integers: parts.integers,
            booleans: parts.booleans,
            text: parts.text,
            text_ends: parts.text_ends,
            list_offsets: parts.list_offsets,
            validity: parts.validity,
        };
        let call = self.call;
        move || call(black_box(&block))
    }
}
