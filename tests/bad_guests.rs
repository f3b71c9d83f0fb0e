//! A transform that misbehaves: the request gets an answer that names transform, version and cause, and the next works.

use serde_json::{Value, json};

use super::support::{Server, guest, guests, until};

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
