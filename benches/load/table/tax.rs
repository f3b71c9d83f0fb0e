//! The Wasm tax: what a service would save whose transforms were compiled into the server.
//!
//! Computed, not built: from a request of one row each round takes the cost of the service's Wasm calls away and adds that
//! of native calls over the very same blocks.

use std::hint::black_box;

use anyhow::Result;

use super::Lines;
use super::demo::{Demo, bodies, in_turn};
use crate::natives::Native;
use crate::timing::{self, Cost, Subject};

pub fn measure(demo: &Demo, lines: &Lines) -> Result<()> {
    lines.group("the Wasm tax: a score of one row without a socket, its transforms as Wasm");
    let service = demo.service("flight-delay")?;
    let bodies = bodies(0)?;
    let calls = demo.calls(&service, &bodies[0])?;
    let mut natives = Vec::new();
    for (transform, block) in &calls {
        natives.push(Native::of(&transform.name().name)?.over(block.clone()));
    }
    let mut body = in_turn(&bodies);
    let mut ask = || demo.ask("/v1/services/flight-delay/score", body());
    ask()?;
    let mut subjects = [
        Subject::new("request", || {
            black_box(ask().expect("an answer"));
        }),
        Subject::new("Wasm", || {
            for (transform, block) in &calls {
                black_box(transform.call(black_box(block)).expect("an answer"));
            }
        }),
        Subject::new("native", || natives.iter_mut().for_each(|call| call())),
    ];
    let costs = timing::rounds(&mut subjects, lines.rounds);
    let [request, wasm, native] = &costs[..] else {
        unreachable!("three subjects")
    };
    let rounds = request.iter().zip(wasm).zip(native);
    let computed: Vec<Cost> = rounds
        .map(|((request, wasm), native)| Cost {
            cpu: request.cpu - wasm.cpu + native.cpu,
            wall: request.wall - wasm.wall + native.wall,
        })
        .collect();
    lines.line(
        "flight-delay",
        request,
        "the same, native (computed)",
        &computed,
    );
    let tax = Cost::median(wasm).cpu - Cost::median(native).cpu;
    lines.tax.set(Some(tax));
    let what = format!("its {} calls alone", calls.len());
    lines.line(&what, wasm, "native", native);
    Ok(())
}
