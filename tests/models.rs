//! Models of many kinds, registered with what ONNX Runtime answers to them as their test vectors.

use serde_json::{Value, json};

use super::support::{Server, file, text};

/// A manifest that names the columns of each input.
fn manifest(name: &str, vectors: &Value) -> String {
    let input = |input: &Value| {
        let columns = input["shape"].get(1).and_then(Value::as_u64).unwrap_or(1);
        let features: Vec<String> = (0..columns)
            .map(|at| format!("{}_{at}", input["name"].as_str().expect("a name")))
            .collect();
        json!({ "name": input["name"], "features": features })
    };
    let inputs: Vec<Value> = vectors["inputs"]
        .as_array()
        .expect("inputs")
        .iter()
        .map(input)
        .collect();
    json!({ "name": name, "inputs": inputs }).to_string()
}

fn register(
    server: &Server,
    onnx: &[u8],
    manifest: &str,
    vectors: &Value,
) -> super::support::Answer {
    let vectors = vectors.to_string();
    let parts = [
        ("model", onnx),
        ("manifest", manifest.as_bytes()),
        ("vectors", vectors.as_bytes()),
    ];
    server.post_parts("/v1/models", &parts)
}

#[test]
fn every_model_of_the_zoo_answers_as_onnx_runtime_does() {
    let server = Server::start(|_| {});
    let mut count = 0;
    for entry in std::fs::read_dir(file("onnx-ml/tests/zoo")).expect("the zoo") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let onnx = std::fs::read(&path).expect("a model");
        let mut vectors: Value =
            serde_json::from_str(&text(&format!("onnx-ml/tests/zoo/{name}.json")))
                .expect("vectors");
        // Scores of this model reach 21, and ONNX Runtime itself gives others one by one than all together.
        vectors["tolerance"] = json!(if name == "logistic-raw-scores" {
            1e-5
        } else {
            1e-6
        });
        let answer = register(&server, &onnx, &manifest(name, &vectors), &vectors);
        assert_eq!(answer.status, 201, "{name}: {}", answer.text);
        assert_eq!(
            answer.json["parity"]["rows"], vectors["inputs"][0]["shape"][0],
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 30, "{count} models");
}

#[test]
fn a_model_that_differs_from_its_test_vectors_is_refused_with_the_worst_row() {
    let server = Server::start(|_| {});
    let onnx = std::fs::read(file("onnx-ml/tests/zoo/ada-boost-binary.onnx")).expect("a model");
    let good: Value =
        serde_json::from_str(&text("onnx-ml/tests/zoo/ada-boost-binary.json")).expect("vectors");
    let manifest = manifest("ada-boost-binary", &good);
    let mut bad = good.clone();
    let probabilities = bad["outputs"]
        .as_array()
        .expect("outputs")
        .iter()
        .position(|output| output["type"] == "float")
        .expect("one");
    let value = bad["outputs"][probabilities]["data"][5]
        .as_f64()
        .expect("a number");
    bad["outputs"][probabilities]["data"][5] = json!(value + 0.25);
    let answer = register(&server, &onnx, &manifest, &bad);
    let detail = answer.json["detail"].as_str().expect("a detail");
    assert_eq!(answer.status, 422, "{detail}");
    assert!(
        detail.contains("the worst is row 2 of ") && detail.contains(", column 1: "),
        "{detail}"
    );

    for (change, expected) in [
        (json!({ "inputs": [], "outputs": [] }), "hold no rows"),
        (
            json!({ "inputs": good["inputs"], "outputs": [{ "name": "x", "shape": [24], "data": [] }] }),
            "name an output \"x\"",
        ),
        (json!({ "input": [] }), "the test vectors cannot be read"),
    ] {
        let answer = register(&server, &onnx, &manifest, &change);
        let detail = answer.json["detail"].as_str().expect("a detail");
        assert!(
            answer.status == 422 && detail.contains(expected),
            "{detail}"
        );
    }
    assert_eq!(server.get("/v1/models").json, json!({ "models": [] }));
    assert_eq!(register(&server, &onnx, &manifest, &good).status, 201);
}
