//! Training sets with labels beside their rows: of a file, of the server, as they were served.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::flights::{in_order, sample};
use super::labels::{NOTES, ask, notes, shown};
use super::support::{Server, file, guest, manifest, register_flights, text, until};

#[test]
fn what_a_spine_leaves_out_has_its_default() {
    let server = Server::start(|_| {});
    server.admit(&guest("good"));
    let definition = NOTES.replace("x = \"f64\"", "x = { type = \"f64\", default = 4 }");
    server.define("/v1/services", &definition);
    let dir = tempfile::tempdir().expect("a folder");
    let spine = dir.path().join("spine.csv");
    for (name, text, expected) in [
        ("none", "id,at\na,2026-01-01T00:00:00Z\n", vec!["5"]),
        (
            "some",
            "id,x,at\na,1,2026-01-01T00:00:00Z\nb,,2026-01-01T00:00:00Z\n",
            vec!["2", "5"],
        ),
    ] {
        std::fs::write(&spine, text).expect("it is written");
        let path = spine.display().to_string();
        let args = ["--spine", &path, "--arrival", "at"];
        let (set, _) = build(&server, dir.path(), name, &args);
        let bytes = std::fs::read(set.join("rows.parquet")).expect("rows");
        let rows = tidemill::training::from_parquet(bytes.into()).expect("a set");
        let column = rows.column_by_name("guest.y").expect("a feature");
        let shown = (0..rows.num_rows()).map(|row| tidemill::training::diff::shown(column, row));
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}

/// Runs `training-set build` of the notes into a folder of `dir`.
fn build(server: &Server, dir: &Path, name: &str, args: &[&str]) -> (PathBuf, String) {
    let out = dir.join(name);
    let said = good(
        tidemill(&["training-set", "build", "--service", "notes@1", "--out"])
            .arg(&out)
            .args(args)
            .args(["--server", server.url()]),
    );
    (out, said)
}

/// Of each row of a set, in order: its request's id field, and its labels.
fn labelled(set: &Path) -> Vec<(String, Value, Value)> {
    let batch = tidemill::training::from_parquet(
        std::fs::read(set.join("rows.parquet"))
            .expect("rows")
            .into(),
    )
    .expect("a set");
    let column = |name: &str| batch.column_by_name(name).expect(name);
    let shown = |name: &str, row| tidemill::training::diff::shown(column(name), row);
    let json = |text: String| serde_json::from_str(&text).expect("JSON");
    (0..batch.num_rows())
        .map(|row| {
            (
                shown("request.id", row),
                json(shown("label.late", row)),
                json(shown("label.minutes", row)),
            )
        })
        .collect()
}

#[test]
fn labels_of_a_file_and_of_the_server_stand_beside_the_rows() {
    let server = Server::start(|_| {});
    notes(&server);
    let request = ask(&server, &["a", "b", "c"]);
    let alone = ask(&server, &["d"]);
    let log = server.log();
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        path.display().to_string()
    };
    let one = |id: &str, late: Value, minutes: Value| (id.to_owned(), late, minutes);
    let none = |id: &str| one(id, Value::Null, Value::Null);

    // By request id and by key in one file; late, twice, and with a time of its own.
    let labels = write(
        "labels.csv",
        &format!(
            "id,request_id,row,time,late,minutes\n\
             a,,,2026-01-02T00:00:00Z,false,1\n\
             a,,,2026-01-01T00:00:00Z,true,2\n\
             ,{request},1,2026-01-01T00:00:00Z,true,3\n\
             ,{alone},,2026-01-05T00:00:00Z,true,\n\
             elsewhere,,,2026-01-05T00:00:00Z,true,\n"
        ),
    );
    let served = ["--as-served", "--log", &log.display().to_string()];
    let (set, said) = build(
        &server,
        dir.path(),
        "file",
        &[&served[..], &["--labels", &labels]].concat(),
    );
    let expected = vec![
        one("a", json!(false), json!(1)),
        one("b", json!(true), json!(3)),
        none("c"),
        one("d", json!(true), Value::Null),
    ];
    assert_eq!(labelled(&set), expected);
    assert!(said.contains("3 rows have a label, 1 have none"), "{said}");
    assert_eq!(
        manifest(&set)["labels"],
        json!({
            "from": labels, "declared_by": "notes@1", "columns": ["label.late", "label.minutes"],
            "matched": 3, "unmatched": 1,
        })
    );

    // The server's own: the same file, put; then a spine, by key and by the request ids it has.
    let said = good(
        tidemill(&["label", "put", "notes", "--file", &labels]).args(["--server", server.url()]),
    );
    assert!(
        said.contains("5 labels of notes")
            && said.contains("4 stored")
            && said.contains("1 outdated")
            && !said.contains("not in the feature log"),
        "{said}"
    );
    let stored = [&served[..], &["--labels", "stored"]].concat();
    let (set, _) = build(&server, dir.path(), "stored", &stored);
    assert_eq!(labelled(&set), expected);
    assert_eq!(manifest(&set)["labels"]["from"], json!("stored"));

    // Put again it adds nothing, though it has a row twice, the later report first.
    let reported = shown(&server, "id=a")["history"].clone();
    let said = good(
        tidemill(&["label", "put", "notes", "--file", &labels]).args(["--server", server.url()]),
    );
    assert!(said.contains("5 unchanged"), "{said}");
    assert_eq!(shown(&server, "id=a")["history"], reported);
    let (set, _) = build(&server, dir.path(), "again", &stored);
    assert_eq!(labelled(&set), expected);
    let as_of = [&stored[..], &["--labels-as-of", "2026-01-01T12:00:00Z"]].concat();
    let (set, _) = build(&server, dir.path(), "as-of", &as_of);
    assert_eq!(
        labelled(&set),
        vec![
            one("a", json!(true), json!(2)),
            one("b", json!(true), json!(3)),
            none("c"),
            none("d"),
        ]
    );
    let spine = write(
        "spine.ndjson",
        &format!(
            "{{\"id\":\"a\",\"x\":5,\"at\":\"2026-02-01T00:00:00Z\"}}\n\
             {{\"id\":\"new\",\"x\":5,\"at\":\"2026-02-01T00:00:00Z\",\"request_id\":\"{request}\",\"row\":1}}\n\
             {{\"id\":\"new\",\"x\":5,\"at\":\"2026-02-01T00:00:00Z\"}}\n"
        ),
    );
    let expected = vec![
        one("a", json!(false), json!(1)),
        one("new", json!(true), json!(3)),
        none("new"),
    ];
    for (name, source) in [("spine-stored", "stored"), ("spine-file", labels.as_str())] {
        let args = ["--spine", &spine, "--arrival", "at", "--labels", source];
        let (set, said) = build(&server, dir.path(), name, &args);
        assert_eq!(labelled(&set), expected);
        assert!(said.contains("2 rows have a label, 1 have none"), "{said}");
    }

    // Another column that is called row, of numbers or of anything, is no row of a request.
    for (name, row) in [("numbered", "7"), ("lettered", "A7")] {
        let text = format!("id,x,at,row\na,5,2026-02-01T00:00:00Z,{row}\n");
        let spine = write(&format!("{name}.csv"), &text);
        for source in ["stored", labels.as_str()] {
            let name = format!("{name}-{}", source == "stored");
            let args = ["--spine", &spine, "--arrival", "at", "--labels", source];
            let (set, _) = build(&server, dir.path(), &name, &args);
            assert_eq!(labelled(&set), expected[..1]);
        }
    }

    // What has no time is learnt now, and what is passed over for that is said.
    let timeless = write(
        "timeless.csv",
        "id,time,late\na,,true\nb,2026-01-01T00:00:00Z,true\nc,2026-01-03T00:00:00Z,true\n",
    );
    let as_of = ["--labels-as-of", "2026-01-02T00:00:00Z"];
    let args = [&served[..], &["--labels", &timeless], &as_of].concat();
    let (set, said) = build(&server, dir.path(), "timeless", &args);
    assert_eq!(
        labelled(&set)[..2],
        [none("a"), one("b", json!(true), Value::Null)]
    );
    assert!(
        said.contains(
            "3 labels in"
        ) && said.contains(
            "timeless.csv, 2 of them learnt after 2026-01-02T00:00:00Z (1 for want of a time: what has none in the column \
             time is learnt as it is read)"
        ),
        "{said}"
    );

    // Another service that has the same requests computed anew has the labels of the one that answered.
    let other = NOTES.split_once("[labels]").expect("labels").0;
    server.define("/v1/services", &other.replace("\"notes\"", "\"other\""));
    let log = log.display().to_string();
    let args = [
        "--recompute",
        "other@1",
        "--log",
        &log,
        "--labels",
        "stored",
    ];
    let (set, _) = build(&server, dir.path(), "recomputed", &args);
    assert_eq!(labelled(&set), labelled(&dir.path().join("stored")));
    assert_eq!(manifest(&set)["service"], json!("other@1"));
    assert_eq!(manifest(&set)["labels"]["declared_by"], json!("notes@1"));

    // What cannot be: each with what to do.
    let refused = |args: &[&str]| {
        bad(
            tidemill(&["training-set", "build", "--service", "notes@1", "--out"])
                .arg(dir.path().join("never"))
                .args(args)
                .args(["--server", server.url()]),
        )
    };
    let other = write("other.csv", "id,late\na,maybe\n");
    let folder = dir.path().display().to_string();
    let silent = write("silent.csv", "id,late,minutes\na,,\n");
    for (args, words) in [
        (
            vec!["--labels", "stored"],
            "Give --spine FILE, --as-served or --recompute",
        ),
        ([&served[..], &["--labels", &other]].concat(), "late"),
        ([&served[..], &["--labels", &silent]].concat(), "late"),
        (
            [&served[..], &["--from", "soon"]].concat(),
            "--from: \"soon\" is no moment",
        ),
        (
            [&served[..], &["--from", "2100-01-01"]].concat(),
            "has no file of notes@1 of 2100-01-01 or later",
        ),
        (
            [&served[..], &["--to", "2013-01-01"]].concat(),
            "the log has no such rows",
        ),
        // Parquet files that are not the log's are passed over.
        (
            vec!["--as-served", "--log", &folder],
            "has no file of notes@1; of notes there is none",
        ),
    ] {
        let said = refused(&args);
        assert!(said.contains(words), "{args:?}: {said}");
    }

    let said = good(tidemill(&["label", "show", "notes", "a"]).args(["--server", server.url()]));
    assert!(
        said.contains("2026-01-02T00:00:00Z") && said.contains("counts"),
        "{said}"
    );
    let said = bad(
        tidemill(&["label", "put", "notes", "--file", &other]).args(["--server", server.url()])
    );
    assert!(
        said.contains("other.csv") && said.contains("late"),
        "{said}"
    );
}

