//! Versions, aliases and lineage over HTTP and from the command line.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::support::{Answer, Server, good, plugin, register_flights, text};

/// Version `n` adds one to `a` with good@1.0.0, or to `b` with good@2.0.0.
fn plus_one(server: &Server) {
    for (version, input) in [("1.0.0", "a"), ("2.0.0", "b")] {
        server.admit(&good(version));
        server.define("/v1/services", &service(version, input));
    }
}

fn service(version: &str, input: &str) -> String {
    format!(
        "name = \"plus-one\"\n[request]\na = \"f64\"\nb = \"f64\"\n[[transform]]\nuse = \"good@{version}\"\n\
         as = \"plus\"\nbind = {{ x = \"{input}\" }}\n"
    )
}

/// The version that answered; its transform and its feature must be of the same.
#[track_caller]
fn answered(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = &answer.json;
    let version = json["service_version"].as_u64().expect("a version");
    let expected = [("1.0.0", 11.0), ("2.0.0", 21.0)][version as usize - 1];
    let found = (
        json["transforms"][0]["version"]
            .as_str()
            .expect("a version"),
        json["results"][0]["features"]["plus.y"]
            .as_f64()
            .expect("a number"),
    );
    assert_eq!(found, expected, "{}", answer.text);
    version
}

fn ask(server: &Server, id: &str) -> Answer {
    let body = r#"{"inputs":{"a":10,"b":20}}"#;
    server.post(&format!("/v1/services/{id}/features"), body)
}

