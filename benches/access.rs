//! What the gate in front of every request costs: nanoseconds of the parts of it that are ours. The floor is one SHA-256 of
//! a token, which cannot be had for less.

use std::hint::black_box;

use cpu_time::ThreadTime;
use sha2::{Digest, Sha256};
use tidemill::access::Role;
use tidemill::access::local::is_local_host;
use tidemill::access::rules::rule;
use tidemill::access::tokens::Tokens;

/// The best of some batches, in nanoseconds a call: others share the machine.
fn cost<T>(mut call: impl FnMut() -> T) -> f64 {
    const CALLS: u32 = 20_000;
    let batches = (0..50).map(|_| {
        let started = ThreadTime::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        started.elapsed().as_nanos() as f64 / f64::from(CALLS)
    });
    batches.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let db = sled::Config::new().temporary(true).open()?;
    let tokens = Tokens::open(&db)?;
    let mut secret = String::new();
    for n in 0..1_000 {
        (_, secret) = tokens.create(&format!("token-{n}"), Role::Client, None, "bench")?;
    }
    let (_, brief) = tokens.create(
        "brief",
        Role::Client,
        Some(std::time::Duration::from_secs(3600)),
        "bench",
    )?;
    let floor = cost(|| Sha256::digest(black_box(&secret)));
    println!("{floor:8.0} ns  floor: SHA-256 of a token");
    let parts: [(&str, f64); 4] = [
        (
            "a valid token among 1,001",
            cost(|| tokens.check(black_box(&secret).as_bytes())),
        ),
        (
            "one that expires",
            cost(|| tokens.check(black_box(&brief).as_bytes())),
        ),
        (
            "what a route needs",
            cost(|| {
                rule(
                    black_box("POST"),
                    black_box(Some("/v1/services/{id}/score")),
                )
            }),
        ),
        (
            "whether a host is local",
            cost(|| is_local_host(black_box("127.0.0.1:8360"))),
        ),
    ];
    for (what, ns) in parts {
        println!("{ns:8.0} ns  {:5.2} × the floor  {what}", ns / floor);
    }
    Ok(())
}
