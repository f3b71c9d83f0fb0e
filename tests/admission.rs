//! What should never be registered: refused in a sentence with the cause, nothing of it kept, and the next request works.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::support::{Over, Random, Server, damaged, guest};

#[test]
fn what_is_not_admitted_is_refused_in_words() {
    let server = Server::start(|_| {});
    for (name, reason) in [
        ("imports-clock", "it imports"),
        ("endless-describe", "fuel"),
        ("bad-name", "name"),
        ("bad-version", "version"),
        ("twin-columns", "\"y\""),
    ] {
        let answer = server.post_as("/v1/transforms", "application/wasm", guest(name));
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
        assert_eq!(
            answer.json["type"],
            json!("urn:tidemill:problem:refused"),
            "{name}"
        );
        assert!(detail.contains(reason), "{name}: {detail}");
    }
    let good = guest("good");
    for (bytes, reason) in [
        (&b"not wasm at all"[..], "WebAssembly"),
        (&good[..good.len() / 2], "refused"),
        (&[][..], "WebAssembly"),
    ] {
        let answer = server.post_as("/v1/transforms", "application/wasm", bytes);
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(detail.contains(reason), "{detail}");
    }
    assert_eq!(
        server.get("/v1/transforms").json,
        json!({ "transforms": [] })
    );
    server.admit(&good);
}

#[test]
fn what_depends_on_more_than_its_row_is_refused_with_the_cause() {
    let server = Server::start(|_| {});
    for (name, cause) in [
        (
            "hidden-state",
            " on a warm one: it keeps state between calls; the row is {\"x\":",
        ),
        (
            "neighbours",
            ": it depends on its neighbours' rows; the row is {\"x\":",
        ),
        ("row-order", ": it depends on the order of rows, "),
    ] {
        let answer = server.post_as("/v1/transforms", "application/wasm", guest(name));
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
        assert_eq!(answer.json["type"], json!("urn:tidemill:problem:refused"));
        assert!(
            detail.starts_with(&format!("transform {name}@1.0.0 is refused: row ")),
            "{detail}"
        );
        assert!(
            detail.contains(", \"y\": ") && detail.contains(cause),
            "{detail}"
        );
    }
    assert_eq!(
        server.get("/v1/transforms").json,
        json!({ "transforms": [] })
    );
}

#[test]
fn what_it_cannot_bear_it_must_refuse() {
    let server = Server::start(|_| {});
    let answer = server.post_as("/v1/transforms", "application/wasm", guest("slow"));
    let detail = answer.json["detail"].as_str().unwrap_or_default();
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(
        detail.starts_with("transform slow@1.0.0 is refused: it ran out of its ")
            && detail.contains(", on the row {\"x\":"),
        "{detail}"
    );
}

#[test]
fn an_admission_report_is_kept_and_shown() {
    let server = Server::start(|_| {});
    server.admit(&guest("good"));
    let report = server.get("/v1/transforms/good@1.0.0").json["admission"].take();
    let fuel = &report["fuel_per_row"];
    let [median, p99, worst] =
        ["median", "p99", "worst"].map(|key| fuel[key].as_u64().expect("fuel"));
    assert!(0 < median && median <= p99 && p99 <= worst, "{report}");
    assert!(report["memory_bytes"].as_u64() > Some(0), "{report}");
    let expected = json!({
        "verdict": "admitted",
        "rows": 2_000,
        "seed": 1,
        "refused_rows": 0,
        "fuel_per_row": fuel,
        "memory_bytes": report["memory_bytes"],
        "component_bytes": server.get("/v1/transforms/good").json["size"],
        "compile_millis": report["compile_millis"],
        "largest_call": 16_384,
        "calls_of_one_instance": 10_000,
        "rows_of_one_instance": 100_000,
    });
    assert_eq!(report, expected);
}

