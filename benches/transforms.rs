//! What the sandbox costs: each plugin natively (the floor), as Wasm on a warm instance, and on a fresh one.
//!
//! CPU time of this thread, the median of several rounds, so that neighbours on the machine count little.

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use tidemill::block::{Block, Parts, RowsBuilder};
use tidemill::request::decode_row;
use tidemill::transform::{Engine, Limits, Transform};
use tidemill_sdk::__private::bindings::tidemill::transform::types::Block as NativeBlock;
use tidemill_sdk::Transform as Native;

#[path = "components.rs"]
mod components;

/// A plugin: its name, a typical row, and the same code compiled natively.
struct Subject {
    name: &'static str,
    row: &'static str,
    native: fn(&NativeBlock),
}

fn native<T: Native>(block: &NativeBlock) {
    drop(black_box(T::transform(block)));
}

const SUBJECTS: [Subject; 5] = [
    Subject {
        name: "departure-delay",
        row: r#"{"scheduled": "2013-01-01T05:15:00-05:00", "departed": "2013-01-01T05:17:00-05:00"}"#,
        native: native::<departure_delay::departure_delay>,
    },
    Subject {
        name: "great-circle",
        row: r#"{"from_lat": 40.6925, "from_lon": -74.168667, "to_lat": 29.984433, "to_lon": -95.341442}"#,
        native: native::<great_circle::great_circle>,
    },
    Subject {
        name: "local-calendar",
        row: r#"{"at": "2013-01-01T05:15:00-05:00", "zone": "America/New_York"}"#,
        native: native::<local_calendar::local_calendar>,
    },
    Subject {
        name: "weather-risk",
        row: r#"{"temp": 39.02, "wind_speed": 12.7, "wind_gust": null, "precip": 0.01, "visib": 9.0}"#,
        native: native::<weather_risk::weather_risk>,
    },
    Subject {
        name: "card-payment",
        row: r#"{"amount": 12.5, "currency": "USD", "category": "fuel", "at": "2025-03-28T12:08:13Z", "lat": 52.5,
            "lon": 13.4, "home_lat": 48.1, "home_lon": 11.6, "utc_offset_minutes": 60, "mean_amount_eur": 20.0}"#,
        native: native::<card_payment::card_payment>,
    },
];

fn main() {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let engine = Engine::new(Limits::default(), None).expect("an engine");
    println!("CPU time a row; × is the ratio to native\n");
    println!(
        "{:<16} {:>6} {:>11} {:>20} {:>21}",
        "transform", "rows", "native", "Wasm, warm", "Wasm, fresh"
    );
    for subject in SUBJECTS {
        let component = components::build(subject.name);
        let transform = engine.load(&component).expect("a transform");
        for count in [1, 100, 10_000] {
            measure(&subject, &transform, count);
        }
    }
}

fn measure(subject: &Subject, transform: &Transform, count: usize) {
    let block = host_block(transform, subject.row, count);
    let native_block = native_block(block.clone());
    let calls = (20_000 / count).max(3);
    let native = cost(calls, || (subject.native)(black_box(&native_block)));
    let warm = cost(calls, || {
        drop(black_box(
            transform.call(black_box(&block)).expect("an answer"),
        ))
    });
    let fresh = cost((calls / 10).max(3), || {
        drop(black_box(
            transform.call_fresh(black_box(&block)).expect("an answer"),
        ))
    });
    let row = |time: Duration| format!("{:.1} ns", time.as_secs_f64() * 1e9 / count as f64);
    let ratio = |time: Duration| {
        format!(
            "{} ({:.2} ×)",
            row(time),
            time.as_secs_f64() / native.as_secs_f64()
        )
    };
    println!(
        "{:<16} {count:>6} {:>11} {:>20} {:>21}",
        subject.name,
        row(native),
        ratio(warm),
        ratio(fresh)
    );
}

/// The median of nine rounds of so many calls, for one call.
fn cost(calls: usize, mut call: impl FnMut()) -> Duration {
    let mut rounds: Vec<Duration> = (0..9)
        .map(|_| {
            let start = ThreadTime::now();
            (0..calls).for_each(|_| call());
            start.elapsed() / calls as u32
        })
        .collect();
    rounds.sort();
    rounds[rounds.len() / 2]
}

fn host_block(transform: &Transform, row: &str, count: usize) -> Block {
    let schema = &transform.description().inputs;
    let mut builder = RowsBuilder::new(schema);
    for line in 1..=count {
        decode_row(schema, row.as_bytes(), line, &mut builder).expect("a row");
    }
    builder.finish()
}

fn native_block(block: Block) -> NativeBlock {
    let parts = Parts::from(block);
    NativeBlock {
        rows: parts.rows as u32,
        floats: parts.floats,
        integers: parts.integers,
        booleans: parts.booleans,
        text: parts.text,
        text_ends: parts.text_ends,
        list_offsets: parts.list_offsets,
        validity: parts.validity,
    }
}
