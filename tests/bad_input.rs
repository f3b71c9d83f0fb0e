//! What bad input gets: a problem that names the field, and the next request works.

use serde_json::{Value, json};

use super::support::{Answer, Server, cards, flight, flights};

/// The problem document of a request that does not fit.
fn invalid(field: &str, message: &str) -> Value {
    json!({
        "type": "urn:tidemill:problem:invalid-request",
        "title": "The request does not fit",
        "status": 400,
        "detail": format!("{field}: {message}"),
        "field": field,
    })
}

/// A good flight with one field changed.
fn with(field: &str, value: Value) -> String {
    let mut inputs = flight();
    inputs[field] = value;
    json!({ "inputs": inputs }).to_string()
}

#[track_caller]
fn refused(answer: &Answer, expected: &Value) {
    assert_eq!(answer.json, *expected);
    assert_eq!(Some(u64::from(answer.status)), expected["status"].as_u64());
    assert_eq!(answer.content_type, "application/problem+json");
    still_works(flights());
}

#[track_caller]
fn still_works(server: &Server) {
    let answer = server.post(
        "/v1/services/flight-delay/score",
        json!({ "inputs": flight() }).to_string(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[track_caller]
fn score_refused(body: impl AsRef<[u8]>, expected: &Value) {
    refused(
        &flights().post("/v1/services/flight-delay/score", body),
        expected,
    );
}

#[test]
fn malformed_json() {
    for (body, message) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        (
            "{\"inputs\":{",
            "not JSON: EOF while parsing an object at line 1 column 11",
        ),
        (
            "{\"inputs\":}",
            "not JSON: expected value at line 1 column 11",
        ),
    ] {
        let field = if body.len() > 5 { "inputs" } else { "body" };
        score_refused(body, &invalid(field, message));
    }
    let trailing = json!({ "inputs": flight() }).to_string() + " x";
    let column = trailing.len();
    score_refused(
        &trailing,
        &invalid(
            "body",
            &format!("not JSON: trailing characters at line 1 column {column}"),
        ),
    );
}

#[test]
fn not_utf8() {
    let mut body = json!({ "inputs": flight() }).to_string().into_bytes();
    let at = body
        .windows(5)
        .position(|part| part == b"N1422")
        .expect("the tail number is there");
    body[at] = 0xff;
    let column = at + 1;
    score_refused(
        &body,
        &invalid(
            "inputs.tailnum",
            &format!("not JSON: invalid unicode code point at line 1 column {column}"),
        ),
    );
}

#[test]
fn a_wrong_type() {
    score_refused(
        with("carrier", json!(7)),
        &invalid("inputs.carrier", "7 stands where text belongs"),
    );
    score_refused(
        with("tailnum", json!([])),
        &invalid(
            "inputs.tailnum",
            "an array stands where text or null belongs",
        ),
    );
    let timestamp = "true stands where a timestamp such as \"2013-01-01T05:15:00-05:00\" belongs";
    score_refused(
        with("departed", json!(true)),
        &invalid("inputs.departed", timestamp),
    );
    score_refused(
        "[]",
        &invalid("body", "an object with \"inputs\" or \"rows\" belongs here"),
    );
    score_refused(
        "{\"inputs\":[]}",
        &invalid("inputs", "an object belongs here"),
    );
    score_refused(
        "{\"rows\":{}}",
        &invalid("rows", "an array of rows belongs here"),
    );
    score_refused(
        "{\"rows\":[1]}",
        &invalid("rows[0]", "an object belongs here"),
    );
}

#[test]
fn a_missing_field_that_may_not_be_null() {
    let mut inputs = flight();
    inputs
        .as_object_mut()
        .expect("an object")
        .remove("departed");
    score_refused(
        json!({ "inputs": inputs }).to_string(),
        &invalid("inputs.departed", "missing; a timestamp belongs here"),
    );
    score_refused(
        with("origin", Value::Null),
        &invalid("inputs.origin", "null stands where text belongs"),
    );
    let rows = json!({ "rows": [flight(), {}] }).to_string();
    score_refused(
        rows,
        &invalid("rows[1].flight_id", "missing; a text belongs here"),
    );
    score_refused(
        "{}",
        &invalid("body", "give \"inputs\": {…} or \"rows\": [{…}, …]"),
    );
}

#[test]
fn a_number_out_of_range() {
    let payment = |field: &str, value: &str| {
        let mut inputs = json!({
            "payment_id": "p", "customer_id": "c-0001", "amount": 5, "currency": "EUR", "category": "fuel",
            "at": "2025-04-01T12:00:00Z", "lat": 1.5, "lon": 2.5,
        });
        inputs[field] = json!("HERE");
        let body = json!({ "inputs": inputs })
            .to_string()
            .replace("\"HERE\"", value);
        cards().post("/v1/services/card-features/features", body)
    };
    for (field, value, message) in [
        ("amount", "-0.01", "-0.01 is under the minimum of 0"),
        ("lat", "90.5", "90.5 is over the maximum of 90"),
    ] {
        let answer = payment(field, value);
        assert_eq!(answer.json, invalid(&format!("inputs.{field}"), message));
    }
    let huge = payment("amount", "1e999");
    assert_eq!(
        (huge.status, &huge.json["field"]),
        (400, &json!("inputs.amount"))
    );
    assert!(huge.text.contains("number out of range"), "{}", huge.text);
    assert_eq!(payment("amount", "5").status, 200);
}

#[test]
fn an_impossible_date() {
    let answer = flights().post(
        "/v1/services/flight-delay/score",
        with("departed", json!("2013-02-30T00:00:00Z")),
    );
    assert_eq!(
        (answer.status, &answer.json["field"]),
        (400, &json!("inputs.departed"))
    );
    let detail = answer.json["detail"].as_str().expect("a detail");
    assert!(
        detail.starts_with("inputs.departed: \"2013-02-30T00:00:00Z\" is no RFC 3339 timestamp"),
        "{detail}"
    );
    for text in ["yesterday", "2013-01-01", "2013-01-01T05:15:00", ""] {
        let message =
            format!("\"{text}\" is no RFC 3339 timestamp such as 2013-01-01T05:15:00-05:00");
        let answer = flights().post(
            "/v1/services/flight-delay/score",
            with("departed", json!(text)),
        );
        assert_eq!(answer.status, 400);
        assert!(
            answer.text.contains(&message.replace('"', "\\\"")),
            "{}",
            answer.text
        );
    }
}

#[test]
fn no_rows_and_too_many() {
    score_refused("{\"rows\":[]}", &invalid("rows", "no rows"));
    // The rows are small, so that the limit on rows is met before the one on bytes.
    let payment = "{\"payment_id\":\"p\",\"amount\":1,\"currency\":\"EUR\",\"category\":\"fuel\",\"at\":\"2025-04-01T12:00:00Z\"},";
    let mut body = format!("{{\"rows\":[{}", payment.repeat(100_001));
    body.pop();
    body.push_str("]}");
    let answer = cards().post("/v1/services/card-features/features", body);
    let expected = json!({
        "type": "urn:tidemill:problem:too-large", "title": "Over a limit", "status": 413,
        "detail": "the number of rows is over the limit of 100000", "limit": "100000",
    });
    assert_eq!(answer.json, expected);
}

#[test]
fn a_body_over_the_limit() {
    let expected = json!({
        "type": "urn:tidemill:problem:too-large", "title": "Over a limit", "status": 413,
        "detail": "the body is over the limit of 16777216 bytes", "limit": "16777216 bytes",
    });
    score_refused(" ".repeat((16 << 20) + 1), &expected);
}

#[test]
fn unknown_things_list_what_there_is() {
    let not_found = |kind: &str, name: &str, known: &[&str], listed: &str| {
        json!({
            "type": "urn:tidemill:problem:not-found", "title": "There is no such thing", "status": 404,
            "detail": format!("there is no {kind} \"{name}\"; {listed}"), "kind": kind, "name": name, "known": known,
        })
    };
    let server = flights();
    let body = json!({ "inputs": flight() }).to_string();
    refused(
        &server.post("/v1/services/flight-dely/score", &body),
        &not_found(
            "service",
            "flight-dely",
            &["flight-delay"],
            "there is flight-delay",
        ),
    );
    refused(
        &server.post("/v1/services/flight-delay@7/score", &body),
        &not_found(
            "service version",
            "flight-delay@7",
            &["flight-delay@1"],
            "there is flight-delay@1",
        ),
    );
    refused(
        &server.post("/v1/services/flight-delay@one/score", &body),
        &not_found(
            "service version",
            "flight-delay@one",
            &["flight-delay@1"],
            "there is flight-delay@1",
        ),
    );
    let views = ["airport", "plane", "weather"];
    refused(
        &server.get("/v1/views/planes"),
        &not_found(
            "view",
            "planes",
            &views,
            "there are airport, plane and weather",
        ),
    );
    refused(
        &server.get("/v1/transforms/great-circle@2"),
        &not_found(
            "transform version",
            "great-circle@2",
            &["great-circle@1.0.0"],
            "there is great-circle@1.0.0",
        ),
    );
    refused(
        &server.get("/v1/models/flight"),
        &not_found(
            "model",
            "flight",
            &["flight-delay"],
            "there is flight-delay",
        ),
    );
    assert_eq!(
        server.get("/v2/score").json["type"],
        json!("urn:tidemill:problem:no-route")
    );
    assert_eq!(server.get("/v1/services/flight-delay/score").status, 405);
}

#[test]
fn a_nan_literal() {
    let body = with("carrier", json!("HERE")).replace("\"HERE\"", "NaN");
    let column = body.find("NaN").expect("it is there") + 1;
    score_refused(
        &body,
        &invalid(
            "inputs.carrier",
            &format!("not JSON: expected value at line 1 column {column}"),
        ),
    );
}

#[test]
fn duplicate_keys() {
    let inputs = flight()
        .to_string()
        .replacen("{", "{\"carrier\":\"UA\",", 1);
    score_refused(
        format!("{{\"inputs\":{inputs}}}"),
        &invalid("inputs.carrier", "given twice"),
    );
    let twice = format!("{{\"inputs\":{0},\"inputs\":{0}}}", flight());
    score_refused(twice, &invalid("inputs", "given twice"));
    let both = format!("{{\"inputs\":{0},\"rows\":[{0}]}}", flight());
    score_refused(
        both,
        &invalid(
            "rows",
            "give \"inputs\", or \"rows\" with or without \"shared\"",
        ),
    );
}

#[test]
fn an_unknown_field() {
    let known = "flight_id, carrier, tailnum, origin, dest, scheduled, departed";
    let message = format!("no such field; there are {known}");
    score_refused(
        with("tail_num", json!("N14228")),
        &invalid("inputs.tail_num", &message),
    );
    score_refused(
        "{\"input\":{}}",
        &invalid(
            "input",
            "no such field; there are inputs, rows, shared, features, timings, top_k",
        ),
    );
}

#[test]
fn deep_nesting() {
    let deep = "[".repeat(100_000);
    let body = with("tailnum", json!("HERE")).replace("\"HERE\"", &deep);
    score_refused(
        &body,
        &invalid(
            "inputs.tailnum",
            "an array stands where text or null belongs",
        ),
    );
    score_refused(
        &deep,
        &invalid("body", "an object with \"inputs\" or \"rows\" belongs here"),
    );
    let objects = "{\"inputs\":".repeat(1_000);
    score_refused(
        &objects,
        &invalid(
            "inputs.inputs",
            "no such field; there are flight_id, carrier, tailnum, origin, dest, scheduled, departed",
        ),
    );
}
