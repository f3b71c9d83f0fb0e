//! What truly happened: labels late and more than once. Every report is kept, and the last counts.

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::support::{Server, guest};

/// A service of one transform whose rows are named by `id`.
pub const NOTES: &str = r#"
name = "notes"
[request]
id = "text"
x = "f64"
[[transform]]
use = "good@1"
as = "guest"
[labels]
key = "id"
[labels.fields]
late = "bool"
minutes = { type = "f64", nullable = true }
"#;

pub fn notes(server: &Server) {
    server.admit(&guest("good"));
    server.define("/v1/services", NOTES);
}

/// Asks for the features of rows by these ids; answers the request's id.
pub fn ask(server: &Server, ids: &[&str]) -> String {
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "x": 1 })).collect();
    let answer = server.post(
        "/v1/services/notes/features",
        json!({ "rows": rows }).to_string(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["request_id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn put(server: &Server, labels: Value) -> Value {
    let answer = server.post("/v1/services/notes/labels", labels.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// Status, field and detail of labels that are refused.
fn refused(server: &Server, labels: Value) -> (u16, String, String) {
    let answer = server.post("/v1/services/notes/labels", labels.to_string());
    let text = |name: &str| answer.json[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("field"), text("detail"))
}

pub fn shown(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/v1/services/notes/label?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// What each report of a history says of `late`, the last last.
fn history(shown: &Value) -> Vec<bool> {
    let all = shown["history"].as_array().expect("a history").iter();
    all.map(|report| report["label"]["late"].as_bool().expect("late"))
        .collect()
}

fn counts(put: &Value) -> [u64; 6] {
    let names = [
        "labels",
        "stored",
        "replaced",
        "outdated",
        "unchanged",
        "unknown",
    ];
    names.map(|name| put[name].as_u64().unwrap_or(u64::MAX))
}

#[test]
fn the_last_label_counts_and_all_are_kept() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = data.path().to_owned();
    let start = || {
        let path = path.clone();
        Server::start(|config| config.data_dir = path)
    };
    let server = start();
    notes(&server);
    let request = ask(&server, &["a", "b"]);

    let declared = server.get("/v1/services/notes/labels").json;
    assert_eq!(declared["version"], json!(1));
    assert_eq!(declared["key"][0]["name"], json!("id"));
    let names = declared["fields"].as_array().expect("fields").iter();
    let names: Vec<&Value> = names.map(|field| &field["name"]).collect();
    assert_eq!(names, [&json!("late"), &json!("minutes")]);

    // By key: what has no time of its own counts from its arrival, the later one more.
    let none = shown(&server, "id=a");
    assert_eq!(
        (&none["label"], &none["history"]),
        (&Value::Null, &json!([]))
    );
    let first = put(&server, json!({ "id": "a", "late": false }));
    assert_eq!(counts(&first), [1, 1, 0, 0, 0, 0]);
    let second = put(
        &server,
        json!([{ "id": "a", "late": true, "minutes": 20.5 }]),
    );
    assert_eq!(counts(&second), [1, 0, 1, 0, 0, 0]);
    let a = shown(&server, "id=a");
    assert_eq!(a["label"], json!({ "late": true, "minutes": 20.5 }));
    assert_eq!(history(&a), [false, true]);
    assert_eq!(
        a["history"][0]["label"],
        json!({ "late": false, "minutes": null })
    );
    assert_eq!(a["history"][0]["by"], json!("loopback"));

    // One that was learnt before comes late: it is kept, and does not count. The same again is the same.
    let early = json!({ "id": "a", "time": "2013-01-01T00:00:00Z", "late": false });
    assert_eq!(counts(&put(&server, early.clone())), [1, 0, 0, 1, 0, 0]);
    let a = shown(&server, "id=a");
    assert_eq!(a["label"]["late"], json!(true));
    assert_eq!(history(&a), [false, false, true]);
    assert_eq!(a["history"][0]["time"], json!("2013-01-01T00:00:00Z"));

    // By request, each row by its number. Rows of the same put count in their order.
    let by_request =
        |row: u32, late: bool| json!({ "request_id": request, "row": row, "late": late });
    let both = json!([
        by_request(1, false),
        by_request(0, false),
        by_request(1, true)
    ]);
    assert_eq!(counts(&put(&server, both)), [3, 2, 1, 0, 0, 0]);
    let row = |row: u32| shown(&server, &format!("request_id={request}&row={row}"));
    assert_eq!(row(0)["label"]["late"], json!(false));
    assert_eq!(history(&row(1)), [false, true]);
    assert_eq!(row(2)["label"], Value::Null);

    // Requests that are not in the log: kept and counted. Those there are, are found in the log's files.
    server.log();
    let stranger = "0190c4a2-9d3b-7cc1-8f00-5a6b7c8d9e0f";
    let put_unknown = json!([
        { "request_id": stranger, "late": true },
        { "request_id": "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "late": true },
        by_request(0, true),
    ]);
    let unknown = put(&server, put_unknown);
    assert_eq!(counts(&unknown), [3, 2, 1, 0, 0, 2]);
    let ids = unknown["unknown_ids"].to_string();
    assert!(ids.contains(stranger) && !ids.contains(&request), "{ids}");
    let kept = shown(&server, &format!("request_id={stranger}"));
    assert_eq!(kept["label"]["late"], json!(true));

    let time = "2030-01-01T00:00:00Z";
    let timed = json!({ "id": "b", "time": time, "late": true });
    assert_eq!(counts(&put(&server, timed.clone())), [1, 1, 0, 0, 0, 0]);
    assert_eq!(counts(&put(&server, timed)), [1, 0, 0, 0, 1, 0]);
    // Of equal times the later arrival counts.
    let again = json!({ "id": "b", "time": time, "late": false });
    assert_eq!(counts(&put(&server, again)), [1, 0, 1, 0, 0, 0]);
    let b = shown(&server, "id=b");
    assert_eq!(history(&b), [true, false]);

    // A server that stops and starts has them all, and so has the next version of the service.
    drop(server);
    let server = start();
    server.define("/v1/services", &format!("doc = \"changed\"\n{NOTES}"));
    assert_eq!(
        server.get("/v1/services/notes/labels").json["version"],
        json!(2)
    );
    assert_eq!(shown(&server, "id=b"), b);
    assert_eq!(shown(&server, "id=a"), a);
    assert_eq!(
        shown(&server, &format!("request_id={stranger}"))["history"],
        kept["history"]
    );

    let audit = server.get("/v1/audit?action=label.put").json.to_string();
    assert!(
        audit.contains("3 labels, 2 stored, 1 replaced, 0 outdated") && audit.contains("notes"),
        "{audit}"
    );
}

#[test]
fn a_label_that_is_none_is_refused_by_field_and_row() {
    let server = Server::start(|_| {});
    notes(&server);
    let id = "0190c4a2-9d3b-7cc1-8f00-5a6b7c8d9e0f";
    let good = json!({ "id": "a", "late": true });
    for (bad, field, words) in [
        (json!({ "id": "a", "late": 1 }), "late", "a bool belongs"),
        (
            json!({ "id": "a", "latr": true }),
            "latr",
            "there are request_id, row, id, time, late, minutes",
        ),
        (json!({ "id": "a" }), "late", "missing; a bool belongs here"),
        (
            json!({ "late": true }),
            "id",
            "missing; a label names its row by id",
        ),
        (
            json!({ "id": "a", "request_id": id, "late": true }),
            "request_id",
            "give it or id, not both",
        ),
        (
            json!({ "request_id": "7", "late": true }),
            "request_id",
            "\"7\" is no request id",
        ),
        (
            json!({ "request_id": id, "row": -1, "late": true }),
            "row",
            "-1 is no row of a request",
        ),
        (
            json!({ "id": "a", "row": 1, "late": true }),
            "row",
            "give its request_id too",
        ),
        (
            json!({ "id": "a", "time": "yesterday", "late": true }),
            "time",
            "RFC 3339",
        ),
    ] {
        let (status, place, detail) = refused(&server, json!([good, bad]));
        assert_eq!(
            (status, place),
            (400, format!("rows[1].{field}")),
            "{bad}: {detail}"
        );
        assert!(detail.contains(words), "{detail}");
        let (status, place, _) = refused(&server, bad);
        assert_eq!((status, place), (400, format!("label.{field}")));
    }
    for (bad, words) in [
        (json!([]), "no labels"),
        (json!("late"), "an object belongs here"),
        (json!([1]), "an object belongs here"),
    ] {
        let (status, _, detail) = refused(&server, bad);
        assert_eq!(status, 400);
        assert!(detail.contains(words), "{detail}");
    }
    // One bad label of a JSON body, and none is kept.
    assert_eq!(shown(&server, "id=a")["history"], json!([]));

    let ask = |path: &str| {
        let answer = server.get(path);
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        (answer.status, detail.to_owned())
    };
    for (path, status, words) in [
        ("/v1/services/nota/labels", 404, "there is notes"),
        (
            "/v1/services/notes@1/labels",
            400,
            "name the service alone, notes",
        ),
        (
            "/v1/services/notes/label",
            400,
            "say which row: request_id and row, or id",
        ),
        (
            "/v1/services/notes/label?key=a",
            400,
            "there are request_id, row, id",
        ),
        (
            "/v1/services/notes/label?id=a&request_id=0190c4a2-9d3b-7cc1-8f00-5a6b7c8d9e0f",
            400,
            "not both",
        ),
    ] {
        let (found, detail) = ask(path);
        assert!(
            found == status && detail.contains(words),
            "{path}: {detail}"
        );
    }
    let csv = server.post_as("/v1/services/notes/labels", "text/csv", "id,late\na,true");
    assert_eq!(csv.status, 415, "{}", csv.text);

    // Lines are kept as they are read: what stands before the bad one's chunk is there.
    let line =
        |at: usize| json!({ "id": format!("n{at}"), "late": at.is_multiple_of(2) }).to_string();
    let mut lines: Vec<String> = (0..2_500).map(line).collect();
    lines[2_345] = json!({ "id": "n", "late": "no" }).to_string();
    let ndjson = "application/x-ndjson";
    let answer = server.post_as("/v1/services/notes/labels", ndjson, lines.join("\n"));
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json["field"],
        json!("line 2346.late"),
        "{}",
        answer.text
    );
    let detail = answer.json["detail"].as_str().expect("a detail");
    assert!(detail.contains("labels before it are kept"), "{detail}");
    assert_eq!(shown(&server, "id=n0")["label"]["late"], json!(true));
    lines[2_345] = line(2_345);
    let answer = server.post_as("/v1/services/notes/labels", ndjson, lines.join("\n"));
    assert_eq!(answer.json["labels"], json!(2_500), "{}", answer.text);
    assert_eq!(shown(&server, "id=n2499")["label"]["late"], json!(false));
}

#[test]
fn what_a_service_says_of_its_labels_is_checked_when_it_is_registered() {
    let server = Server::start(|_| {});
    notes(&server);
    let define = |from: &str, to: &str| {
        let definition = NOTES.replace(from, to);
        assert_ne!(definition, NOTES);
        let answer = server.post_as("/v1/services", "application/toml", definition);
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        (answer.status, detail.to_owned())
    };
    for (from, to, words) in [
        (
            "key = \"id\"",
            "key = \"ident\"",
            "\"ident\" is no request field; there are id and x",
        ),
        (
            "key = \"id\"",
            "key = \"x\"",
            "x is f64; a key is text, i64, bool or timestamp",
        ),
        (
            "key = \"id\"",
            "key = [\"id\", \"id\"]",
            "id is there twice",
        ),
        (
            "late = \"bool\"",
            "late = \"boolean\"",
            "no type \"boolean\"; there are bool",
        ),
        ("late = \"bool\"", "id = \"bool\"", "that is its key"),
        (
            "late = \"bool\"",
            "row = \"bool\"",
            "row cannot be a label or its key",
        ),
        (
            "late = \"bool\"",
            "late = { type = \"bool\", default = true }",
            "a label has no default",
        ),
        (
            "as = \"guest\"",
            "as = \"label\"",
            "give it another name with `as`",
        ),
        (
            "late = \"bool\"",
            "late = \"i64\"",
            "late: it is i64 here and bool in notes@1",
        ),
        (
            "late = \"bool\"\nminutes = { type = \"f64\", nullable = true }",
            "",
            "names none",
        ),
    ] {
        let (status, detail) = define(from, to);
        assert!(
            status == 422 && detail.contains(words),
            "{to}: {status} {detail}"
        );
    }
    // More labels, and no key at all, go with what is kept.
    assert_eq!(define("key = \"id\"", "").0, 201);
    let (status, detail) = define("minutes = {", "why = \"text\"\nminutes = {");
    assert_eq!(status, 201, "{detail}");
    // What was reported by the key goes on counting where the newest version leaves the key out.
    put(&server, json!({ "id": "a", "late": true, "why": "fog" }));
    let keyless = format!("doc = \"keyless\"\n{}", NOTES.replace("key = \"id\"", ""));
    server.define("/v1/services", &keyless);
    let declared = server.get("/v1/services/notes/labels").json;
    assert_eq!(
        (&declared["version"], &declared["key"][0]["name"]),
        (&json!(4), &json!("id"))
    );
    assert_eq!(shown(&server, "id=a")["label"]["late"], json!(true));
    let without = "name = \"plain\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"good@1\"\n";
    server.define("/v1/services", without);
    let answer = server.post("/v1/services/plain/labels", "{}");
    assert!(
        answer.status == 400 && answer.text.contains("[labels.fields]"),
        "{}",
        answer.text
    );
}

#[test]
fn without_a_log_nobody_knows_whether_an_answer_was_given() {
    let server = Server::start(|config| config.log.enabled = false);
    notes(&server);
    let request = ask(&server, &["a"]);
    let put = put(&server, json!({ "request_id": request, "late": true }));
    assert_eq!((&put["stored"], &put["unknown"]), (&json!(1), &Value::Null));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("labels.csv");
    for (text, words) in [
        (
            "id,late\na,true\n",
            "1 labels of notes\n  1 stored, the first of their rows\n  the server writes no feature log",
        ),
        (
            "id,late,minutes\na,true,NaN\n",
            "row 1: label minutes is NaN, which JSON cannot say",
        ),
        ("id,late\n,true\n", "row 1.id: missing"),
    ] {
        std::fs::write(&file, text).expect("it is written");
        let mut command = tidemill(&["label", "put", "notes", "--file"]);
        command.arg(&file).args(["--server", server.url()]);
        let said = match text.contains("NaN") || text.contains("\n,") {
            true => bad(&mut command),
            false => good(&mut command),
        };
        assert!(said.contains(words), "{said}");
    }
}
