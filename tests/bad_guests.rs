//! A transform that misbehaves: the request gets an answer that names transform, version and cause, and the next works.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::support::{Over, Random, Server, damaged, guest, guests, until};

/// Guests that are admitted and are wrong where x is 13.
pub const ADMITTED: [&str; 17] = [
    "endless-loop",
    "fails",
    "invalid-utf8",
    "leaks",
    "memory-bomb",
    "nan-and-infinities",
    "out-of-range",
    "oversized-answer",
    "panics",
    "refuses",
    "short-pool",
    "stack-overflow",
    "unreachable",
    "wrong-refusals",
    "wrong-row-count",
    "wrong-text-ends",
    "wrong-type",
];

fn ask(name: &str, x: f64) -> super::support::Answer {
    let body = json!({ "inputs": { "x": x } }).to_string();
    guests().post(&format!("/v1/services/{name}/features"), body)
}

#[track_caller]
fn works(name: &str) {
    let answer = ask(name, 1.0);
    assert_eq!(answer.status, 200, "{name}: {}", answer.text);
}

/// Posts the unlucky row, checks the whole problem, and that the next request works.
#[track_caller]
fn fails_with(name: &str, cause: &str, detail: &str, frame: Option<&str>) {
    works(name);
    let answer = ask(name, 13.0);
    works(name);
    let mut problem = answer.json;
    let frames = problem["frames"].take();
    let frames: Vec<&str> = frames
        .as_array()
        .expect("frames")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match frame {
        Some(frame) => assert!(
            frames.iter().any(|found| found.contains(frame)),
            "{name}: {frame} is not in {frames:?}"
        ),
        None => assert_eq!(frames, Vec::<&str>::new(), "{name}"),
    }
    let listed = guests().get(&format!("/v1/transforms/{name}@1.0.0"));
    let found = problem["detail"].take();
    let found = found.as_str().expect("a detail");
    assert!(
        found.starts_with(&format!("transform {name}@1.0.0 failed: {detail}")),
        "{found}"
    );
    let expected = json!({
        "type": "urn:tidemill:problem:transform-failed",
        "title": "A transform failed",
        "status": 500,
        "detail": null,
        "transform": { "name": name, "version": "1.0.0", "digest": listed.json["digest"] },
        "cause": cause,
        "frames": null,
    });
    assert_eq!(problem, expected);
    assert_eq!(answer.status, 500);
}

#[test]
fn traps_name_the_guests_functions() {
    fails_with("panics", "trap", "it trapped: ", Some("panics::panics"));
    fails_with("unreachable", "trap", "it trapped: ", Some("unreachable"));
    fails_with(
        "stack-overflow",
        "trap",
        "it trapped: ",
        Some("stack_overflow::down"),
    );
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    fails_with(
        "endless-loop",
        "out_of_fuel",
        "it ran out of its 50000000 units of fuel",
        Some("endless_loop::endless_loop"),
    );
}

#[test]
fn a_memory_bomb_is_stopped_at_its_limit() {
    fails_with(
        "memory-bomb",
        "out_of_memory",
        "it wanted more than its ",
        Some("memory_bomb::memory_bomb"),
    );
}

#[test]
fn an_oversized_answer_is_not_taken() {
    let answer = ask("oversized-answer", 13.0);
    assert_eq!(answer.status, 500);
    let cause = answer.json["cause"].as_str().expect("a cause");
    assert!(
        ["out_of_memory", "answer_too_large"].contains(&cause),
        "{}",
        answer.text
    );
    works("oversized-answer");
}

