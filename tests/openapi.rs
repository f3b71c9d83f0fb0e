//! The OpenAPI document and the server agree. What is answered in other tests is held against it as well: see
//! `support/conforms.rs`.

use serde_json::json;

use super::support::{Server, cards, document, text};

#[test]
fn the_server_serves_the_document_in_the_repository() {
    let answer = cards().get("/openapi.json");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text, text("host/openapi.json"));
    assert_eq!(answer.json["openapi"], json!("3.1.0"));
}

#[test]
fn each_path_answers_the_methods_that_are_documented_and_no_others() {
    let server = Server::start(|_| {});
    for (path, item) in document()["paths"].as_object().expect("paths") {
        let parts = path.split('/').map(|part| match part {
            "{kind}" => "transform",
            part if part.starts_with('{') => "nothing@1",
            part => part,
        });
        let target = parts.collect::<Vec<_>>().join("/");
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let answer = server.raw(&format!("{method} {target}"), &[], "");
            let documented = item.get(method.to_lowercase()).is_some();
            assert_eq!(answer.status != 405, documented, "{method} {path}");
            let no_route = json!("urn:tidemill:problem:no-route");
            assert_ne!(answer.json["type"], no_route, "{method} {path}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_a_problem_wherever_it_stands() {
    let server = cards();
    for target in [
        "GET /v1/services/%FF",
        "GET /v1/jobs?limit=many",
        "GET /v1/audit?limit=0",
        "GET /v1/services/card-features/plan?format=yaml",
        "GET /v1/lineage?format=yaml",
        "GET /v1/views/customer/row?customer=1",
        "POST /v1/services/%C3%28/score",
    ] {
        let answer = server.raw(target, &[], "");
        assert_eq!(answer.status, 400, "{target}: {}", answer.text);
        let problem = json!("urn:tidemill:problem:invalid-request");
        assert_eq!(answer.json["type"], problem, "{target}");
        assert!(answer.json["field"].is_string(), "{target}");
    }
}
