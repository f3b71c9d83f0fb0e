//! A transform that misbehaves: the request gets an answer that names transform, version and cause, and the next works.

use serde_json::{Value, json};

use super::support::{Server, guest, guests};

/// Guests that are admitted and are wrong where x is 13.
pub const ADMITTED: [&str; 14] = [
    "endless-loop",
    "fails",
    "invalid-utf8",
    "leaks",
    "memory-bomb",
    "out-of-range",
    "oversized-answer",
    "panics",
    "refuses",
    "short-pool",
    "stack-overflow",
    "unreachable",
    "wrong-row-count",
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
        "rows": 2_000,
        "seed": 1,
        "refused_rows": 0,
        "fuel_per_row": fuel,
        "memory_bytes": report["memory_bytes"],
        "component_bytes": server.get("/v1/transforms/good").json["size"],
        "compile_millis": report["compile_millis"],
    });
    assert_eq!(report, expected);
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