#[track_caller]
fn detail(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    answer.json["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_name_means_stable_where_there_is_one_and_the_newest_otherwise() {
    let server = Server::start(|_| {});
    plus_one(&server);
    assert_eq!(
        ["plus-one", "plus-one@1", "plus-one@2"].map(|id| answered(&ask(&server, id))),
        [2, 1, 2]
    );

    let aliases = "/v1/services/plus-one/aliases";
    let stable = format!("{aliases}/stable");
    let put = |body: &str| server.put(&stable, body);
    let made = put(r#"{"version": 1, "reason": "known good"}"#);
    assert_eq!(
        (made.status, &made.json["settings"]),
        (201, &json!({ "version": 1 }))
    );
    assert_eq!(
        ["plus-one", "plus-one@stable"].map(|id| answered(&ask(&server, id))),
        [1, 1]
    );
    assert_eq!(put(r#"{"version": 1}"#).status, 200);
    assert_eq!(put(r#"{"version": 2}"#).status, 201);
    let history = server.get(&stable).json["history"].clone();
    let said =
        |change: &Value| ["change", "by", "reason", "from", "to"].map(|name| change[name].clone());
    assert_eq!(
        said(&history[0]),
        [
            json!(1),
            json!("loopback"),
            json!("known good"),
            json!(null),
            json!({ "version": 1 })
        ]
    );
    assert_eq!(
        said(&history[1])[3..],
        [json!({ "version": 1 }), json!({ "version": 2 })]
    );

    let back = server.post(&format!("{stable}/rollback"), "");
    assert_eq!(
        (back.status, &back.json["settings"]["version"]),
        (200, &json!(1))
    );
    assert_eq!(answered(&ask(&server, "plus-one")), 1);
    let nothing = detail(
        &server.post(&format!("{stable}/rollback"), r#"{"reason": "again"}"#),
        409,
    );
    assert!(
        nothing.contains("has no earlier settings to go back to; it points at plus-one@1"),
        "{nothing}"
    );

    let listed = server.get("/v1/services").json["services"][0].clone();
    assert_eq!(
        (&listed["aliases"], &listed["version"], &listed["versions"]),
        (&json!({ "stable": 1 }), &json!(1), &json!(2))
    );
    assert_eq!(
        server.get("/v1/services/plus-one@1").json["aliases"],
        json!(["stable"])
    );
    assert_eq!(
        server.get(aliases).json["aliases"][0]["history"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    let removed = server.delete(&stable);
    assert_eq!(
        (removed.status, &removed.json["settings"]),
        (200, &Value::Null)
    );
    assert_eq!(answered(&ask(&server, "plus-one")), 2);

    for (answer, status, expected) in [
        (
            put(r#"{"version": 7}"#),
            404,
            "there is no service version \"plus-one@7\"; there are plus-one@1 and plus-one@2",
        ),
        (put("{}"), 400, "body: missing field `version`"),
        (
            put(r#"{"version": 1, "resaon": ""}"#),
            400,
            "unknown field `resaon`",
        ),
        (
            server.put(&format!("{aliases}/2"), r#"{"version": 1}"#),
            400,
            "\"2\" is a number, and numbers are versions",
        ),
        (
            server.put("/v1/services/plus-two/aliases/stable", r#"{"version": 1}"#),
            404,
            "there is no service \"plus-two\"; there is plus-one",
        ),
        (
            server.delete(&stable),
            404,
            "there is no alias \"plus-one@stable\"",
        ),
        (
            ask(&server, "plus-one@canary"),
            404,
            "there is no service version \"plus-one@canary\"",
        ),
    ] {
        let detail = detail(&answer, status);
        assert!(detail.contains(expected), "{detail}");
    }
}

/// The alias is moved a thousand times while clients ask by it: no request fails, and each is of one version throughout.
#[test]
fn an_alias_moves_under_load_and_no_request_notices() {
    let server = Server::start(|_| {});
    plus_one(&server);
    let stable = "/v1/services/plus-one/aliases/stable";
    assert_eq!(server.put(stable, r#"{"version": 1}"#).status, 201);
    let stop = AtomicBool::new(false);
    let seen: Vec<[u64; 2]> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || {
                    let id = ["plus-one", "plus-one@stable"][client % 2];
                    let mut seen = [0, 0];
                    while !stop.load(Ordering::Relaxed) {
                        seen[answered(&ask(server, id)) as usize - 1] += 1;
                    }
                    seen
                })
            })
            .collect();
        for at in 0..1_000 {
            let version = 2 - at % 2;
            let moved = server.put(stable, format!("{{\"version\": {version}}}"));
            assert_eq!(moved.status, 201, "{}", moved.text);
            // What was acknowledged is what the next request sees.
            if at % 100 == 0 {
                assert_eq!(answered(&ask(&server, "plus-one")), version);
            }
        }
        stop.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect()
    });
    eprintln!("answers by version, of each client: {seen:?}");
    assert!(
        seen.iter().all(|seen| seen[0] > 0 && seen[1] > 0),
        "{seen:?}"
    );
    let history = server.get(stable).json["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(1_001));
}

#[test]
fn versions_are_retired_restored_and_deleted() {
    let server = Server::start(|_| {});
    plus_one(&server);
    let retired = server.post(
        "/v1/transforms/good@2.0.0/retire",
        r#"{"reason": "it adds one too many"}"#,
    );
    assert_eq!(
        (retired.status, &retired.json["retired"]["reason"]),
        (200, &json!("it adds one too many"))
    );
    let refused = server.post_as("/v1/services", "application/toml", service("2.0.0", "a"));
    let message = detail(&refused, 422);
    assert!(
        message.contains("transform good@2.0.0 was retired by loopback at ")
            && message.contains("(it adds one too many)"),
        "{message}"
    );
    assert_eq!(answered(&ask(&server, "plus-one@2")), 2);
    assert_eq!(
        server.get("/v1/transforms/good@2.0.0").json["retired"]["by"],
        json!("loopback")
    );
    let restored = server.post("/v1/transforms/good@2.0.0/restore", "");
    assert_eq!(
        (restored.status, &restored.json["retired"]),
        (200, &Value::Null)
    );

    for (answer, status, expected) in [
        (
            server.delete("/v1/transforms/good@2.0.0"),
            409,
            "transform good@2.0.0 is used by service plus-one@2, and stays",
        ),
        (
            server.delete("/v1/transforms/good"),
            400,
            "\"good\" names no one version of a transform; say which, as in great-circle@1.0.0",
        ),
        (
            server.post("/v1/services/plus-one@stable/retire", ""),
            400,
            "names no one version of a service",
        ),
        (
            server.post("/v1/models/none@1/retire", ""),
            404,
            "there is no model \"none\"; no model is there yet",
        ),
        (
            server.delete("/v1/services/plus-one@2?rows=true"),
            400,
            "rows: only views have rows",
        ),
        (
            server.delete("/v1/services/plus-one@2?row=true"),
            400,
            "row: no such parameter; there is rows",
        ),
    ] {
        let detail = detail(&answer, status);
        assert!(detail.contains(expected), "{detail}");
    }
    assert_eq!(server.delete("/v1/services/plus-one@2").status, 200);
    assert_eq!(server.delete("/v1/transforms/good@2.0.0").status, 200);
    assert_eq!(answered(&ask(&server, "plus-one")), 1);
    detail(&ask(&server, "plus-one@2"), 404);
}

#[test]
fn versions_of_a_view_share_their_rows() {
    let server = Server::start(|_| {});
    let view = "name = \"plane\"\nkey = \"tail\"\nevent_time = \"at\"\n[columns]\ntail = \"text\"\nat = \"timestamp\"\nseats = \"i64\"\n";
    let wider = format!(
        "{view}year = {{ type = \"i64\", nullable = true }}\nmaker = {{ type = \"text\", nullable = true }}\n"
    );
    let rows = |body: &str| server.post_as("/v1/views/plane/rows", "application/x-ndjson", body);
    let service = |name: &str, view: &str, more: &str| {
        let text = format!(
            "name = \"{name}\"\nfeatures = [\"plane.seats\"{more}]\n[request]\ntail = \"text\"\n\
             [[lookup]]\nview = \"{view}\"\nkey = \"tail\"\n"
        );
        server.define("/v1/services", &text);
        server.get(&format!("/v1/services/{name}")).json["pins"]["views"][0]["id"].clone()
    };
    let features = |name: &str, tail: &str| {
        let body = json!({ "inputs": { "tail": tail } }).to_string();
        let answer = server.post(&format!("/v1/services/{name}/features"), body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["results"][0]["features"].clone()
    };
    server.define("/v1/views", view);
    assert_eq!(
        rows(r#"{"tail":"N1","at":"2013-01-01T00:00:00Z","seats":50}"#).status,
        200
    );
    assert_eq!(service("old", "plane", ""), json!("plane@1"));

    server.define("/v1/views", &wider);
    let shown = server.get("/v1/views/plane").json;
    assert_eq!(
        (&shown["version"], &shown["versions"]),
        (&json!(2), &json!([1, 2]))
    );
    let second =
        r#"{"tail":"N2","at":"2013-01-01T00:00:00Z","seats":60,"year":1999,"maker":"BOEING"}"#;
    assert_eq!(rows(second).status, 200);
    assert_eq!(
        service("new", "plane", ", \"plane.year\", \"plane.maker\""),
        json!("plane@2")
    );
    assert_eq!(service("exact", "plane@1", ""), json!("plane@1"));
    for name in ["old", "exact"] {
        assert_eq!(features(name, "N1"), json!({ "plane.seats": 50 }));
        assert_eq!(features(name, "N2"), json!({ "plane.seats": 60 }));
    }
    assert_eq!(
        features("new", "N1"),
        json!({ "plane.seats": 50, "plane.year": null, "plane.maker": null })
    );
    assert_eq!(
        features("new", "N2"),
        json!({ "plane.seats": 60, "plane.year": 1999, "plane.maker": "BOEING" })
    );
    assert_eq!(
        server.get("/v1/views/plane@1/row?tail=N2").json["row"]["seats"],
        json!(60)
    );
    assert_eq!(
        server.get("/v1/views/plane/row?tail=N1").json["row"]["maker"],
        Value::Null
    );

    let refused = detail(
        &server.post_as(
            "/v1/views",
            "application/toml",
            view.replace("seats = \"i64\"", "seats = \"f64\""),
        ),
        409,
    );
    assert!(
        refused.contains("its column \"seats\" is of type f64, and in plane@2 of type i64"),
        "{refused}"
    );
    let exact = server.post_as("/v1/views/plane@2/rows", "application/x-ndjson", second);
    assert!(detail(&exact, 400).contains("name the view alone"));

    // The rows belong to all versions: they go with the last, and only if that is said.
    assert!(
        detail(&server.delete("/v1/views/plane@2"), 409)
            .contains("view plane@2 is used by service new@1")
    );
    for name in ["old", "new", "exact"] {
        assert_eq!(server.delete(&format!("/v1/services/{name}@1")).status, 200);
    }
    assert!(
        detail(&server.delete("/v1/views/plane@2?rows=true"), 409)
            .contains("go with the last; there is plane@1 besides")
    );
    assert_eq!(server.delete("/v1/views/plane@2").status, 200);
    assert_eq!(
        server.get("/v1/views/plane/row?tail=N2").json["row"]["seats"],
        json!(60)
    );
    assert!(
        detail(&server.delete("/v1/views/plane@1"), 409)
            .contains("holds the rows of 2 entities; say rows=true")
    );
    assert_eq!(server.delete("/v1/views/plane@1?rows=true").status, 200);
    detail(&server.get("/v1/views/plane"), 404);
    server.define("/v1/views", &wider);
    assert_eq!(server.get("/v1/views/plane").json["version"], json!(2));
    assert_eq!(
        server.get("/v1/views/plane/row?tail=N1").json["status"],
        json!("not_found")
    );
}

#[test]
fn training_sets_and_the_lineage_of_a_model() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let shown = server.get("/v1/services/flight-delay").json;
    let names = |fields: &Value| -> Vec<Value> {
        fields
            .as_array()
            .expect("fields")
            .iter()
            .map(|field| field["name"].clone())
            .collect()
    };
    let manifest = json!({
        "name": "flights-2013",
        "service": "flight-delay@1",
        "transforms": shown["pins"]["transforms"],
        "features": names(&shown["features"]),
        "rows": 3,
        "spine": { "from": "nycflights13" },
        "views": [{ "view": "weather@1", "from": "2013-01-01T00:00:00Z", "to": "2013-12-31T00:00:00Z" }],
        "files": [{ "path": "flights.parquet", "sha256": "a".repeat(64), "rows": 3, "bytes": 99 }],
        "made_by": "0.1.0",
    });
    let post = |manifest: &Value| server.post("/v1/training-sets", manifest.to_string());
    let first = post(&manifest);
    assert_eq!(
        (first.status, &first.json["version"]),
        (201, &json!(1)),
        "{}",
        first.text
    );
    let again = post(&manifest);
    assert_eq!((again.status, &again.json), (200, &first.json));
    assert_eq!(
        server.get("/v1/training-sets/flights-2013").json,
        first.json
    );
    assert_eq!(first.json["manifest"], manifest);
    assert_eq!(
        server.get("/v1/training-sets").json["training_sets"][0]["rows"],
        json!(3)
    );

    for (pointer, value, expected) in [
        (
            "/service",
            json!("flight-delay@2"),
            "there is no service version \"flight-delay@2\"; there is flight-delay@1",
        ),
        (
            "/service",
            json!("flight-delay"),
            "names no one version of a service",
        ),
        (
            "/transforms/0/digest",
            json!("b".repeat(64)),
            "which service flight-delay@1 does not pin; there are departure-delay@1.0.0 sha256:",
        ),
        (
            "/features/0",
            json!("x"),
            "its feature 0 is x, and the vector of service flight-delay@1 has ",
        ),
        (
            "/views/0/view",
            json!("weather@2"),
            "does not look up view weather@2; there are ",
        ),
        ("/rows", json!(4), "it has 4 rows, but its files have 3"),
    ] {
        let mut changed = manifest.clone();
        *changed.pointer_mut(pointer).expect("a place") = value;
        let message = detail(&post(&changed), 422);
        assert!(message.contains(expected), "{message}");
    }
    let mut short = manifest.clone();
    short["transforms"].as_array_mut().expect("a list").pop();
    assert!(detail(&post(&short), 422).contains("which its transforms do not name"));

    // A model trained on it, a service that uses the model: both ways to the end.
    let onnx = std::fs::read(super::support::file("demo/flights/model/flight-delay.onnx"))
        .expect("the model");
    let mut of_model: Value =
        serde_json::from_str(&text("demo/flights/model/flight-delay.json")).expect("JSON");
    let mut register = |set: &str| {
        of_model["training_set"] = json!(set);
        server.post_parts(
            "/v1/models",
            &[
                ("model", &onnx),
                ("manifest", of_model.to_string().as_bytes()),
            ],
        )
    };
    let unknown = detail(&register("flights-2013@2"), 422);
    assert!(
        unknown.contains(
            "there is no training-set version \"flights-2013@2\"; there is flights-2013@1"
        ),
        "{unknown}"
    );
    assert_eq!(register("flights-2013@1").json["version"], json!(2));
    server.define(
        "/v1/services",
        &text("demo/flights/flight-delay.toml").replace("flight-delay@1", "flight-delay@2"),
    );
    server.put(
        "/v1/services/flight-delay/aliases/canary",
        r#"{"version": 2}"#,
    );
    server.post("/v1/models/flight-delay@1/retire", "");

    let graph = server.get("/v1/lineage/training-set/flights-2013").json;
    assert_eq!(graph["subject"], json!("training-set/flights-2013@1"));
    let edges: Vec<(String, String)> = graph["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| {
            (
                edge["from"].as_str().expect("a key").to_owned(),
                edge["to"].as_str().expect("a key").to_owned(),
            )
        })
        .collect();
    for (from, to) in [
        ("training-set/flights-2013@1", "service/flight-delay@1"),
        ("service/flight-delay@1", "transform/great-circle@1.0.0"),
        ("service/flight-delay@1", "view/plane@1"),
        ("service/flight-delay@1", "model/flight-delay@1"),
        ("model/flight-delay@2", "training-set/flights-2013@1"),
        ("service/flight-delay@2", "model/flight-delay@2"),
    ] {
        assert!(
            edges.contains(&(from.to_owned(), to.to_owned())),
            "{from} → {to} is not in {edges:?}"
        );
    }
    let node = |key: &str| {
        let nodes = graph["nodes"].as_array().expect("nodes");
        nodes
            .iter()
            .find(|node| node["key"] == key)
            .unwrap_or_else(|| panic!("no {key}"))
            .clone()
    };
    assert_eq!(node("service/flight-delay@2")["aliases"], json!(["canary"]));
    assert_eq!(node("model/flight-delay@1")["retired"], json!(true));
    let digest = server.get("/v1/transforms/great-circle").json["digest"].clone();
    assert_eq!(node("transform/great-circle@1.0.0")["digest"], digest);

    let tree = server
        .get("/v1/lineage/model/flight-delay@2?format=text")
        .text;
    assert!(
        tree.contains(
            "\nuses\n  training-set flights-2013@1\n    transform departure-delay@1.0.0\n"
        ),
        "{tree}"
    );
    assert!(
        tree.ends_with("is used by\n  service flight-delay@2 (canary)\n"),
        "{tree}"
    );
    let diagram = server.get("/v1/lineage?format=mermaid").text;
    assert!(
        diagram.starts_with("graph LR\n  n0[\"transform departure-delay@1.0.0\"]\n"),
        "{diagram}"
    );
    assert!(
        diagram.contains("[\"model flight-delay@1 (retired)\"]:::retired"),
        "{diagram}"
    );
    assert_eq!(
        diagram.matches(" --> ").count(),
        server.get("/v1/lineage").json["edges"]
            .as_array()
            .map_or(0, Vec::len)
    );
    for (path, status, expected) in [
        (
            "/v1/lineage/modle/a@1",
            404,
            "there is no kind \"modle\"; there are transform, view, model, service and training-set",
        ),
        (
            "/v1/lineage/model/a@1",
            404,
            "there is no model \"a\"; there is flight-delay",
        ),
        (
            "/v1/lineage?format=dot",
            400,
            "\"dot\" is no format; there are json, text and mermaid",
        ),
    ] {
        let detail = detail(&server.get(path), status);
        assert!(detail.contains(expected), "{detail}");
    }
    let in_use = detail(&server.delete("/v1/training-sets/flights-2013@1"), 409);
    assert!(
        in_use.contains("is used by model flight-delay@2, and stays"),
        "{in_use}"
    );
    let in_use = detail(&server.delete("/v1/services/flight-delay@1"), 409);
    assert!(
        in_use.contains("is used by training-set flights-2013@1, and stays"),
        "{in_use}"
    );
}

/// As an admin types it.
#[test]
fn from_the_command_line() {
    let server = Server::start(|_| {});
    server.admit(&plugin("great-circle"));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("way.toml");
    let write = |doc: &str| {
        let inputs = ["from_lat", "from_lon", "to_lat", "to_lon"]
            .map(|name| format!("{name} = \"f64\"\n"))
            .concat();
        let text = format!(
            "name = \"way\"\ndoc = \"{doc}\"\n[request]\n{inputs}[[transform]]\nuse = \"great-circle@1\"\n"
        );
        std::fs::write(&file, text).expect("it is written");
    };
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        let output = command
            .args(args)
            .args(["--server", server.url()])
            .output()
            .expect("it starts");
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).expect("text"))
            .concat();
        (output.status.success(), text)
    };
    let good = |args: &[&str]| {
        let (good, text) = run(args);
        assert!(good, "{args:?}: {text}");
        text
    };
    let bad = |args: &[&str]| {
        let (good, text) = run(args);
        assert!(!good, "{args:?}: {text}");
        text
    };
    let path = file.to_str().expect("a path");
    write("one");
    assert!(good(&["service", "register", path, "--promote"]).contains("way@stable is way@1"));
    write("two");
    good(&["service", "register", path]);
    assert!(good(&["service", "list"]).contains("stable → 1"));
    assert!(good(&["service", "show", "way"]).contains("service way, version 1"));
    let moved = good(&["service", "promote", "way", "2", "--reason", "better"]);
    assert_eq!(moved, "way@stable is way@2, and was way@1\n");
    assert_eq!(
        good(&["service", "rollback", "way"]),
        "way@stable is way@1, and was way@2\n"
    );
    assert!(bad(&["service", "rollback", "way"]).contains("no earlier settings to go back to"));
    let aliases = good(&["service", "aliases", "way"]);
    assert!(
        aliases.contains("better") && aliases.contains("rollback") && aliases.contains("loopback"),
        "{aliases}"
    );

    good(&[
        "transform",
        "retire",
        "great-circle@1.0.0",
        "--reason",
        "the Earth is no sphere",
    ]);
    assert!(good(&["transform", "list"]).contains("retired"));
    assert!(good(&["transform", "show", "great-circle"]).contains("the Earth is no sphere"));
    write("three");
    assert!(bad(&["service", "register", path]).contains("the Earth is no sphere"));
    good(&["transform", "restore", "great-circle@1.0.0"]);
    assert!(
        bad(&["transform", "delete", "great-circle@1.0.0"])
            .contains("is used by service way@1, service way@2, and stays")
    );
    good(&["service", "retire", "way@2"]);
    good(&["service", "delete", "way@2"]);

    let view = super::support::file("demo/cards/customer.toml");
    let created = good(&["view", "create", view.to_str().expect("a path")]);
    assert_eq!(created, "view customer@1\n");
    assert!(good(&["view", "show", "customer"]).contains("key = \"customer"));
    assert!(good(&["view", "delete", "customer@1"]).contains("view customer@1 is deleted"));

    let tree = good(&["lineage", "transform", "great-circle"]);
    assert!(
        tree.ends_with("uses nothing\nis used by\n  service way@1 (stable)\n"),
        "{tree}"
    );
    assert!(good(&["lineage", "service", "way", "--format", "mermaid"]).contains("n1 --> n0"));
    assert!(
        good(&["lineage"]).contains("service way@1 (stable)\n  transform great-circle@1.0.0\n")
    );
    assert!(good(&["lineage", "--format", "json"]).contains("\"edges\""));
    assert!(bad(&["lineage", "service"]).contains("say which service"));
}