#[test]
fn an_answer_that_is_not_what_was_declared() {
    fails_with(
        "wrong-row-count",
        "bad_answer",
        "its answer is not what it declared: it answered",
        None,
    );
    fails_with(
        "wrong-type",
        "bad_answer",
        "its answer is not what it declared: its floats hold 0 values",
        None,
    );
    fails_with(
        "short-pool",
        "bad_answer",
        "its answer is not what it declared: its floats hold 0 values",
        None,
    );
    fails_with(
        "invalid-utf8",
        "bad_answer",
        "its answer is not what it declared: its text is no UTF-8",
        None,
    );
    fails_with(
        "wrong-text-ends",
        "bad_answer",
        "its answer is not what it declared: text-ends[0] is 4294967295, after 0, in 1 bytes of text",
        None,
    );
    fails_with(
        "wrong-refusals",
        "bad_answer",
        "its answer is not what it declared: it refuses row 8 of 1, out of order or range",
        None,
    );
    fails_with(
        "out-of-range",
        "bad_answer",
        "its answer is not what it declared: \"y\" is",
        None,
    );
}

#[test]
fn a_block_it_cannot_read() {
    fails_with(
        "fails",
        "failure",
        "it could not read the block: 13 is not for me",
        None,
    );
}

#[test]
fn a_refusal_is_the_rows_fault() {
    works("refuses");
    let answer = ask("refuses", 13.0);
    assert_eq!(
        (answer.status, &answer.json["type"]),
        (422, &json!("urn:tidemill:problem:row-refused"))
    );
    let rows = json!({ "rows": [{ "x": 1.0 }, { "x": 13.0 }, { "x": 2.0 }] }).to_string();
    let results = guests().post("/v1/services/refuses/features", rows).json["results"].take();
    assert_eq!(results[0]["features"], json!({ "guest.y": 2.0 }));
    assert_eq!(results[1]["error"]["message"], answer.json["message"]);
    assert_eq!(results[2]["features"], json!({ "guest.y": 3.0 }));
}

/// A float may be any float: JSON has no word for these, and neither neighbours nor later rows notice.
#[test]
fn nan_and_infinities_are_null_in_an_answer() {
    works("nan-and-infinities");
    let rows = [13.0, 14.0, 15.0, 1.0].map(|x| json!({ "x": x }));
    let path = "/v1/services/nan-and-infinities/features";
    let answer = guests().post(path, json!({ "rows": rows }).to_string());
    let found = answer.json["results"].as_array().expect("results");
    let found: Vec<_> = found
        .iter()
        .map(|row| &row["features"]["guest.y"])
        .collect();
    let null = &Value::Null;
    assert_eq!(found, [null, null, null, &json!(2.0)], "{}", answer.text);
    works("nan-and-infinities");
}

#[test]
fn a_leak_never_becomes_the_callers_trouble() {
    for _ in 0..300 {
        works("leaks");
    }
}

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

/// The word that wakes the sleepers: nothing that admission tries.
const WORD: f64 = 271_828.182_845_904_5;

/// A server that computes every answer again, with a service of that guest's.
fn audited(guest: Vec<u8>, name: &str) -> Server {
    let server = Server::start(|config| {
        config.skew.share = 1.0;
        config.skew.queue = 10_000;
    });
    server.admit(&guest);
    server.define(
        "/v1/services",
        &format!(
            "name = \"{name}\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"{name}\"\nas = \"guest\"\n"
        ),
    );
    server
}

