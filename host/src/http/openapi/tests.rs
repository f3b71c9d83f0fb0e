//! The document as it stands, and whether it is whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::access::rules::rule;
use crate::app::App;
use crate::config::Config;
use crate::http::problem::Kind;

/// After a change that is meant: `UPDATE_GOLDEN=1 cargo test -p tidemill --lib openapi`.
#[test]
fn the_document_is_the_one_in_the_repository() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, TEXT.as_str()).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    let line = golden.lines().zip(TEXT.lines()).position(|(a, b)| a != b);
    let at = line.map_or(0, |line| line + 1);
    assert!(
        golden == *TEXT,
        "host/openapi.json is not what the code says, from line {at} on; if the change is meant: \
         UPDATE_GOLDEN=1 cargo test -p tidemill --lib openapi"
    );
}

/// Whether each is answered with the methods that the document names, a test in `tests/openapi.rs` asks the server.
#[test]
fn every_route_is_in_the_document_and_no_other() {
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        data_dir: data.path().to_owned(),
        ..Config::default()
    };
    let router = super::super::router(Arc::new(App::open(config).unwrap()));
    // axum tells the paths of a router to nobody but `Debug`.
    let shown = format!("{router:?}");
    let routes: BTreeSet<&str> = shown
        .split('"')
        .filter(|text| text.starts_with("/") && *text != "/" && !text.contains("__private__"))
        .collect();
    let document = document();
    let documented: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
    assert!(routes.len() > 40, "{routes:?}");
    assert_eq!(routes, documented);
}

#[test]
fn operations_are_told_apart_and_say_what_they_need() {
    let mut document = document();
    let mut ids = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in kinds::operations(item) {
            let name = format!("{method} {path}");
            let id = operation.operation_id.clone().expect(&name);
            assert!(ids.insert(id), "{name}");
            assert!(operation.summary.is_some(), "{name}");
            let statuses = &operation.responses.responses;
            let needs = rule(method, Some(path)).least.is_some();
            assert_eq!(statuses.contains_key("401"), needs, "{name}");
            assert_eq!(operation.security.is_some(), needs, "{name}");
        }
    }
}

#[test]
fn problem_types_have_names_of_their_own_and_statuses_that_are_errors() {
    let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        let row = kind.row();
        assert!((400..600).contains(&row.status), "{kind:?}");
        let letters = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(row.name.chars().all(letters), "{kind:?}");
    }
}
