//! Training sets with whole manifests, models that remember theirs, and services that differ from them.

use std::path::Path;

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::flights::{in_order, sample};
use super::support::{Server, file, flight, manifest, newer, plugin, register_flights, text};

/// The flight service with all of the sample's weather.
pub fn flights_with_weather() -> Server {
    let server = Server::start(|_| {});
    register_flights(&server);
    in_order(&server, &[], |_, _| {});
    server
}

/// Builds the set `flights-2013` of the sample's flights in a folder, with more arguments.
pub fn build(server: &Server, out: &Path, more: &[&str]) -> String {
    good(
        tidemill(&["training-set", "build", "--service", "flight-delay@1"])
            .arg("--spine")
            .arg(file("demo/flights/flights.parquet"))
            .arg("--out")
            .arg(out)
            .args(["--name", "flights-2013", "--server", server.url()])
            .args(more),
    )
}

/// Registers the flight model with the set: `flight-delay@2`.
pub fn remember(server: &Server) {
    let said = good(
        tidemill(&["model", "register"])
            .arg(file("demo/flights/model/flight-delay.onnx"))
            .args(["--training-set", "flights-2013@1", "--server", server.url()]),
    );
    assert!(said.starts_with("model flight-delay@2 "), "{said}");
}

/// The service file with the model that remembers.
pub fn service() -> String {
    text("demo/flights/flight-delay.toml")
        .replace("use = \"flight-delay@1\"", "use = \"flight-delay@2\"")
}

#[test]
fn a_set_says_what_is_in_it_and_is_registered() {
    let server = flights_with_weather();
    let dir = tempfile::tempdir().expect("a folder");
    let set = dir.path().join("set");
    let said = build(&server, &set, &[]);
    assert!(said.ends_with("flights-2013@1 registered\n"), "{said}");
    let rows = sample().len() as u64;

    let found = manifest(&set);
    let shown = server.get("/v1/training-sets/flights-2013@1").json;
    assert_eq!(shown["manifest"], found);
    assert_eq!(
        (&found["rows"], &found["service"]),
        (&json!(rows), &json!("flight-delay@1"))
    );
    let column = |name: &str| {
        let all = found["statistics"].as_array().expect("statistics");
        all.iter().find(|one| one["column"] == name).expect(name)
    };
    // By hand from the sample's reference.
    let temps: Vec<f64> = (sample().iter())
        .filter_map(|(_, expected)| expected["weather.temp"].as_f64())
        .collect();
    let temp = column("weather.temp");
    assert_eq!(temp["missing"], json!(rows - temps.len() as u64));
    let mean = temps.iter().sum::<f64>() / temps.len() as f64;
    let found_mean = temp["numbers"]["mean"].as_f64().expect("a mean");
    assert!((found_mean - mean).abs() < 1e-9, "{found_mean}, not {mean}");
    let least = temps.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(temp["numbers"]["min"].as_f64(), Some(least));
    let origins = &column("request.origin")["texts"];
    let of = |origin: &str| {
        sample()
            .iter()
            .filter(|(flight, _)| flight["origin"] == origin)
            .count()
    };
    for value in origins["values"].as_array().expect("values") {
        assert_eq!(value["count"], of(value["value"].as_str().expect("text")));
    }
    assert_eq!(
        (&origins["distinct"], &origins["other"]),
        (&json!(3), &json!(0))
    );
    let late = column("delay.is_late");
    assert!(
        late["booleans"]["true_share"].as_f64() > Some(0.0),
        "{late}"
    );
    // Each view with what was found of it, airports once for both look-ups.
    let views = found["views"].as_array().expect("views");
    let ids: Vec<&str> = views
        .iter()
        .filter_map(|span| span["view"].as_str())
        .collect();
    assert_eq!(ids, ["plane@1", "airport@1", "weather@1"]);
    assert!(
        views[2]["from"].as_str() < views[2]["to"].as_str(),
        "{views:?}"
    );
    let schema = found["schema"].as_array().expect("a schema");
    assert!(schema.contains(&json!({ "name": "weather.temp", "type": "f64", "nullable": true })));
    assert!(
        schema.contains(
            &json!({ "name": "request.departed", "type": "timestamp", "nullable": false })
        )
    );

    let said = good(
        tidemill(&["training-set", "show", "flights-2013@1"]).args(["--server", server.url()]),
    );
    for words in [
        "flights-2013@1",
        "weather.temp",
        "request.origin",
        "looked up weather@1",
        "made with great-circle@1.0.0",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    // Once more, and not registered: the same bytes and the same statistics.
    let again = dir.path().join("again");
    let said = build(&server, &again, &["--no-register"]);
    assert!(!said.contains("registered"), "{said}");
    assert_eq!(manifest(&again), found);
    let register = |folder: &Path| {
        let mut command = tidemill(&["training-set", "register"]);
        command.arg(folder).args(["--server", server.url()]);
        command
    };
    assert_eq!(good(&mut register(&again)), "flights-2013@1 registered\n");
    // A file that was changed is not what was built.
    let rows = again.join("rows.parquet");
    let mut bytes = std::fs::read(&rows).expect("the rows");
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&rows, bytes).expect("it is written");
    let message = bad(&mut register(&again));
    assert!(
        message.contains("it is not the file that was built"),
        "{message}"
    );
    let said = good(tidemill(&["training-set", "list"]).args(["--server", server.url()]));
    assert!(said.contains("flights-2013@1"), "{said}");
    // A name that is none is said before anything is built.
    let message = bad(tidemill(&[
        "training-set",
        "build",
        "--service",
        "flight-delay@1",
        "--spine",
        "x",
        "--name",
        "No Name",
    ])
    .args(["--out", "x", "--server", server.url()]));
    assert!(
        message.contains("--name: \"No Name\" is no name"),
        "{message}"
    );
}

