//! Bytes from elsewhere, damaged in every way: the targets of `fuzz/`, driven by seeds rather than by coverage.
//!
//! A few seconds here, the same each run; `TIDEMILL_FUZZ_SECONDS=600` goes on with other seeds for so long. What panics is
//! kept in `target/tmp` and named.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::support::{Random, file, guest};

/// Words that mean something to one parser or another.
const WORDS: [&str; 36] = [
    "null",
    "true",
    "-0",
    "1e999",
    "1e-999",
    "9223372036854775808",
    "-9223372036854775809",
    "0.1",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "\\u",
    "\u{feff}",
    "\u{1f980}",
    "\"inputs\"",
    "\"rows\"",
    "\"shared\"",
    "\"top_k\"",
    "\"c0\"",
    "\"2013-02-30T00:00:00Z\"",
    "\"9999-12-31T23:59:60Z\"",
    "[[lookup]]\n",
    "[request]\n",
    "nan",
    "inf",
    "'''",
    "\"\"\"",
    "= {",
    "\n",
    "\r\n",
];

/// A seed with a few things changed: bits, bytes, words, cuts, doublings, a piece of another seed.
fn mangled(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(5) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(32)).min(bytes.len()).max(at);
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
            3 if random.below(4) == 0 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(64)).min(other.len())];
                bytes.splice(at..end, piece.iter().copied());
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..end, word.bytes());
            }
        }
    }
    bytes
}

/// The files of a folder of the checkout, in the order of their names.
fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let entries =
        std::fs::read_dir(file(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    let read = |path| std::fs::read(path).expect("it is read");
    paths.into_iter().map(read).collect()
}

/// Runs the seeds themselves, then so many damaged ones, or for as long as the environment says.
fn drive(name: &str, seeds: &[Vec<u8>], rounds: usize, target: fn(&[u8])) {
    let seconds = std::env::var("TIDEMILL_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|all| {
        all.parse::<u64>()
            .expect("TIDEMILL_FUZZ_SECONDS is a number")
    });
    let until = seconds.map(|all| Instant::now() + Duration::from_secs(all / 5));
    let mut random = Random(match until {
        None => 7,
        Some(_) => u64::from(std::process::id()),
    });
    let attempt = |bytes: &[u8], round: usize| {
        if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
            let path =
                std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
            std::fs::write(&path, bytes).expect("it is written");
            panic!(
                "{name} panicked in round {round}; the bytes are in {}",
                path.display()
            );
        }
    };
    seeds.iter().for_each(|seed| attempt(seed, 0));
    let mut round = 0;
    while until.map_or(round < rounds, |until| Instant::now() < until) {
        round += 1;
        attempt(&mangled(seeds, &mut random), round);
    }
    eprintln!("{name}: {round} damaged of {} seeds", seeds.len());
}

#[test]
fn requests() {
    drive(
        "request",
        &corpus("fuzz/corpus/request"),
        4_000,
        targets::request,
    );
}

#[test]
fn blocks_of_guests() {
    drive("block", &corpus("fuzz/corpus/block"), 4_000, targets::block);
}

#[test]
fn components() {
    let mut seeds = corpus("fuzz/corpus/component");
    seeds.extend(["good", "refuses", "wrong-text-ends"].map(guest));
    drive("component", &seeds, 150, targets::component);
}

#[test]
fn service_files_and_views() {
    let mut seeds = corpus("fuzz/corpus/service");
    for name in ["flight-delay", "flight-notice", "weather", "plane"] {
        let path = file(&format!("demo/flights/{name}.toml"));
        seeds.push(std::fs::read(path).expect("it is there"));
    }
    drive("service", &seeds, 3_000, targets::service);
}

#[test]
fn models() {
    let seeds = corpus("onnx-ml/fuzz/corpus/model");
    drive("model", &seeds, 400, targets::model);
}
