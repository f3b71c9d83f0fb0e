//! The oracle: every feature, status and score of real flights, against a reference in Python and ONNX Runtime.

use std::path::Path;

use serde_json::{Value, json};
use tidemill::block::Block;
use tidemill::offline;
use tidemill::schema::{DataType, Field, Schema};
use tidemill::service::Definition;

use super::support::register_flights;
use super::support::{Server, file, flight, flights, text};

pub fn field(name: &str, data_type: &str) -> Field {
    let data_type = DataType::parse(data_type).expect("a type");
    Field::new(name, data_type, true)
}

/// The rows of a file, as JSON.
pub fn read(path: &Path, schema: &Schema) -> Vec<Value> {
    let blocks: Vec<Block> = offline::open(path, schema)
        .expect("a file of such rows")
        .map(|block| block.expect("rows"))
        .collect();
    let row = |block: &Block, row: usize| {
        let mut json = Vec::new();
        offline::json::write_row(block, schema, row, &mut json);
        serde_json::from_slice(&json).expect("a row")
    };
    blocks
        .iter()
        .flat_map(|block| (0..block.rows()).map(move |at| row(block, at)))
        .collect()
}

const STATUSES: [&str; 4] = ["plane", "origin_airport", "dest_airport", "weather"];

/// The features of the flight model, in its order.
fn features() -> Vec<String> {
    let manifest: Value =
        serde_json::from_str(&text("demo/flights/model/flight-delay.json")).expect("the manifest");
    serde_json::from_value(manifest["inputs"][0]["features"].clone()).expect("its features")
}

/// Requests and what the reference says of each, in the order the flights left.
pub fn sample() -> Vec<(Value, Value)> {
    let request = Definition::from_toml(&text("demo/flights/flight-delay.toml"))
        .expect("the service")
        .request;
    let statuses = STATUSES.map(|name| field(&format!("status_{name}"), "text"));
    let features = features().into_iter().map(|name| field(&name, "f64"));
    let expected = [field("flight_id", "text")]
        .into_iter()
        .chain(statuses)
        .chain(features)
        .chain([field("score", "f64")]);
    let expected = Schema::new(expected.collect());
    let requests = read(&file("demo/flights/flights.parquet"), &request);
    let expected = read(&file("tests/oracle/flights.parquet"), &expected);
    assert_eq!(requests.len(), expected.len());
    requests.into_iter().zip(expected).collect()
}

/// Posts the flights in the order they left, an hour's weather first; `body` makes the requests of an hour.
pub fn in_order(
    server: &Server,
    sample: &[(Value, Value)],
    mut ask: impl FnMut(&Server, &[(Value, Value)]),
) {
    let view =
        tidemill::view::View::from_toml(&text("demo/flights/weather.toml")).expect("the view");
    let weather = read(&file("demo/flights/weather.parquet"), &view.columns);
    let mut left = sample;
    for hour in weather.chunk_by(|a, b| a["time_hour"] == b["time_hour"]) {
        let time = hour[0]["time_hour"].as_str().expect("a time");
        let before = left.partition_point(|(request, _)| departed(request) < departed_text(time));
        ask(server, &left[..before]);
        left = &left[before..];
        let lines: Vec<String> = hour.iter().map(Value::to_string).collect();
        let answer = server.post_as(
            "/v1/views/weather/rows",
            "application/x-ndjson",
            lines.join("\n"),
        );
        assert_eq!(
            answer.json,
            json!({ "rows": hour.len(), "stored": hour.len(), "outdated": 0 })
        );
    }
    ask(server, left);
}

fn departed(request: &Value) -> i64 {
    departed_text(request["departed"].as_str().expect("a departure"))
}

fn departed_text(text: &str) -> i64 {
    tidemill::request::parse_timestamp(text).expect("a time")
}

#[test]
fn features_statuses_and_scores_equal_the_reference() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let (features, sample) = (features(), sample());
    assert!(sample.len() >= 5_000);
    let mut compared = 0;
    in_order(&server, &sample, |server, hour| {
        if hour.is_empty() {
            return;
        }
        let rows: Vec<&Value> = hour.iter().map(|(request, _)| request).collect();
        let body = json!({ "rows": rows, "features": true }).to_string();
        let answer = server.post("/v1/services/flight-delay/score", body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let results = answer.json["results"].as_array().expect("results");
        assert_eq!(results.len(), hour.len());
        for (result, (request, expected)) in results.iter().zip(hour) {
            assert_eq!(expected["flight_id"], request["flight_id"]);
            for name in STATUSES {
                assert_eq!(
                    result["lookups"][name],
                    expected[format!("status_{name}")],
                    "{name} of {request}"
                );
            }
            for name in &features {
                close(&result["features"][name], &expected[name], 1e-12, || {
                    format!("{name} of {request}")
                });
            }
            close(&result["score"], &expected["score"], 1e-6, || {
                format!("score of {request}")
            });
            compared += 1;
        }
        // The first flight of the hour alone has the same bits as in company.
        let alone = json!({ "inputs": rows[0], "features": true }).to_string();
        let alone = server.post("/v1/services/flight-delay/score", alone);
        assert_eq!(alone.json["results"][0], results[0]);
    });
    assert_eq!(compared, sample.len());
}

