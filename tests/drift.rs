//! Drift on real flights: none where nothing changed, and the changed column first where something did.

use std::path::Path;

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::flights::sample;
use super::support::{Server, file};
use super::trained::{build, remember, service};

/// Posts the sample to a version of the service, in two requests.
fn post(server: &Server, id: &str) {
    let sample = sample();
    for part in sample.chunks(sample.len().div_ceil(2)) {
        let rows: Vec<&Value> = part.iter().map(|(request, _)| request).collect();
        let answer = server.post(
            &format!("/v1/services/{id}/score"),
            json!({ "rows": rows }).to_string(),
        );
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

fn drift(server: &Server, id: &str, more: &[&str]) -> std::process::Command {
    let mut command = tidemill(&["drift", id]);
    command.args(["--server", server.url()]).args(more);
    command
}

fn columns(report: &Value) -> Vec<(&str, f64)> {
    let all = report["columns"].as_array().expect("columns");
    let compared = all.iter().filter_map(|column| {
        let name = column["column"].as_str().expect("a name");
        Some((name, column["psi"].as_f64()?))
    });
    compared.collect()
}

/// The sample's weather once more, a minute later and 40 degrees warmer: from then on it is what is looked up.
fn heat(server: &Server) {
    let view = tidemill::view::View::from_toml(&super::support::text("demo/flights/weather.toml"));
    let view = view.expect("the view");
    let mut lines = Vec::new();
    for row in super::flights::read(&file("demo/flights/weather.parquet"), &view.columns) {
        let mut row = row;
        let time = row["time_hour"].as_str().expect("a time");
        row["time_hour"] = json!(time.replace(":00:00", ":01:00"));
        if let Some(temp) = row["temp"].as_f64() {
            row["temp"] = json!(temp + 40.0);
        }
        lines.push(row.to_string());
    }
    let answer = server.post_as(
        "/v1/views/weather/rows",
        "application/x-ndjson",
        lines.join("\n"),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[test]
fn what_changed_is_named_first() {
    // The whole sample at once is more than a server counts in a second by default.
    let server = {
        let server = Server::start(|config| config.drift.rows_per_second = 1_000_000);
        super::support::register_flights(&server);
        super::flights::in_order(&server, &[], |_, _| {});
        server
    };
    let dir = tempfile::tempdir().expect("a folder");
    let set = dir.path().join("set");
    build(&server, &set, &[]);

    // A model that does not remember: what to do.
    post(&server, "flight-delay@1");
    let log = server.log();
    let report = server.get("/v1/services/flight-delay@1/drift").json;
    let note = report["note"].as_str().expect("a note");
    assert!(
        note.contains("model flight-delay@1 does not say what it was trained on")
            && note.contains("--training-set"),
        "{note}"
    );
    assert_eq!(report["rows"], json!(sample().len()));
    assert_eq!(columns(&report), []);
    let message = bad(&mut drift(
        &server,
        "flight-delay@1",
        &["--fail-over", "0.25"],
    ));
    assert!(message.contains("nothing could be compared"), "{message}");

    remember(&server);
    server.define("/v1/services", &service());
    let none = server.get("/v1/services/flight-delay@2/drift").json;
    assert_eq!(none["note"], "no row has been counted yet");
    assert_eq!(none["training_set"], "flights-2013@1");
    post(&server, "flight-delay@2");
    server.log();
    let report = server.get("/v1/services/flight-delay@2/drift").json;
    assert_eq!(report["note"], Value::Null);
    let found = columns(&report);
    assert!(found.len() > 40, "{found:?}");
    for (name, psi) in &found {
        // The same rows lie in the same bins.
        assert_eq!(*psi, 0.0, "{name}");
    }
    let said = good(&mut drift(
        &server,
        "flight-delay@2",
        &["--fail-over", "0.25"],
    ));
    assert!(
        said.contains("against training set flights-2013@1"),
        "{said}"
    );

    heat(&server);
    server.define(
        "/v1/services",
        &service().replace("doc = \"", "doc = \"Warmer. "),
    );
    post(&server, "flight-delay@3");
    server.log();
    let report = server.get("/v1/services/flight-delay@3/drift").json;
    let first = &report["columns"][0];
    assert_eq!(
        (&first["column"], &first["reading"], &first["feature"]),
        (&json!("weather.temp"), &json!("drifted"), &json!(true))
    );
    let (live, trained) = (&first["live"]["mean"], &first["training"]["mean"]);
    let warmer = live.as_f64().expect("a mean") - trained.as_f64().expect("a mean");
    assert!((30.0..=40.0).contains(&warmer), "{warmer}");
    for (name, psi) in columns(&report) {
        // Nothing but what the weather has a part in.
        assert!(
            psi < 0.1 || name.starts_with("weather.") || name.starts_with("risk."),
            "{name} {psi}"
        );
    }
    let message = bad(&mut drift(
        &server,
        "flight-delay@3",
        &["--fail-over", "0.25"],
    ));
    assert!(
        message.contains("PSI over 0.25: weather.temp "),
        "{message}"
    );
    let said = good(&mut drift(&server, "flight-delay@3", &[]));
    let row = said
        .lines()
        .skip_while(|line| !line.starts_with('─'))
        .nth(1);
    assert!(
        row.is_some_and(|row| row.starts_with("weather.temp") && row.contains("drifted")),
        "{said}"
    );

    let metrics = server.get("/metrics").text;
    for (name, id) in [("psi", "3"), ("missing_share", "3"), ("mean", "1")] {
        let line = format!(
            "tidemill_drift_{name}{{column=\"weather.temp\",service=\"flight-delay\",version=\"{id}\"}} "
        );
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert!(!metrics.contains(
        "tidemill_drift_psi{column=\"weather.temp\",service=\"flight-delay\",version=\"1\"}"
    ));

    // The files say the same as the server, with its help and without.
    let of_files = |more: &[&str]| -> Value {
        let mut command = drift(&server, "flight-delay@3", &["--json", "--log"]);
        serde_json::from_str(&good(command.arg(&log).args(more))).expect("JSON")
    };
    let read = of_files(&[]);
    assert_eq!(columns(&read), columns(&report));
    assert_eq!(read["rows"], report["rows"]);
    let against = |folder: &Path| of_files(&["--against", folder.to_str().expect("text")]);
    assert_eq!(columns(&against(&set)), columns(&report));
    let message = bad(drift(
        &server,
        "flight-delay@3",
        &["--until", "2013-01-01", "--log"],
    )
    .arg(&log));
    assert!(
        message.contains("no row of flight-delay was answered in that time"),
        "{message}"
    );
    let message = bad(&mut drift(&server, "flight-delay@9", &[]));
    assert!(
        message.contains("flight-delay@9") && message.contains("flight-delay@3"),
        "{message}"
    );
}

#[test]
fn a_share_of_many_rows_is_counted_and_the_log_has_them_all() {
    let server = Server::start(|config| config.drift.rows_per_second = 100);
    super::support::register_flights(&server);
    post(&server, "flight-delay");
    server.log();
    let report = server.get("/v1/services/flight-delay/drift").json;
    let rows = report["rows"].as_u64().expect("rows");
    assert!(rows > 0 && rows < sample().len() as u64, "{rows}");
    assert_eq!(report["answered"], json!(sample().len()));

    let off = Server::start(|config| config.drift.enabled = false);
    super::support::register_flights(&off);
    let report = off.get("/v1/services/flight-delay/drift").json;
    assert!(
        report["note"]
            .as_str()
            .is_some_and(|note| note.contains("[drift]")),
        "{report}"
    );
}

#[test]
fn a_forgotten_service_makes_room() {
    let server = Server::start(|config| config.drift.services = 1);
    super::support::register_flights(&server);
    let other = super::support::text("demo/flights/flight-delay.toml")
        .replace("name = \"flight-delay\"", "name = \"other\"");
    server.define("/v1/services", &other);
    let rows = |id: &str| server.get(&format!("/v1/services/{id}/drift")).json["rows"].clone();
    let ask = |id: &str| {
        let body = json!({ "inputs": super::support::flight() }).to_string();
        assert_eq!(
            server
                .post(&format!("/v1/services/{id}/score"), body)
                .status,
            200
        );
        server.log();
    };
    ask("flight-delay");
    assert_eq!((rows("flight-delay"), rows("other")), (json!(1), json!(0)));
    ask("other");
    assert_eq!((rows("flight-delay"), rows("other")), (json!(0), json!(1)));
}

#[test]
fn a_set_as_served_has_scores_to_compare_with() {
    let server = Server::start(|config| config.drift.rows_per_second = 1_000_000);
    super::support::register_flights(&server);
    post(&server, "flight-delay@1");
    let dir = tempfile::tempdir().expect("a folder");
    let set = dir.path().join("served");
    let said = good(
        tidemill(&["training-set", "build", "--service", "flight-delay@1"])
            .arg("--as-served")
            .arg("--log")
            .arg(server.log())
            .arg("--out")
            .arg(&set)
            .args(["--server", server.url()]),
    );
    assert!(said.ends_with("served@1 registered\n"), "{said}");
    let onnx = file("demo/flights/model/flight-delay.onnx");
    good(tidemill(&["model", "register"]).arg(onnx).args([
        "--training-set",
        "served@1",
        "--server",
        server.url(),
    ]));
    // The same check: another version of a transform is refused, the same is taken.
    server.admit(&super::support::newer("great-circle", "1.1.0"));
    let answer = server.post_as("/v1/services", "application/toml", service());
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(
        answer.text.contains("trained on served@1"),
        "{}",
        answer.text
    );
    let pinned = service().replace("\"great-circle@1\"", "\"great-circle@1.0.0\"");
    server.define("/v1/services", &pinned);
    post(&server, "flight-delay@2");
    server.log();
    let report = server.get("/v1/services/flight-delay@2/drift").json;
    assert_eq!(report["training_set"], "served@1");
    let found = columns(&report);
    assert!(found.contains(&("score", 0.0)), "{found:?}");
    assert!(found.iter().all(|(_, psi)| *psi == 0.0), "{found:?}");
}
