//! What it saves to say once what is the same for all rows: 200 payments of one customer in one request with shared
//! fields, in one request with everything in each row, and in 200 requests of a row.
//!
//! CPU time of the server, over HTTP, that of the client taken off; the median of several rounds.

use std::sync::Arc;
use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};
use tidemill::app::App;
use tidemill::config::Config;

#[path = "components.rs"]
mod components;

const CANDIDATES: usize = 200;
const CATEGORIES: [&str; 5] = ["grocery", "fuel", "travel", "online", "other"];
const CUSTOMER: &str = r#""customer_id": "c-0272", "currency": "USD", "at": "2025-03-28T12:08:13+12:00", "lat": -18.1373, "lon": 178.437"#;

fn main() {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let data = tempfile::tempdir().expect("a folder");
    let config = Config {
        data_dir: data.path().to_owned(),
        ..Config::default()
    };
    let app = Arc::new(App::open(config).expect("a server"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    runtime.spawn(tidemill::http::serve(app, listener, std::future::pending()));
    let post = |path: &str, kind: &str, body: &[u8]| {
        let request = ureq::post(format!("{url}{path}")).content_type(kind);
        let mut answer = request.send(body).expect("an answer");
        answer.body_mut().read_to_vec().expect("a body")
    };
    let file = |path: &str| std::fs::read(components::root().join(path)).expect(path);
    post(
        "/v1/transforms",
        "application/wasm",
        &components::build("card-payment"),
    );
    post(
        "/v1/views",
        "application/toml",
        &file("demo/cards/customer.toml"),
    );
    post(
        "/v1/views/customer/rows",
        "application/x-ndjson",
        &file("demo/cards/customers.ndjson"),
    );
    post(
        "/v1/services",
        "application/toml",
        &file("demo/cards/card-features.toml"),
    );

    let own = |at: usize| {
        let category = CATEGORIES[at % CATEGORIES.len()];
        format!(r#""payment_id": "p-{at}", "amount": {at}.5, "category": "{category}""#)
    };
    let all = |row: &dyn Fn(usize) -> String| (0..CANDIDATES).map(row).collect::<Vec<_>>();
    let shared = format!(
        r#"{{"shared": {{{CUSTOMER}}}, "rows": [{}]}}"#,
        all(&|at| format!("{{{}}}", own(at))).join(", ")
    );
    let whole = format!(
        r#"{{"rows": [{}]}}"#,
        all(&|at| format!("{{{}, {CUSTOMER}}}", own(at))).join(", ")
    );
    let single = all(&|at| format!(r#"{{"inputs": {{{}, {CUSTOMER}}}}}"#, own(at)));

    let agent = ureq::Agent::new_with_defaults();
    let ask = |body: &str| {
        let request = agent
            .post(format!("{url}/v1/services/card-features/features"))
            .content_type("application/json");
        let mut answer = request.send(body.as_bytes()).expect("an answer");
        answer.body_mut().read_to_vec().expect("a body").len()
    };
    let apart = cost(3, || single.iter().map(|body| ask(body)).sum());
    println!(
        "CPU time of the server for {CANDIDATES} payments of one customer; × is the ratio to the first\n"
    );
    for (what, time) in [
        ("200 requests of a row", apart),
        ("one request, 200 rows", cost(100, || ask(&whole))),
        ("one request, shared", cost(100, || ask(&shared))),
    ] {
        let micros = time.as_secs_f64() * 1e6;
        let ratio = time.as_secs_f64() / apart.as_secs_f64();
        println!("{what:<24} {micros:>9.0} µs ({ratio:.3} ×)");
    }
}

/// The median of nine rounds of so many calls, for one call.
fn cost(calls: usize, call: impl Fn() -> usize) -> Duration {
    let round = || {
        let (all, mine) = (ProcessTime::now(), ThreadTime::now());
        for _ in 0..calls {
            assert!(call() > 0);
        }
        all.elapsed().saturating_sub(mine.elapsed()) / calls as u32
    };
    let mut rounds: Vec<Duration> = (0..9).map(|_| round()).collect();
    rounds.sort();
    rounds[rounds.len() / 2]
}
