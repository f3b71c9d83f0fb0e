//! Registering and listing: what is accepted, what is refused, and what is there after a restart.

use serde_json::json;

use super::support::{Server, guest, plugin, register_flights, text};

#[test]
fn the_same_again_is_accepted_quietly_and_other_bytes_are_refused() {
    let server = Server::start(|_| {});
    let good = guest("good");
    let first = server.post_as("/v1/transforms", "application/wasm", &good);
    let again = server.post_as("/v1/transforms", "application/wasm", &good);
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.json, again.json);

    // A custom section changes the bytes and nothing else.
    let mut other = good.clone();
    other.extend([0, 3, 1, b'x', 0]);
    let refused = server.post_as("/v1/transforms", "application/wasm", &other);
    assert_eq!(
        (refused.status, &refused.json["type"]),
        (409, &json!("urn:tidemill:problem:conflict"))
    );
    let detail = refused.json["detail"].as_str().expect("a detail");
    let digest = first.json["digest"].as_str().expect("a digest");
    assert!(
        detail.contains(digest) && detail.matches("sha256:").count() == 2,
        "{detail}"
    );

    let view = text("demo/cards/customer.toml");
    server.define("/v1/views", &view);
    assert_eq!(
        server
            .post_as("/v1/views", "application/toml", &view)
            .status,
        200
    );
    let other = view.replace("utc_offset_minutes", "utc_offset");
    assert_eq!(
        server
            .post_as("/v1/views", "application/toml", other)
            .status,
        409
    );
}

#[test]
fn services_and_models_count_their_versions() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let again = server.admit_model();
    assert_eq!((again.status, &again.json["version"]), (200, &json!(1)));
    let service = text("demo/flights/flight-delay.toml");
    let same = server.post_as("/v1/services", "application/toml", &service);
    assert_eq!((same.status, &same.json["version"]), (200, &json!(1)));
    let changed = server.post_as(
        "/v1/services",
        "application/toml",
        service.replace("3h", "2h"),
    );
    assert_eq!((changed.status, &changed.json["version"]), (201, &json!(2)));
    assert_eq!(
        server.get("/v1/services/flight-delay@1").json["definition"]["lookup"][3]["max_age"],
        json!("3h")
    );
    assert_eq!(
        server.get("/v1/services/flight-delay").json["definition"]["lookup"][3]["max_age"],
        json!("2h")
    );
    let pins = &changed.json["pins"];
    assert_eq!(pins["transforms"][1]["id"], json!("great-circle@1.0.0"));
    assert_eq!(pins["model"]["id"], json!("flight-delay@1"));
}