#[test]
fn a_refusal_carries_the_report_of_its_admission() {
    let server = Server::start(|_| {});
    let answer = server.post_as("/v1/transforms", "application/wasm", guest("slow"));
    let report = &answer.json["report"];
    assert_eq!(
        (&report["verdict"], &report["failure"]["cause"]),
        (&json!("refused"), &json!("out_of_fuel")),
        "{}",
        answer.text
    );
    assert!(
        report["failure"]["row"]["x"].as_f64() > Some(50.0),
        "{report}"
    );
    assert!(
        report["fuel_per_row"]["worst"].as_u64() >= Some(100_000_000),
        "{report}"
    );
    assert!(report["rows"].as_u64() > Some(0), "{report}");
    for key in ["memory_bytes", "component_bytes", "compile_millis"] {
        assert!(report[key].is_u64(), "{key} of {report}");
    }
    let answer = server.post_as("/v1/transforms", "application/wasm", guest("hidden-state"));
    let failure = &answer.json["report"]["failure"];
    assert_eq!(failure["cause"], json!("state"));
    assert!(failure["row"]["x"].is_number(), "{failure}");
    // What could not be run at all has a report of what is known.
    let answer = server.post_as("/v1/transforms", "application/wasm", &b"no wasm"[..]);
    let report = &answer.json["report"];
    assert_eq!(
        (
            &report["rows"],
            &report["component_bytes"],
            &report["failure"]["cause"]
        ),
        (&json!(0), &json!(7), &json!("component"))
    );
}

