//! The founding case of the field: card payments, against a reference in Python.

use serde_json::{Value, json};

use super::support::{cards, text};

fn rows(path: &str) -> Vec<Value> {
    text(path)
        .lines()
        .map(|line| serde_json::from_str(line).expect(path))
        .collect()
}

#[test]
fn features_equal_the_reference() {
    let payments = rows("demo/cards/payments.ndjson");
    let expected = rows("tests/oracle/cards.ndjson");
    let body = json!({ "rows": payments }).to_string();
    let answer = cards().post("/v1/services/card-features/features", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json["results"].as_array().expect("results");
    assert_eq!(
        (results.len(), payments.len()),
        (expected.len(), expected.len())
    );
    for (result, expected) in results.iter().zip(&expected) {
        assert_eq!(result["lookups"]["customer"], expected["status_customer"]);
        let features = result["features"].as_object().expect("features");
        let wanted = expected
            .as_object()
            .expect("a row")
            .iter()
            .filter(|(name, _)| name.starts_with("payment."));
        assert_eq!(features.len(), wanted.clone().count());
        for (name, wanted) in wanted {
            match (features[name].as_f64(), wanted.as_f64()) {
                (Some(found), Some(wanted)) => {
                    let difference = (found - wanted).abs() / wanted.abs().max(1.0);
                    assert!(difference <= 1e-12, "{name} of {expected}: {found}");
                }
                _ => assert_eq!(&features[name], wanted, "{name} of {expected}"),
            }
        }
    }
}

#[test]
fn a_refused_row_fails_alone() {
    let payment = |currency: &str| {
        json!({
            "payment_id": "p", "customer_id": null, "amount": 5, "currency": currency, "category": "fuel",
            "at": "2025-04-01T12:00:00Z", "lat": null, "lon": null,
        })
    };
    let service = "/v1/services/card-features/features";
    let together = json!({ "rows": [payment("EUR"), payment("XXX"), payment("USD")] }).to_string();
    let results = cards().post(service, together).json["results"].take();
    assert_eq!(results[0]["features"]["payment.amount_eur"], json!(5.0));
    assert_eq!(
        results[2]["features"]["payment.amount_eur"],
        json!(4.6000000000000005)
    );
    assert_eq!(results[1]["features"], Value::Null);
    assert_eq!(
        results[1]["error"]["title"],
        json!("A transform refused the row")
    );
    assert_eq!(
        results[1]["error"]["transform"]["name"],
        json!("card-payment")
    );

    let alone = cards().post(service, json!({ "inputs": payment("XXX") }).to_string());
    assert_eq!(alone.status, 422);
    assert_eq!(
        alone.json["type"],
        json!("urn:tidemill:problem:row-refused")
    );
    assert_eq!(alone.json["message"], results[1]["error"]["message"]);
    let message = alone.json["message"].as_str().expect("a message");
    assert!(
        message.contains("XXX") && message.contains("EUR"),
        "it lists what there is: {message}"
    );
}

#[test]
fn a_service_without_a_model_has_no_score() {
    let answer = cards().post("/v1/services/card-features/score", "{}");
    assert_eq!(answer.status, 400);
    let detail = "service \"card-features\": it has no model and no [output]; ask for its /features (tidemill score --features-only)";
    assert_eq!(answer.json["detail"], json!(detail));
}