/// What no admission finds, the running server does: it counts it, keeps the evidence, and from then on no call has an
/// instance that another had; after the next start neither.
#[test]
fn state_that_hides_from_admission_is_seen_and_ended_by_the_running_server() {
    let server = audited(guest("sleeper"), "sleeper");
    let path = "/v1/services/sleeper/features";
    let ask = |server: &Server, x: f64| {
        let answer = server.post(path, json!({ "inputs": { "x": x } }).to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["results"][0]["features"]["guest.y"].as_f64()
    };
    // One thread may have an instance that is awake, and another one that is not: some answer is wrong sooner or later.
    let name = "tidemill_skew_total{column=\"guest.y\",service=\"sleeper\",version=\"1\"} ";
    until("it is seen", || {
        ask(&server, WORD);
        ask(&server, 1.0);
        server.get("/metrics").text.contains(name).then_some(())
    });
    assert!(!server.files_in("skew").is_empty());
    let digest = server.get("/v1/transforms/sleeper").json["digest"].take();
    let digest = digest.as_str().expect("a digest");
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    assert!(
        server
            .files_in("compiled")
            .contains(&format!("{digest}.keeps-state"))
    );
    let pure = |server: &Server| {
        for _ in 0..50 {
            assert_eq!(ask(server, WORD), Some(WORD + 1.0));
            assert_eq!(ask(server, 1.0), Some(2.0));
        }
    };
    pure(&server);

    // Another server on what this one kept, which computes nothing again and so has nothing but the note.
    let kept = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    server.copy(kept.path());
    let path = kept.path().to_owned();
    let next = Server::start(|config| {
        config.data_dir = path;
        config.skew.share = 0.0;
    });
    pure(&next);
}

/// A used instance that fails where a new one answers costs no answer, not even the first.
#[test]
fn state_that_makes_it_fail_costs_no_answer() {
    let server = audited(guest("grudge"), "grudge");
    for _ in 0..20 {
        for x in [WORD, 1.0] {
            let body = json!({ "inputs": { "x": x } }).to_string();
            let answer = server.post("/v1/services/grudge/features", body);
            assert_eq!(
                answer.json["results"][0]["features"]["guest.y"],
                json!(x + 1.0),
                "{}",
                answer.text
            );
        }
    }
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

#[test]
fn every_type_goes_through_and_comes_back() {
    let server = Server::start(|_| {});
    server.admit(&guest("text-echo"));
    let shown = server.get("/v1/transforms/text-echo").json;
    let fields = shown["inputs"].as_array().expect("inputs");
    let table = |fields: &[Value]| {
        let line = |field: &Value| {
            let name = field["name"].as_str().expect("a name");
            format!("{name} = {{ type = {}, nullable = true }}\n", field["type"])
        };
        fields.iter().map(line).collect::<String>()
    };
    let service = format!(
        "name = \"echo\"\n[request]\n{}[[transform]]\nuse = \"text-echo\"\nas = \"out\"\n",
        table(fields)
    );
    server.define("/v1/services", &service);
    let value = |field: &Value| match field["type"].as_str().expect("a type") {
        "bool" => json!(true),
        "i64" => json!(-9_007_199_254_740_993_i64),
        "f64" => json!(0.1),
        "text" => json!("naïve 🦀 \" \\ \u{0}"),
        "timestamp" => json!("2013-01-01T10:15:00.000001Z"),
        "json" => json!({ "a": [1, { "b": null }] }),
        "list<bool>" => json!([true, false]),
        "list<i64>" => json!([i64::MIN, i64::MAX]),
        "list<f64>" => json!([5e-324, -0.0, 1.7976931348623157e308]),
        "list<text>" => json!(["", "é", "x"]),
        "list<timestamp>" => json!(["1969-12-31T23:59:59.999999Z"]),
        "list<json>" => json!([{ "a": 1 }, [2]]),
        other => panic!("no value for {other}"),
    };
    let full: serde_json::Map<String, Value> = fields
        .iter()
        .map(|field| {
            (
                field["name"].as_str().expect("a name").to_owned(),
                value(field),
            )
        })
        .collect();
    let empty: serde_json::Map<String, Value> = full
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    let answer = server.post(
        "/v1/services/echo/features",
        json!({ "rows": [full, empty, full] }).to_string(),
    );
    let outs = |row: &serde_json::Map<String, Value>| {
        let named = row
            .iter()
            .map(|(name, value)| (format!("out.{name}"), value.clone()));
        Value::Object(named.collect())
    };
    for (at, row) in [&full, &empty, &full].into_iter().enumerate() {
        assert_eq!(
            answer.json["results"][at]["features"],
            outs(row),
            "row {at} of {}",
            answer.text
        );
    }
}