/// A component whose two functions are none of ours, with whatever else stands in its module.
fn component(items: &str) -> Vec<u8> {
    let text = format!(
        "(component
            (core module $m {items} (func (export \"f\")))
            (core instance $i (instantiate $m))
            (func (export \"describe\") (canon lift (core func $i \"f\")))
            (func (export \"transform\") (canon lift (core func $i \"f\"))))"
    );
    wat::parse_str(text).expect("it is Wasm")
}

/// The bytes with a text in the place of another of its length.
fn patched(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from} is not in it");
    bytes
}

/// Everything that should never be registered: refused in a sentence, with nothing kept and the next request answered.
#[test]
fn nothing_is_half_registered() {
    let server = Server::with_next(|_| {});
    let kept = ["artifacts", "compiled"].map(|folder| server.files_in(folder));
    let loops = |count| format!("(func {} {})", "(loop ".repeat(count), ")".repeat(count));
    let mut large = component("");
    large.resize(64 << 20, 0);
    for (what, bytes, status, reason) in [
        (
            "a script",
            b"#!/bin/sh\n".to_vec(),
            422,
            "it is no WebAssembly",
        ),
        (
            "an import",
            guest("imports-clock"),
            422,
            "it imports `now`, and a transform imports nothing",
        ),
        (
            "another contract",
            patched(
                guest("good"),
                "tidemill:transform/types@0.1.0",
                "tidemill:transform/types@0.9.0",
            ),
            422,
            "it was built for the contract tidemill:transform@0.9.0, and this server takes 0.1.0 and any later 0.1: \
             build it again with tidemill-sdk 0.1",
        ),
        (
            "an endless start",
            component("(func $spin (loop $on (br $on))) (start $spin)"),
            422,
            "as it starts, it ran out of its 100000000 units of fuel in `spin`",
        ),
        (
            "an endless description",
            guest("endless-describe"),
            422,
            "asked to describe itself, it ran out",
        ),
        (
            "a changing description",
            guest("changing-description"),
            422,
            "asked a second time, it describes itself otherwise",
        ),
        (
            "other functions",
            component(""),
            422,
            "is not that of the contract",
        ),
        (
            "two outputs of one name",
            guest("twin-columns"),
            422,
            "two of its outputs are named \"y\"",
        ),
        (
            "a name with a slash",
            patched(guest("text-echo"), "text-echo", "text/echo"),
            422,
            "its name \"text/echo\" is not lower-case letters, digits and hyphens",
        ),
        (
            "a version that is none",
            guest("bad-version"),
            422,
            "its version \"one\" is no semantic version",
        ),
        (
            "64 MiB",
            large,
            413,
            "is over the limit of 8388608 bytes (transforms.component_bytes)",
        ),
        (
            "a compile bomb",
            component(&loops(1_000)),
            422,
            "would take too long to compile: 1000 loops in loops, over the limit of 50",
        ),
        (
            "state between calls",
            guest("hidden-state"),
            422,
            "it keeps state between calls",
        ),
    ] {
        let answer = server.post_as("/v1/transforms", "application/wasm", bytes);
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        assert!(detail.contains(reason), "{what}: {detail}\n{reason}");
        server.goes_on();
    }
    let listed = server.get("/v1/transforms").json;
    assert_eq!(
        listed["transforms"].as_array().map(Vec::len),
        Some(1),
        "{listed}"
    );
    let now = ["artifacts", "compiled"].map(|folder| server.files_in(folder));
    assert_eq!(now.map(|files| files.len()), kept.map(|files| files.len()));
}

/// As many functions as a large program has are compiled, in their turn, and said what they are.
#[test]
fn ten_thousand_functions_are_compiled_and_refused_for_what_they_are() {
    let server = Server::start(|_| {});
    server.admit(&guest("good"));
    let functions: String = (0..10_000)
        .map(|at| {
            format!(
                "(func $f{at} (param i64) (result i64) (i64.add (local.get 0) (i64.const {at})))"
            )
        })
        .collect();
    let answer = server.post_as("/v1/transforms", "application/wasm", component(&functions));
    assert_eq!(answer.status, 422, "{}", answer.text);
    let detail = answer.json["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("is not that of the contract"), "{detail}");
    let next = server.post_as("/v1/transforms", "application/wasm", guest("refuses"));
    assert_eq!(next.status, 201, "{}", next.text);
}

/// Bytes changed, cut and doubled: admitted or refused in a sentence, and the next request is answered.
#[test]
fn damaged_components_are_refused_and_the_server_goes_on() {
    let server = Server::with_next(|_| {});
    let whole = guest("refuses");
    let mut random = Random(7);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for _ in 0..150 {
        let bytes = damaged(&whole, &mut random);
        let answer = server.post_as("/v1/transforms", "application/wasm", bytes);
        *statuses.entry(answer.status).or_default() += 1;
        match answer.status {
            // 409: what was changed is nothing that it says or does, and the name is taken.
            200 | 201 | 409 => {}
            _ => assert_eq!(answer.status, 422, "{}", answer.text),
        }
        server.goes_on();
    }
    assert!(statuses[&422] > 75, "{statuses:?}");
}

/// The heaviest components that are let through to the compiler, several at once: each waits its turn, and whoever asks
/// for a score in the meantime gets one.
#[test]
fn compile_bombs_do_not_stop_the_scoring() {
    let server = Server::with_next(|_| {});
    let heavy = |at: usize| {
        let locals = "(local i32)".repeat(900);
        let branches = "(if (local.get 0) (then))".repeat(1_000 + at);
        component(&format!("(func {locals} {branches})"))
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = Over(&over);
        let scoring = scope.spawn(|| {
            let mut answered = 0;
            while !over.load(Ordering::Relaxed) {
                server.goes_on();
                answered += 1;
            }
            answered
        });
        let bombs: Vec<_> = (0..3)
            .map(|at| {
                let (server, bytes) = (&server, heavy(at));
                scope.spawn(move || server.post_as("/v1/transforms", "application/wasm", bytes))
            })
            .collect();
        let answers: Vec<_> = bombs
            .into_iter()
            .map(|bomb| bomb.join().expect("an answer"))
            .collect();
        drop(end);
        assert!(scoring.join().expect("it scores") > 0);
        for answer in answers {
            assert_eq!(answer.status, 422, "{}", answer.text);
            let detail = answer.json["detail"].as_str().unwrap_or_default();
            assert!(detail.contains("is not that of the contract"), "{detail}");
        }
    });
    server.admit(&guest("text-echo"));
}
