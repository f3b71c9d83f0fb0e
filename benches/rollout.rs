//! What a canary and a shadow cost the request they are no part of: the choice of the canary by its hash, and the place in
//! the queue of shadows, beside decoding the smallest of bodies (the floor).
//!
//! CPU time of this thread, the median of several rounds, so that neighbours on the machine count little.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ThreadTime;
use tidemill::app::App;
use tidemill::config::{Config, StoreKind};
use tidemill::registry::{AliasSettings, Mover};
use tidemill::request::decode;
use tidemill::service::{Definition, Wanted};
use tidemill::shadow::Answered;
use uuid::Uuid;

const SERVICE: &str = r#"
name = "shop"
features = ["x"]
[request]
customer = "text"
x = "f64"
"#;

const BODY: &[u8] = br#"{"inputs": {"customer": "c-1234567", "x": 12.5}}"#;

const SETTINGS: &str = r#"{"version": 1, "shadow": [{"version": 2}],
    "canary": {"version": 2, "share": 0.05, "key": "customer"}}"#;

fn main() {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let data = tempfile::tempdir().expect("a folder");
    let mut config = Config {
        data_dir: data.path().to_owned(),
        ..Config::default()
    };
    config.store.kind = StoreKind::Memory;
    let app = App::open(config).expect("the server opens");
    for doc in ["", "doc = \"the second\""] {
        let definition = Definition::from_toml(&format!("{doc}{SERVICE}")).expect("a service");
        app.registry
            .register_service(definition)
            .expect("it is registered");
    }
    let settings: AliasSettings = serde_json::from_str(SETTINGS).expect("settings");
    let mover = Mover {
        by: "bench",
        reason: None,
    };
    app.registry
        .move_alias("shop", "stable", settings, mover)
        .expect("it moves");

    let asked = app.registry.catalog().asked("shop").expect("it is there");
    let plan = &asked.service.plan;
    let decoded = || decode(&plan.request, BODY, plan.limits()).expect("it fits");
    let rows = decoded().rows;
    let rollout = asked.rollout.clone().expect("a rollout");
    let body = Bytes::from_static(BODY);
    let offer = || {
        let answered = Answered {
            request_id: Uuid::from_u128(0),
            at: 0,
            wanted: Wanted::Features,
            version: 1,
            body: &body,
        };
        app.shadows.offer(&rollout, &answered);
    };
    // A round fits into the queue; between rounds it empties.
    let drain = || std::thread::sleep(Duration::from_millis(100));
    for (name, nanos) in [
        (
            "decode the body (the floor)",
            median(500, drain, || _ = black_box(decoded())),
        ),
        (
            "what the id means",
            median(500, drain, || {
                _ = black_box(app.registry.catalog().asked("shop"))
            }),
        ),
        (
            "whose entity it is",
            median(500, drain, || _ = black_box(asked.canary(&rows))),
        ),
        ("a place for a shadow", median(500, drain, offer)),
        ("no place for a shadow", median(20_000, || (), offer)),
    ] {
        println!("{name:28} {nanos:>6.0} ns");
    }
}

/// Of 21 rounds of `count` calls, ns a call.
fn median(count: u32, between: impl Fn(), mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<Duration> = (0..21)
        .map(|_| {
            between();
            let start = ThreadTime::now();
            (0..count).for_each(|_| call());
            start.elapsed() / count
        })
        .collect();
    rounds.sort();
    rounds[rounds.len() / 2].as_secs_f64() * 1e9
}
