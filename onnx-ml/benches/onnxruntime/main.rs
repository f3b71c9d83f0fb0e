//! Tree ensembles side by side with ONNX Runtime, in one run, one thread each, in CPU time of that thread.
//!
//! `cargo bench -p tidemill-onnx-ml`, with `ORT_DYLIB` naming the shared library out of the `onnxruntime` wheel, or
//! `PYTHON` an interpreter that has the package. Without either it says so and ends.
//!
//! `BENCH_MODELS` names a folder of further models, each `NAME.onnx` beside a `NAME.f32` of its rows, row-major in
//! little-endian float32: those of a trained model on data like its own, whose paths a processor predicts better.
//!
//! Columns, in µs a call: ONNX Runtime through its C interface; the direct path ([`tidemill_onnx_ml::fast_path`]);
//! tract's plan with this crate's operators; and the bare cost of the memory reads, that is, summing as many words
//! from as large an array at addresses known beforehand. The ratio is the direct path over ONNX Runtime.

#[path = "../../tests/common/mod.rs"]
mod common;
mod models;
mod ort;
mod reads;

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use prost::Message;
use tidemill_onnx_ml::{Scores, fast_path};
use tract_onnx::prelude::*;

use common::plan;
use models::Random;

fn main() {
    let runtime = match ort::find().and_then(|path| ort::Runtime::load(&path)) {
        Ok(runtime) => runtime,
        Err(reason) => {
            println!("skipped: no ONNX Runtime to compare with ({reason})");
            return;
        }
    };
    println!(
        "ONNX Runtime {}; µs of CPU time a call, one thread",
        runtime.version
    );
    println!(
        "{:<34} {:>5} {:>10} {:>10} {:>7} {:>10} {:>9} {:>9}",
        "model", "rows", "ort", "direct", "ratio", "tract", "reads", "same bits"
    );
    for (trees, depth, ragged, classifier) in [
        (100, 6, false, false),
        (500, 8, false, false),
        (100, 6, false, true),
        (500, 8, false, true),
        (100, 12, true, false),
    ] {
        let kind = if classifier {
            "classifier"
        } else {
            "regressor"
        };
        let shape = if ragged { "ragged to" } else { "depth" };
        let name = format!("{trees} trees, {shape} {depth}, {kind}");
        let data = models::rows(1000, &mut Random(7));
        let proto = models::forest(trees, depth, ragged, classifier);
        compare(&runtime, &name, &proto, &data);
    }
    for (name, proto, data) in given() {
        compare(&runtime, &name, &proto, &data);
    }
    load_time();
}