#[test]
fn a_set_as_served_has_what_failed_and_no_shadows() {
    let server = Server::start(|_| {});
    server.admit(&guest("panics"));
    let unlucky = NOTES.replace("good@1", "panics@1");
    server.define("/v1/services", &unlucky);
    server.define("/v1/services", &format!("doc = \"again\"\n{unlucky}"));
    let stable = json!({ "version": 1, "shadow": [{ "version": 2 }] }).to_string();
    let moved = server.put("/v1/services/notes/aliases/stable", stable);
    assert_eq!(moved.status, 201, "{}", moved.text);
    let row = |x: i64| json!({ "id": format!("r{x}"), "x": x });
    let body = json!({ "rows": [row(1), row(13), row(2)] }).to_string();
    let answer = server.post("/v1/services/notes/features", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let ran = || {
        let metrics = server.get("/metrics").text;
        let mut lines = metrics.lines();
        lines.any(|line| {
            line.starts_with("tidemill_shadow_requests_total")
                && line.ends_with("service=\"notes\",version=\"2\"} 1")
        })
    };
    until("the shadow has run", || ran().then_some(()));
    let log = server.log().display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let (set, said) = build(&server, dir.path(), "set", &["--as-served", "--log", &log]);
    assert!(
        said.contains("3 rows of notes@1")
            && said.contains("3 rows of other versions are passed over")
            && said.contains("by outcome: 2 answered, 1 failed"),
        "{said}"
    );
    assert_eq!(
        manifest(&set)["spine"]["outcomes"],
        json!({ "answered": 2, "failed": 1 })
    );
    // The other version answered nobody.
    let shadow = [
        "training-set",
        "build",
        "--service",
        "notes@2",
        "--as-served",
    ];
    let said = bad(tidemill(&shadow)
        .args(["--log", &log, "--server", server.url(), "--out"])
        .arg(dir.path().join("shadow")));
    assert!(said.contains("the log has no such rows"), "{said}");
}

#[test]
fn a_newer_version_of_a_transform_changes_only_what_it_changes() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let sample = sample();
    in_order(&server, &sample, |server, hour| {
        if !hour.is_empty() {
            let rows: Vec<&Value> = hour.iter().map(|(request, _)| request).collect();
            let body = json!({ "rows": rows }).to_string();
            let answer = server.post("/v1/services/flight-delay/score", body);
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    });
    let log = server.log();
    let flights = file("demo/flights/flights.parquet");
    let said = good(
        tidemill(&["label", "put", "flight-delay", "--file"])
            .arg(&flights)
            .args(["--server", server.url()]),
    );
    let happened = said
        .split(' ')
        .next()
        .and_then(|count| count.parse::<usize>().ok());
    let happened = happened.expect("how many");
    assert!(happened > 5_000 && happened < sample.len(), "{said}");
    let unknown = format!("{} rows say nothing", sample.len() - happened);
    assert!(said.contains(&unknown), "{said}");

    let dir = tempfile::tempdir().expect("a folder");
    let built = |name: &str, args: &[&str]| {
        let out = dir.path().join(name);
        let mut command = tidemill(&["training-set", "build", "--service", "flight-delay@1"]);
        command.arg("--out").arg(&out).arg("--log").arg(&log);
        command.args(args).args(["--server", server.url()]);
        (out, command)
    };
    let diff = |left: &Path, right: &Path| -> Value {
        let output = tidemill(&["training-set", "diff", "--json", "--key", "request_id,row"])
            .args([left, right])
            .output()
            .expect("the program starts");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let different = |found: &Value| -> Vec<String> {
        let columns = found["columns"].as_array().expect("columns").iter();
        let columns = columns.filter(|column| column["different"] != 0);
        columns
            .map(|column| column["name"].as_str().expect("a name").to_owned())
            .collect()
    };

    // What was served is what the log has, column by column and bit by bit.
    let (served, mut command) = built("served", &["--as-served", "--labels", "stored"]);
    let said = good(&mut command);
    assert!(
        said.contains(&format!("{happened} rows have a label")),
        "{said}"
    );
    let found = diff(&log, &served);
    assert_eq!(found["matched"], json!(sample.len()));
    assert_eq!(
        (&found["only_left"], &found["only_right"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(different(&found), Vec::<String>::new());
    assert_eq!(
        found["columns_only_left"],
        json!([
            "service",
            "service_version",
            "model",
            "transforms",
            "role",
            "micros"
        ])
    );
    assert_eq!(found["columns_only_right"], json!(["label.arr_delay"]));
    assert!(
        found["columns"].as_array().expect("columns").len() > 40,
        "{found}"
    );

    // The same version again: no bit differs.
    let (same, mut command) = built(
        "same",
        &["--recompute", "flight-delay@1", "--labels", "stored"],
    );
    good(&mut command);
    assert_eq!(different(&diff(&served, &same)), Vec::<String>::new());

    // A newer version of one transform: its changed column differs, of those who left early, and nothing else does.
    server.admit(&guest("departure-delay-next"));
    server.define("/v1/services", &text("demo/flights/flight-delay.toml"));
    let (again, mut command) = built(
        "again",
        &["--recompute", "flight-delay@2", "--labels", "stored"],
    );
    let said = good(&mut command);
    assert!(
        said.contains(&format!("{} rows of flight-delay@2", sample.len())),
        "{said}"
    );
    let found = diff(&served, &again);
    assert_eq!(found["matched"], json!(sample.len()));
    assert_eq!(different(&found), ["delay.minutes_late"]);
    let early = sample.iter().filter(|(request, _)| {
        let time = |name: &str| {
            tidemill::request::parse_timestamp(request[name].as_str().expect("a time"))
                .expect("a time")
        };
        time("departed") < time("scheduled")
    });
    let column = found["columns"].as_array().expect("columns").iter();
    let mut column = column.filter(|column| column["name"] == "delay.minutes_late");
    let column = column.next().expect("the column");
    assert_eq!(column["different"], json!(early.count()));
    assert!(column["different"].as_u64() > Some(1_000), "{column}");
    assert_eq!(column["evidence"][0]["right"], json!("0"));
    assert_eq!(found["columns_only_left"], json!(["vector", "score"]));
    let told = manifest(&again);
    assert_eq!(told["service"], json!("flight-delay@2"));
    assert_eq!(told["spine"]["answers_of"], json!("flight-delay@1"));
    assert_eq!(told["labels"]["matched"], json!(happened));

    // A version that wants to know what nobody was asked.
    let wants = text("demo/flights/flight-delay.toml");
    let wants = wants.replace(
        "[request]\n",
        "[request]\ngate = \"text\"\nstand = { type = \"i64\", default = 7 }\n",
    );
    server.define("/v1/services", &wants);
    let (_, mut command) = built("never", &["--recompute", "flight-delay@3"]);
    let said = bad(&mut command);
    assert!(
        said.contains("flight-delay@3 needs gate, which requests to flight-delay@1 did not have; the log has flight_id"),
        "{said}"
    );
    // What has a default may be absent.
    server.define("/v1/services", &wants.replace("gate = \"text\"\n", ""));
    let (_, mut command) = built("absent", &["--recompute", "flight-delay@4"]);
    good(&mut command);
    assert_eq!(
        manifest(&dir.path().join("absent"))["spine"]["absent"],
        json!(["stand"])
    );
}