#[test]
fn services_that_cannot_work_are_refused_in_one_sentence() {
    let server = Server::start(|_| {});
    register_flights(&server);
    let good = text("demo/flights/flight-delay.toml");
    for (from, to, expected) in [
        (
            "great-circle@1",
            "great-circle@2",
            "there is no transform version \"great-circle@2\"; there is great-circle@1.0.0",
        ),
        (
            "great-circle@1",
            "grate-circle@1",
            "there is no transform \"grate-circle\"; there are departure-delay, great-circle",
        ),
        (
            "view = \"plane\"",
            "view = \"planes\"",
            "there is no view \"planes\"; there are airport, plane and weather",
        ),
        (
            "flight-delay@1",
            "flight-delay@3",
            "there is no model version \"flight-delay@3\"; there is flight-delay@1",
        ),
        (
            "from_lat = \"origin_airport.lat\"",
            "from_lat = \"origin_airport.lattitude\"",
            "\"origin_airport\" has no column \"lattitude\"; there are faa, name, lat",
        ),
        (
            "from_lat = \"origin_airport.lat\"",
            "from_lat = \"origin_airport.name\"",
            "input \"from_lat\": it is f64, but origin_airport.name is text",
        ),
        (
            "from_lat = \"origin_airport.lat\"",
            "from_lt = \"origin_airport.lat\"",
            "has no input \"from_lt\" to bind; there are from_lat, from_lon",
        ),
        (
            "at = \"scheduled\"",
            "at = \"origin_airport.name\"",
            "input \"at\": it is timestamp, but origin_airport.name is text",
        ),
        (
            "key = \"tailnum\"",
            "key = \"tail\"",
            "key \"tail\": there is no request field \"tail\"; there are flight_id, carrier",
        ),
        (
            "key = \"tailnum\"",
            "key = \"departed\"",
            "key \"departed\" is timestamp, but the view's \"tailnum\" is text",
        ),
        (
            "key = \"tailnum\"",
            "key = [\"tailnum\", \"origin\"]",
            "view \"plane\" has the key (tailnum), but tailnum, origin is given",
        ),
        (
            "as = \"leg\"",
            "as = \"delay\"",
            "two look-ups, transforms or models are named \"delay\"",
        ),
        (
            "as = \"leg\"",
            "as = \"way\"",
            "feature \"leg.km\": there is no look-up or transform \"leg\"",
        ),
        (
            "probabilities[1]",
            "probabilities[2]",
            "the model has no output \"probabilities[2]\"; there are label, probabilities[0..2]",
        ),
        (
            "max_age = \"3h\"",
            "max_age = \"3 hours\"",
            "\"3 hours\" is no span of time such as 500ms, 90s, 15m, 3h or 2d",
        ),
        (
            "event_time = \"departed\"",
            "event_time = \"origin\"",
            "event_time \"origin\" must be a timestamp that is never null",
        ),
        ("[model]", "[modle]", "unknown field `modle`"),
        (
            "name = \"flight-delay\"",
            "name = \"flight/delay\"",
            "\"flight/delay\" is no name",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let answer = server.post_as(
            "/v1/services",
            "application/toml",
            good.replacen(from, to, 1),
        );
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{to}: {}", answer.text);
        assert!(detail.contains(expected), "{to}: {detail}");
    }
    let cycle = "name = \"cycle\"\n[request]\nx = \"f64\"\n\
        [[transform]]\nuse = \"great-circle\"\nas = \"a\"\nbind = { from_lat = \"b.km\", from_lon = \"x\", to_lat = \"x\", to_lon = \"x\" }\n\
        [[transform]]\nuse = \"great-circle\"\nas = \"b\"\nbind = { from_lat = \"a.km\", from_lon = \"x\", to_lat = \"x\", to_lon = \"x\" }\n";
    let answer = server.post_as("/v1/services", "application/toml", cycle);
    let detail = answer.json["detail"].as_str().expect("a detail");
    assert!(
        answer.status == 422 && detail.contains("a, b wait for one another in a cycle"),
        "{}",
        answer.text
    );
    assert_eq!(
        server.get("/v1/services").json["services"][0]["versions"],
        json!(1)
    );
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let server = Server::start(|_| {});
    let onnx = std::fs::read(super::support::file("demo/flights/model/flight-delay.onnx"))
        .expect("the model");
    let manifest = text("demo/flights/model/flight-delay.json");
    let register = |onnx: &[u8], manifest: &str| {
        let answer = server.post_parts(
            "/v1/models",
            &[("model", onnx), ("manifest", manifest.as_bytes())],
        );
        (
            answer.status,
            answer.json["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let short = manifest.replacen("\"leg.km\",", "", 1);
    let (status, detail) = register(&onnx, &short);
    assert!(
        status == 422
            && detail.contains(
                "input \"features\" has 17 columns, but the manifest gives it 16 features"
            ),
        "{detail}"
    );
    let (status, detail) = register(
        &onnx,
        &manifest.replacen("\"name\": \"features\"", "\"name\": \"x\"", 1),
    );
    assert!(
        status == 422
            && detail.contains("its inputs are features, in this order, but the manifest binds x"),
        "{detail}"
    );
    for bytes in [&b"no model"[..], &onnx[..onnx.len() / 2]] {
        let (status, detail) = register(bytes, &manifest);
        assert!(
            status == 422 && detail.contains("model \"flight-delay\" is refused"),
            "{detail}"
        );
    }
    let (status, detail) = register(&onnx, "{}");
    assert!(
        status == 422 && detail.contains("missing field `name`"),
        "{detail}"
    );
    let alone = server.post_as("/v1/models", "application/octet-stream", &onnx);
    let detail = alone.json["detail"].as_str().expect("a detail");
    assert!(
        alone.status == 422 && detail.contains("tidemill.manifest"),
        "{detail}"
    );
    assert_eq!(server.get("/v1/models").json, json!({ "models": [] }));
}

#[test]
fn rows_of_a_view_in_and_out() {
    let server = Server::start(|_| {});
    server.define("/v1/views", &text("demo/flights/weather.toml"));
    let post = |body: &str| server.post_as("/v1/views/weather/rows", "application/x-ndjson", body);
    let good = r#"{"origin":"EWR","time_hour":"2013-01-01T10:00:00Z","temp":39.02,"humid":null}"#;
    assert_eq!(
        post(good).json,
        json!({ "rows": 1, "stored": 1, "outdated": 0 })
    );
    let row = server.get("/v1/views/weather/row?origin=EWR").json;
    assert_eq!(
        (&row["status"], &row["event_time"]),
        (&json!("present"), &json!("2013-01-01T10:00:00Z"))
    );
    assert_eq!(row["row"]["temp"], json!(39.02));
    assert_eq!(
        server.get("/v1/views/weather/row?origin=XXX").json["status"],
        json!("not_found")
    );

    for (body, field, message) in [
        (
            format!("{good}\n{{\"origin\":\"EWR\"}}"),
            "line 2.time_hour",
            "missing; a timestamp belongs here",
        ),
        (
            good.replace("39.02", "\"warm\""),
            "line 1.temp",
            "text stands where an f64 or null belongs",
        ),
        (
            String::new(),
            "body",
            "no rows; send one JSON object a line",
        ),
    ] {
        let answer = post(&body);
        assert_eq!(
            (answer.status, &answer.json["field"]),
            (400, &json!(field)),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["detail"], json!(format!("{field}: {message}")));
    }
    let answer = server.get("/v1/views/weather/row?airport=EWR");
    assert_eq!(
        answer.json["detail"],
        json!("airport: no part of the key; there is origin")
    );
}

#[test]
fn everything_acknowledged_is_there_after_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let path = data.path().to_owned();
    let ask = |server: &Server| {
        let body = json!({ "inputs": super::support::flight(), "features": true }).to_string();
        let mut answer = server.post("/v1/services/flight-delay/score", body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["request_id"].take();
        answer.json
    };
    let before = {
        let server = Server::start(|config| config.data_dir = path.clone());
        register_flights(&server);
        server.admit(&plugin("card-payment"));
        ask(&server)
    };
    let server = Server::start(|config| config.data_dir = path.clone());
    assert_eq!(ask(&server), before);
    let names: Vec<String> = server.get("/v1/transforms").json["transforms"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|transform| transform["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "card-payment",
            "departure-delay",
            "great-circle",
            "local-calendar",
            "weather-risk"
        ]
    );
}

#[test]
fn health_and_metrics() {
    let server = super::support::flights();
    assert_eq!(server.get("/healthz").text, "ok\n");
    assert_eq!(server.get("/readyz").text, "ready: 1 services\n");
    let body = json!({ "inputs": super::support::flight() }).to_string();
    assert_eq!(
        server.post("/v1/services/flight-delay/score", body).status,
        200
    );
    let metrics = server.get("/metrics").text;
    for line in [
        "tidemill_requests_total{kind=\"score\",outcome=\"ok\",service=\"flight-delay\",version=\"1\"} ",
        "tidemill_request_seconds_bucket{service=\"flight-delay\",version=\"1\",le=",
        "tidemill_transform_fuel_sum{transform=\"great-circle\",version=\"1.0.0\"} ",
        "tidemill_lookups_total{lookup=\"plane\",service=\"flight-delay\",status=\"present\",version=\"1\"} ",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
