//! Requests and answers: their JSON, and all of what happens between the two.

use std::hint::black_box;

use anyhow::{Result, ensure};
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use tidemill::http::Answer;
use uuid::Uuid;

use super::Lines;
use super::demo::{Demo, bodies, in_turn};
use crate::server::floor_router;
use crate::timing::Subject;

const SCORE: &str = "/v1/services/flight-delay/score";

/// A request as a program would have it that knows one service only. Its times stay text.
#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read counts, not who looks at it")]
struct Typed<'a> {
    #[serde(borrow)]
    inputs: Option<Flight<'a>>,
    rows: Option<Vec<Flight<'a>>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read counts, not who looks at it")]
struct Flight<'a> {
    flight_id: &'a str,
    carrier: &'a str,
    tailnum: Option<&'a str>,
    origin: &'a str,
    dest: &'a str,
    scheduled: &'a str,
    departed: &'a str,
}

/// An answer likewise.
#[derive(Deserialize, Serialize)]
struct TypedAnswer {
    request_id: String,
    service: String,
    service_version: u32,
    model: String,
    model_version: u32,
    model_digest: String,
    transforms: Vec<Pinned>,
    results: Vec<Scored>,
}

#[derive(Deserialize, Serialize)]
struct Pinned {
    r#as: String,
    name: String,
    version: String,
    digest: String,
}

#[derive(Deserialize, Serialize)]
struct Scored {
    score: f64,
    outputs: Outputs,
    lookups: LookUps,
}

#[derive(Deserialize, Serialize)]
struct Outputs {
    label: i64,
    probabilities: [f64; 2],
}

#[derive(Deserialize, Serialize)]
struct LookUps {
    plane: String,
    origin_airport: String,
    dest_airport: String,
    weather: String,
}

pub fn json(demo: &Demo, lines: &Lines) -> Result<()> {
    lines.group("a request's JSON into columns, an answer's out of them; a row");
    let service = demo.service("flight-delay")?;
    let plan = &service.plan;
    for count in [1, 100, 1_000] {
        let bodies = bodies(if count == 1 { 0 } else { count })?;
        let (mut ours, mut theirs) = (in_turn(&bodies), in_turn(&bodies));
        lines.compare(
            Subject::new("serde_json", || {
                black_box(serde_json::from_slice::<Typed>(theirs()).expect("flights"));
            })
            .of(count),
            vec![
                Subject::new(format!("decode, rows {count}"), || {
                    let decoded = tidemill::request::decode(&plan.request, ours(), plan.limits());
                    black_box(decoded.expect("flights"));
                })
                .of(count),
            ],
        );
        let scored = demo.scored(&service, &bodies[0])?;
        let answer = Answer {
            service: &service,
            scored: &scored,
            features: false,
            top_k: None,
            timings: None,
        };
        let id = Uuid::now_v7();
        let written = answer.encode(id);
        let typed: TypedAnswer = serde_json::from_slice(&written)?;
        ensure!(
            serde_json::to_vec(&typed)? == written,
            "the two ways to write an answer differ: the floor is another thing's"
        );
        lines.compare(
            Subject::new("serde_json", || {
                black_box(serde_json::to_vec(black_box(&typed)).expect("JSON"));
            })
            .of(count),
            vec![
                Subject::new(format!("encode, rows {count}"), || {
                    black_box(answer.encode(black_box(id)));
                })
                .of(count),
            ],
        );
    }
    Ok(())
}

pub fn requests(demo: &Demo, lines: &Lines) -> Result<()> {
    lines.group("a request without a socket");
    let one = bodies(0)?;
    let floor = floor_router(demo.ask(SCORE, &one[0])?.len());
    let (mut ours, mut theirs) = (in_turn(&one), in_turn(&one));
    lines.compare(
        Subject::new("a constant", || {
            black_box(demo.ask_of(&floor, SCORE, theirs()).expect("an answer"));
        }),
        vec![Subject::new("score, a row", || {
            black_box(demo.ask(SCORE, ours()).expect("an answer"));
        })],
    );

    let features = |count: usize| {
        let (path, mut body) = (transforms(demo, count)?, in_turn(&one));
        demo.ask(&path, body())?;
        anyhow::Ok(Subject::new(
            format!("features, a row, transforms {count}"),
            move || {
                black_box(demo.ask(&path, body()).expect("an answer"));
            },
        ))
    };
    let mut bare = features(0)?;
    bare.what = "none".to_owned();
    lines.compare(bare, vec![features(1)?, features(2)?, features(4)?]);

    let ask = |body: &Bytes| {
        let answer = demo.ask("/v1/services/card-features/features", body);
        black_box(answer.expect("an answer"));
    };
    let (single, whole, shared) = payments();
    lines.compare(
        Subject::new("apart", || single.iter().for_each(ask)).of(PAYMENTS),
        vec![
            Subject::new("a payment of 200 in a request", || ask(&whole)).of(PAYMENTS),
            Subject::new("a payment of 200, one customer shared", || ask(&shared)).of(PAYMENTS),
        ],
    );
    Ok(())
}

/// Registers the flights' service with so many of its transforms and without its model, and says where to ask it. All its
/// look-ups are made in any case.
fn transforms(demo: &Demo, count: usize) -> Result<String> {
    let name = format!("transforms-{count}");
    let mut features: Vec<String> = ["plane.seats", "origin_airport.lat", "dest_airport.lat"]
        .map(str::to_owned)
        .into();
    features.push("weather.temp".to_owned());
    let service = demo.service("flight-delay")?;
    for (step, _) in service.plan.transforms().take(count) {
        let columns = step.columns.fields().iter();
        features.extend(columns.map(|field| format!("{}.{}", step.alias, field.name)));
    }
    demo.register(&name, |definition| {
        definition.transforms.truncate(count);
        definition.features = Some(features);
        definition.model = None;
        definition.output = None;
    })?;
    Ok(format!("/v1/services/{name}/features"))
}

const PAYMENTS: usize = 200;
const CUSTOMER: &str = r#""customer_id": "c-0272", "currency": "USD", "at": "2025-03-28T12:08:13+12:00", "lat": -18.1373, "lon": 178.437"#;

/// Payments of one customer: in as many requests, in one, and in one that says once what they share.
fn payments() -> (Vec<Bytes>, Bytes, Bytes) {
    let own: Vec<String> = (0..PAYMENTS)
        .map(|at| {
            let category = ["grocery", "fuel", "travel", "online", "other"][at % 5];
            format!(r#""payment_id": "p-{at}", "amount": {at}.5, "category": "{category}""#)
        })
        .collect();
    let joined = |row: &dyn Fn(&String) -> String| {
        let rows: Vec<String> = own.iter().map(row).collect();
        rows.join(", ")
    };
    let single = own
        .iter()
        .map(|own| format!(r#"{{"inputs": {{{own}, {CUSTOMER}}}}}"#).into());
    let whole = joined(&|own| format!("{{{own}, {CUSTOMER}}}"));
    let shared = joined(&|own| format!("{{{own}}}"));
    (
        single.collect(),
        format!(r#"{{"rows": [{whole}]}}"#).into(),
        format!(r#"{{"shared": {{{CUSTOMER}}}, "rows": [{shared}]}}"#).into(),
    )
}
