//! The proof: what was answered online and what is computed offline from the same events have the same bits.

use std::path::Path;

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::flights::{in_order, sample};
use super::support::{Server, file, register_flights};

/// Posts the sample in the order the flights left, an hour's weather first.
fn post(server: &Server, sample: &[(Value, Value)]) {
    in_order(server, sample, |server, hour| {
        if hour.is_empty() {
            return;
        }
        let rows: Vec<&Value> = hour.iter().map(|(request, _)| request).collect();
        let answer = server.post(
            "/v1/services/flight-delay/score",
            json!({ "rows": rows }).to_string(),
        );
        assert_eq!(answer.status, 200, "{}", answer.text);
    });
}

fn build(server: &Server, out: &Path) -> String {
    good(
        tidemill(&[
            "training-set",
            "build",
            "--service",
            "flight-delay@1",
            "--spine",
        ])
        .arg(file("demo/flights/flights.parquet"))
        .arg("--out")
        .arg(out)
        .args(["--server", server.url()]),
    )
}

#[test]
fn a_training_set_has_the_bits_of_the_answers() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let sample = sample();
    post(&server, &sample);
    let dir = tempfile::tempdir().expect("a folder");
    let set = dir.path().join("set");
    let said = build(&server, &set);
    assert!(
        said.contains(&format!("{} rows of flight-delay@1", sample.len())),
        "{said}"
    );
    let key = ["--key", "request.flight_id"];
    let log = server.log();
    let said = good(
        tidemill(&["training-set", "diff"])
            .args([&log, &set])
            .args(key),
    );
    let expected = format!(
        "{} rows on both sides, 0 on the left alone, 0 on the right alone",
        sample.len()
    );
    assert!(
        said.contains(&expected) && said.ends_with("0 differences\n"),
        "{said}"
    );

    // The log alone, with the service's bundle, gives the same bits again.
    let bundle = dir.path().join("flight-delay.tar");
    good(
        tidemill(&["service", "export", "flight-delay@1", "--out"])
            .arg(&bundle)
            .args(["--server", server.url()]),
    );
    let replay = |log: &Path| {
        let mut command = tidemill(&["replay"]);
        command.arg(log).arg("--bundle").arg(&bundle);
        command
    };
    let said = good(&mut replay(&log));
    let expected = format!("{} rows of flight-delay@1 run again", sample.len());
    assert!(
        said.contains(&expected) && said.ends_with("0 differences\n"),
        "{said}"
    );

    // A row of the weather that comes late: the answers did not know it, and a set made now does.
    let (flight, _) = sample[sample.len() / 2..]
        .iter()
        .find(|(flight, _)| !flight["departed"].to_string().contains(":00:00"))
        .expect("a flight that left within an hour");
    let late =
        json!({ "origin": flight["origin"], "time_hour": flight["departed"], "temp": -40.0 });
    let answer = server.post_as(
        "/v1/views/weather/rows",
        "application/x-ndjson",
        late.to_string(),
    );
    assert_eq!(
        answer.json,
        json!({ "rows": 1, "stored": 0, "outdated": 1 })
    );
    let later = dir.path().join("later");
    build(&server, &later);
    let said = bad(tidemill(&["training-set", "diff"])
        .args([&log, &later])
        .args(key));
    assert!(said.contains("differences"), "{said}");
    let found = tidemill(&["training-set", "diff", "--json"])
        .args([&log, &later])
        .args(key)
        .output()
        .expect("the program starts");
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let different: Vec<&str> = found["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .filter(|column| column["different"] != 0)
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert!(
        different.contains(&"weather.temp") && different.contains(&"weather.event_time"),
        "{different:?}"
    );
    for name in different {
        assert!(
            name.starts_with("weather.") || name.starts_with("risk."),
            "{name}"
        );
    }
}