/// The models of `BENCH_MODELS`.
fn given() -> Vec<(String, tract_onnx::pb::ModelProto, Vec<f32>)> {
    let Some(folder) = std::env::var_os("BENCH_MODELS") else {
        return vec![];
    };
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).expect("the folder BENCH_MODELS") {
        let path = entry.expect("an entry").path();
        let (Some(name), true) = (
            path.file_stem(),
            path.extension().is_some_and(|e| e == "onnx"),
        ) else {
            continue;
        };
        let Ok(rows) = std::fs::read(path.with_extension("f32")) else {
            continue;
        };
        let rows = rows
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let proto = tract_onnx::pb::ModelProto::decode(&std::fs::read(&path).expect("a file")[..])
            .expect("a model");
        found.push((name.to_string_lossy().into_owned(), proto, rows));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn compare(runtime: &ort::Runtime, name: &str, proto: &tract_onnx::pb::ModelProto, data: &[f32]) {
    let bytes = proto.encode_to_vec();
    let Some(predictor) = fast_path(proto) else {
        println!("{name}: no direct path");
        return;
    };
    let outputs: Vec<String> = predictor
        .outputs()
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let session = runtime
        .session(&bytes, predictor.input(), &outputs)
        .expect("a session");
    let plan = plan(proto).expect("a plan");
    let columns = predictor.columns();
    let features = data.len() / 1000;
    let facts = tidemill_onnx_ml::facts(proto);
    for rows in [1usize, 10, 1000] {
        // One row after another of the same thousand, so that no call repeats the last one's path.
        let batch = |i: usize| {
            let start = (i * rows) % 1000;
            &data[start * features..(start + rows) * features]
        };
        let (mut theirs, mut ours) = (vec![], Scores::default());
        let mut same = 0;
        for i in 0..1000 / rows {
            session
                .run(rows, batch(i), columns, &mut theirs)
                .expect("a run");
            predictor.run(rows, batch(i), &mut ours).expect("a run");
            same += theirs
                .iter()
                .zip(&ours.values)
                .filter(|(a, b)| a.to_bits() == b.to_bits())
                .count();
        }
        let same = same as f64 / (1000 * columns) as f64;
        let tensors: Vec<TValue> = (0..1000 / rows)
            .map(|i| {
                Tensor::from_shape(&[rows, features], batch(i))
                    .expect("a tensor")
                    .into_tvalue()
            })
            .collect();
        let words = predictor.tree_bytes() / 8;
        let reads = reads::Reads::new(words, facts.trees, facts.tree_nodes / facts.trees);
        let mut timed = [f64::MAX; 4];
        // Rounds of all four in turn, and the best of each: neighbours on the machine disturb all alike.
        for _ in 0..7 {
            let times = [
                time(|i| {
                    session
                        .run(rows, batch(i), columns, &mut theirs)
                        .expect("a run")
                }),
                time(|i| predictor.run(rows, batch(i), &mut ours).expect("a run")),
                time(|i| {
                    drop(black_box(
                        plan.run(tvec!(tensors[i % tensors.len()].clone()))
                            .expect("a run"),
                    ))
                }),
                time(|i| {
                    black_box(reads.rows(i, rows));
                }),
            ];
            timed
                .iter_mut()
                .zip(times)
                .for_each(|(best, time)| *best = best.min(time));
        }
        let [ort, direct, tract, reads] = timed;
        println!(
            "{name:<34} {rows:>5} {ort:>10.2} {direct:>10.2} {:>7.2} {tract:>10.2} {reads:>9.2} {:>8.1}%",
            direct / ort,
            same * 100.0
        );
    }
}

/// µs of this thread's CPU a call, over at least 60 ms.
fn time(mut call: impl FnMut(usize)) -> f64 {
    for i in 0..3 {
        call(i);
    }
    let mut calls = 0;
    let start = ThreadTime::now();
    loop {
        for _ in 0..8 {
            call(calls);
            calls += 1;
        }
        let spent = start.elapsed();
        if spent > Duration::from_millis(60) {
            return spent.as_secs_f64() * 1e6 / calls as f64;
        }
    }
}

/// From the bytes of a file to something that scores.
fn load_time() {
    let bytes = models::forest(500, 8, false, true).encode_to_vec();
    let decode = || tract_onnx::pb::ModelProto::decode(&bytes[..]).expect("a model");
    let ms = |call: &dyn Fn()| {
        (0..5)
            .map(|_| {
                let start = ThreadTime::now();
                call();
                start.elapsed().as_secs_f64() * 1e3
            })
            .fold(f64::MAX, f64::min)
    };
    println!(
        "\nloading 500 trees of depth 8 ({:.1} MB), ms of CPU time, the file's bytes to a first score",
        bytes.len() as f64 / 1e6
    );
    println!(
        "  decoding the file alone   {:6.1}",
        ms(&|| drop(black_box(decode())))
    );
    println!(
        "  direct path               {:6.1}",
        ms(&|| drop(black_box(fast_path(&decode()).expect("trees"))))
    );
    println!(
        "  tract's plan              {:6.1}",
        ms(&|| drop(black_box(plan(&decode()).expect("a plan"))))
    );
}
