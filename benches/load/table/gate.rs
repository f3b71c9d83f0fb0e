//! What stands before a request: tokens and rules; and what it has no part in: a canary's choice, a shadow's place.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidemill::access::Role;
use tidemill::access::local::is_local_host;
use tidemill::access::rules::rule;
use tidemill::access::tokens::Tokens;
use tidemill::registry::{AliasSettings, Mover};
use tidemill::request::decode;
use tidemill::service::{Definition, Wanted};
use tidemill::shadow::Answered;
use uuid::Uuid;

use super::Lines;
use super::demo::Demo;
use crate::timing::Subject;

const SHOP: &str = r#"
name = "bench-shop"
features = ["x"]
[request]
customer = "text"
x = "f64"
"#;

const BODY: &[u8] = br#"{"inputs": {"customer": "c-1234567", "x": 12.5}}"#;

const SETTINGS: &str = r#"{"version": 1, "shadow": [{"version": 2}],
    "canary": {"version": 2, "share": 0.05, "key": "customer"}}"#;

pub fn measure(demo: &Demo, lines: &Lines) -> Result<()> {
    tokens(lines)?;
    rollout(demo, lines)
}

fn tokens(lines: &Lines) -> Result<()> {
    lines.group("who asks");
    let db = sled::Config::new().temporary(true).open()?;
    let tokens = Tokens::open(&db)?;
    let mut secret = String::new();
    for n in 0..1_000 {
        (_, secret) = tokens.create(&format!("token-{n}"), Role::Client, None, "bench")?;
    }
    let hour = Duration::from_secs(3600);
    let (_, brief) = tokens.create("brief", Role::Client, Some(hour), "bench")?;
    let route = "/v1/services/{id}/score";
    lines.compare(
        Subject::new("SHA-256 of a token", || {
            black_box(Sha256::digest(black_box(&secret)));
        }),
        vec![
            Subject::new("a valid token among 1,001", || {
                _ = black_box(tokens.check(black_box(&secret).as_bytes()));
            }),
            Subject::new("one that expires", || {
                _ = black_box(tokens.check(black_box(&brief).as_bytes()));
            }),
            Subject::new("what a route needs", || {
                black_box(rule(black_box("POST"), black_box(Some(route))));
            }),
            Subject::new("whether a host is local", || {
                black_box(is_local_host(black_box("127.0.0.1:8360")));
            }),
        ],
    );
    Ok(())
}

fn rollout(demo: &Demo, lines: &Lines) -> Result<()> {
    lines.group("a canary and a shadow");
    let app = &demo.app;
    for doc in ["", "doc = \"the second\""] {
        let definition = Definition::from_toml(&format!("{doc}{SHOP}"))?;
        app.registry.register_service(definition)?;
    }
    let settings: AliasSettings = serde_json::from_str(SETTINGS)?;
    let mover = Mover {
        by: "bench",
        reason: None,
    };
    app.registry
        .move_alias("bench-shop", "stable", settings, mover)?;
    let asked = app.registry.catalog().asked("bench-shop")?;
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
    let pause = Duration::from_millis(100);
    lines.compare(
        Subject::new("decoding a small body", || _ = black_box(decoded())),
        vec![
            Subject::new("what an id means", || {
                _ = black_box(app.registry.catalog().asked("bench-shop"));
            }),
            Subject::new("whose entity it is", || {
                _ = black_box(asked.canary(black_box(&rows)))
            }),
            Subject::new("a place for a shadow", offer).paced(500, pause),
            Subject::new("no place for a shadow", offer).paced(20_000, Duration::ZERO),
        ],
    );
    Ok(())
}