#[test]
fn a_service_that_differs_from_what_its_model_was_trained_on() {
    let server = flights_with_weather();
    let dir = tempfile::tempdir().expect("a folder");
    build(&server, &dir.path().join("set"), &[]);
    remember(&server);
    // What it was trained with is taken, also with another transform behind the model.
    server.define("/v1/services", &service());
    server.admit(&plugin("delay-notice"));
    server.define(
        "/v1/services",
        &text("demo/flights/flight-notice.toml")
            .replace("use = \"flight-delay@1\"", "use = \"flight-delay@2\""),
    );

    // A newer version of one transform: great-circle@1 now means it.
    server.admit(&newer("great-circle", "1.1.0"));
    let path = dir.path().join("flight-delay.toml");
    std::fs::write(&path, service()).expect("it is written");
    let register = |more: &[&str]| {
        let mut command = tidemill(&["service", "register"]);
        command
            .arg(&path)
            .args(["--server", server.url()])
            .args(more);
        command
    };
    let message = bad(&mut register(&[]));
    let digest = |version: &str| {
        let shown = server
            .get(&format!("/v1/transforms/great-circle@{version}"))
            .json;
        let digest = shown["digest"].as_str().expect("a digest").to_owned();
        digest[..19].to_owned()
    };
    let (old, new) = (digest("1.0.0"), digest("1.1.0"));
    let difference = format!(
        "leg: trained on great-circle@1.0.0 {old}…, the service pins great-circle@1.1.0 {new}…"
    );
    assert!(
        message.contains("its model flight-delay@2 was trained on flights-2013@1")
            && message.contains(&difference),
        "{message}"
    );
    // Without a training set nothing is known and nothing refused.
    let unremembered = text("demo/flights/flight-delay.toml");
    server.define("/v1/services", &unremembered);

    let answer = server.post_as("/v1/services?forced=%20", "application/toml", service());
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("say why"), "{}", answer.text);
    let answer = server.post_as("/v1/services?force=x", "application/toml", service());
    assert!(
        answer.text.contains("no such parameter; there is forced"),
        "{}",
        answer.text
    );

    let reason = "the radius & nothing else";
    let said = good(&mut register(&["--force", reason]));
    assert!(
        said.contains(&difference) && said.contains(reason),
        "{said}"
    );
    let id = "flight-delay@4";
    let shown = server.get(&format!("/v1/services/{id}")).json;
    assert_eq!(shown["forced"]["differences"], json!([difference]));
    let said = good(tidemill(&["service", "show", id]).args(["--server", server.url()]));
    assert!(
        said.contains("forced against training set flights-2013@1") && said.contains(&difference),
        "{said}"
    );
    let said = good(tidemill(&["audit", "--json"]).args(["--server", server.url()]));
    let line = said
        .lines()
        .find(|line| line.contains("forced against flights-2013@1"));
    let line = line.expect("a line of the audit log");
    assert!(
        line.contains(reason) && line.contains("service.register") && line.contains(id),
        "{line}"
    );

    // The order of the vector is a difference too.
    let mut swapped: Value =
        serde_json::from_str(&text("demo/flights/model/flight-delay.json")).expect("a manifest");
    let features = swapped["inputs"][0]["features"]
        .as_array_mut()
        .expect("features");
    features.swap(0, 1);
    swapped["training_set"] = json!("flights-2013@1");
    let onnx = std::fs::read(file("demo/flights/model/flight-delay.onnx")).expect("the model");
    let parts = [
        ("model", &onnx[..]),
        ("manifest", swapped.to_string().as_bytes()),
    ]
    .map(|(name, bytes)| (name, bytes.to_vec()));
    let parts: Vec<(&str, &[u8])> = parts
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    assert_eq!(server.post_parts("/v1/models", &parts).status, 201);
    let third = service().replace("use = \"flight-delay@2\"", "use = \"flight-delay@3\"");
    let pinned = third.replace("great-circle@1\"", "great-circle@1.0.0\"");
    let answer = server.post_as("/v1/services", "application/toml", pinned);
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(
        answer.text.contains("vector position 0 is leg.km, and was delay.minutes_late in training; vector position 1 is delay.minutes_late, and was leg.km"),
        "{}",
        answer.text
    );

    // For ever: also after a restart, in every form of the lineage.
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    server.copy(copy.path());
    let folder = copy.path().to_owned();
    let restarted = Server::start(move |config| config.data_dir = folder);
    let lineage = |format: &str| {
        good(
            tidemill(&["lineage", "service", id, "--format", format])
                .args(["--server", restarted.url()]),
        )
    };
    let words = format!("forced against flights-2013@1: {reason}");
    assert!(lineage("text").contains(&words), "{}", lineage("text"));
    assert!(
        lineage("text").contains("training-set flights-2013@1"),
        "{}",
        lineage("text")
    );
    let whole = restarted.get("/v1/lineage?format=mermaid").text;
    assert!(
        whole.contains(
            "forced against flights-2013@1#58; the radius #38; nothing else)\"]:::forced"
        ),
        "{whole}"
    );
    let graph: Value = serde_json::from_str(&lineage("json")).expect("JSON");
    let node = graph["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .find(|node| node["id"] == id);
    assert_eq!(node.expect("the service")["forced"]["reason"], reason);
    // And it answers.
    let answer = restarted.post(
        &format!("/v1/services/{id}/score"),
        json!({ "inputs": flight() }).to_string(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
}