#[track_caller]
fn close(found: &Value, expected: &Value, tolerance: f64, what: impl Fn() -> String) {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => {
            let difference = (found - expected).abs() / expected.abs().max(1.0);
            assert!(
                difference <= tolerance,
                "{}: {found}, not {expected}",
                what()
            );
        }
        _ => assert_eq!(found, expected, "{}", what()),
    }
}

#[test]
fn the_whole_answer() {
    let server = flights();
    let answer = server.post(
        "/v1/services/flight-delay/score",
        json!({ "inputs": flight() }).to_string(),
    );
    let mut answer = answer.json;
    let id = answer["request_id"].take();
    assert_eq!(id.as_str().map(str::len), Some(36));
    let score = answer["results"][0]["score"]
        .take()
        .as_f64()
        .expect("a score");
    assert!(score > 0.0 && score < 1.0);
    let probabilities = answer["results"][0]["outputs"]["probabilities"].take();
    assert_eq!(probabilities[1].as_f64(), Some(score));
    let listed = server.get("/v1/transforms").json["transforms"].clone();
    let digest = |name: &str| {
        let found = listed
            .as_array()
            .expect("a list")
            .iter()
            .find(|transform| transform["name"] == name);
        found.expect("it is registered")["digest"].clone()
    };
    let transform = |alias: &str, name: &str| json!({ "as": alias, "name": name, "version": "1.0.0", "digest": digest(name) });
    let expected = json!({
        "request_id": null,
        "service": "flight-delay",
        "service_version": 1,
        "model": "flight-delay",
        "model_version": 1,
        "model_digest": server.get("/v1/models/flight-delay@1").json["digest"],
        "transforms": [
            transform("delay", "departure-delay"),
            transform("leg", "great-circle"),
            transform("calendar", "local-calendar"),
            transform("risk", "weather-risk"),
        ],
        "results": [{
            "score": null,
            "outputs": { "label": 0, "probabilities": null },
            "lookups": {
                "plane": "present", "origin_airport": "present", "dest_airport": "present", "weather": "not_found",
            },
        }],
    });
    assert_eq!(answer, expected);
}

#[test]
fn every_status_of_a_lookup() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let status = |change: &dyn Fn(&mut Value), lookup: &str| {
        let mut inputs = flight();
        change(&mut inputs);
        let answer = server.post(
            "/v1/services/flight-delay/features",
            json!({ "inputs": inputs }).to_string(),
        );
        answer.json["results"][0]["lookups"][lookup]
            .as_str()
            .expect("a status")
            .to_owned()
    };
    let unchanged = |_: &mut Value| {};
    assert_eq!(status(&unchanged, "plane"), "present");
    assert_eq!(
        status(&|inputs| inputs["tailnum"] = Value::Null, "plane"),
        "null"
    );
    assert_eq!(
        status(&|inputs| inputs["tailnum"] = json!("N0"), "plane"),
        "not_found"
    );
    assert_eq!(status(&unchanged, "weather"), "not_found");

    // The flight left at 10:17 UTC; a row may be three hours old.
    let weather = |hour: &str| {
        let row = json!({ "origin": "EWR", "time_hour": hour, "temp": 40.0 }).to_string();
        server
            .post_as("/v1/views/weather/rows", "application/x-ndjson", row)
            .json
    };
    assert_eq!(
        weather("2013-01-01T07:00:00Z"),
        json!({ "rows": 1, "stored": 1, "outdated": 0 })
    );
    assert_eq!(status(&unchanged, "weather"), "outside_max_age");
    assert_eq!(
        weather("2013-01-01T07:17:00Z"),
        json!({ "rows": 1, "stored": 1, "outdated": 0 })
    );
    assert_eq!(status(&unchanged, "weather"), "present");
    // A row that comes late is older than the one that is there.
    assert_eq!(
        weather("2013-01-01T06:00:00Z"),
        json!({ "rows": 1, "stored": 0, "outdated": 1 })
    );
    assert_eq!(status(&unchanged, "weather"), "present");
}
