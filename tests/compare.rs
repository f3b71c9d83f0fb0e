//! Two versions side by side, from the log: paired where one is the other's shadow, as two populations where it is a canary.

use std::path::Path;

use serde_json::{Value, json};

use super::rollout::{ask, bad, count, good, set, settled, start, version};
use super::support::Server;

pub fn compared(log: &Path, more: &[&str]) -> Value {
    let log = log.to_str().expect("a path");
    let args = [
        "service", "compare", "shop", "--from", "1", "--to", "2", "--log", log, "--json",
    ];
    serde_json::from_str(&good(&[&args[..], more].concat())).expect("JSON")
}

/// The two versions in words, from the server's own folder.
fn told(server: &Server) -> String {
    let dir = server.data().to_str().expect("a path");
    let what = ["service", "compare", "shop", "--from", "1", "--to", "2"];
    good(&[&what[..], &["--data-dir", dir]].concat())
}

/// Copies all files of the log into one folder.
fn copied(log: &Path, to: &Path) {
    for entry in std::fs::read_dir(log).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => copied(&path, to),
            false => _ = std::fs::copy(&path, to.join(entry.file_name())).expect("it is copied"),
        }
    }
}

#[test]
fn a_shadow_is_logged_and_compared() {
    let server = start(|_| {});
    set(
        &server,
        json!({ "version": 1, "shadow": [{ "version": 2 }] }),
    );
    // A field that the shadow does not know is passed over; so is what it may miss.
    let row = |x: u32| json!({ "customer": format!("c-{x}"), "x": x, "channel": "web" });
    let mut ids = Vec::new();
    for x in 0..20 {
        let answer = ask(&server, "shop", &json!({ "inputs": row(x) }));
        assert_eq!(version(&answer), 1);
        assert_eq!(answer.json["results"][0]["score"], f64::from(x) + 1.0);
        ids.push(
            answer.json["request_id"]
                .as_str()
                .expect("an id")
                .to_owned(),
        );
    }
    let rows: Vec<Value> = (20..30).map(row).collect();
    assert_eq!(
        version(&ask(&server, "shop@stable", &json!({ "rows": rows }))),
        1
    );
    settled(&server, 2, 21);
    assert_eq!(count(&server, 2, "ok"), 21);
    // A version by its number has no shadow, and neither has a request that was refused.
    assert_eq!(
        version(&ask(&server, "shop@1", &json!({ "inputs": row(1) }))),
        1
    );
    assert_eq!(ask(&server, "shop", &json!({ "inputs": {} })).status, 400);
    let log = server.log();

    let found = compared(&log, &["--threshold", "15"]);
    assert_eq!(found["pairs"], 30);
    assert_eq!(found["from"]["roles"], json!({ "answer": 30 }));
    assert_eq!(found["to"]["roles"], json!({ "shadow": 30 }));
    assert_eq!(
        (&found["from"]["rows"], &found["to"]["rows"]),
        (&json!(31), &json!(30))
    );
    assert_eq!(found["from"]["outcomes"], json!({ "answered": 30 }));
    assert_eq!(found["to"]["outcomes"], json!({ "answered": 30 }));
    let features = found["features"].as_array().expect("features");
    let differing: Vec<&str> = (features.iter())
        .filter(|feature| {
            feature["differ"]
                .as_f64()
                .is_some_and(|differ| differ > 0.0)
        })
        .map(|feature| feature["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(differing, ["plus.y"]);
    let of = |name: &str| {
        let mut named = features.iter().filter(|feature| feature["name"] == name);
        named.next().unwrap_or_else(|| panic!("{name}")).clone()
    };
    let psi = of("plus.y")["psi"].as_f64().expect("a PSI");
    assert!(psi > 0.0, "{psi}");
    assert_eq!(
        of("plus.y"),
        json!({
            "name": "plus.y", "in_from": true, "in_to": true, "differ": 20.0 / 30.0,
            "mean_distance": 10.0 / 30.0, "max_distance": 0.5, "null_from": 0.0, "null_to": 0.0, "psi": psi,
        })
    );
    assert_eq!(of("steady.y")["differ"], 0.0);
    assert_eq!(of("steady.y")["psi"], 0.0);
    for (name, there) in [
        ("more.y", "in_to"),
        ("request.note", "in_to"),
        ("request.channel", "in_from"),
    ] {
        let feature = of(name);
        assert_eq!(
            (&feature["differ"], &feature[there]),
            (&Value::Null, &json!(true))
        );
        assert!(feature["in_from"] != feature["in_to"]);
    }
    let score = &found["score"];
    assert_eq!(
        (&score["differ"], &score["mean_difference"]),
        (&json!(20.0 / 30.0), &json!(10.0 / 30.0))
    );
    assert_eq!(score["from"]["p50"], 15.5);
    assert_eq!(score["to"]["p50"], 16.0);
    // From 15 on: x of 14 and more in both; nobody changes sides at a half.
    assert_eq!(
        score["threshold"],
        json!({ "threshold": 15.0, "above_from": 16.0 / 30.0, "above_to": 16.0 / 30.0, "flipped": 0.0 })
    );
    assert_eq!(
        compared(&log, &["--threshold", "15.25"])["score"]["threshold"]["flipped"],
        1.0 / 30.0
    );
    assert!(found["to"]["micros"]["p99"].as_f64().expect("a time") > 0.0);

    // The same from a heap of files elsewhere, but for what takes other times.
    let elsewhere = tempfile::tempdir().expect("a folder");
    copied(&log, elsewhere.path());
    assert_eq!(compared(elsewhere.path(), &["--threshold", "15"]), found);

    let told = told(&server);
    for line in [
        "shop@1 → shop@2",
        "30 pairs: rows of requests that both have",
        "plus.y   66.67 %",
        "3 more are the same in every pair",
        "only in shop@1: request.channel",
        "only in shop@2: request.note, more.y",
        "differ in 66.67 % of pairs; mean difference 0.3333",
    ] {
        assert!(told.contains(line), "{line:?} is not in\n{told}");
    }
    assert!(!told.contains("steady.y"), "{told}");

    let dir = server.data().to_str().expect("a path");
    let compare = |more: &[&str]| {
        let args = ["service", "compare", "shop", "--data-dir", dir];
        bad(&[&args[..], more].concat())
    };
    for (args, expected) in [
        (
            &["--from", "1", "--to", "3"][..],
            "there is no version in this log \"shop@3\"; there are shop@1 and shop@2",
        ),
        (
            &["--from", "1", "--to", "1"],
            "--to: it is the same version as --from",
        ),
        (
            &["--from", "1", "--to", "2", "--limit", "0"],
            "--limit: of no rows there is nothing to say",
        ),
        (
            &["--from", "1", "--to", "2", "--since", "monday"],
            "\"monday\" is no moment such as",
        ),
        (
            &["--from", "1", "--to", "2", "--since", "2999-01-01"],
            "has no file of service shop of 2999-01-01 or later",
        ),
    ] {
        let message = compare(args);
        assert!(message.contains(expected), "{message}");
    }
    let nothing = elsewhere.path().join("nothing");
    let message = bad(&[
        "service",
        "compare",
        "shop",
        "--from",
        "1",
        "--to",
        "2",
        "--log",
        nothing.to_str().unwrap(),
    ]);
    assert!(message.contains("nothing: No such file"), "{message}");
    let of_day = compared(&log, &["--since", "1h", "--limit", "5"]);
    assert_eq!(
        (&of_day["from"]["rows"], &of_day["to"]["rows"]),
        (&json!(5), &json!(5))
    );
}

#[test]
fn populations_are_compared_where_there_are_no_pairs() {
    let server = start(|_| {});
    let canary = json!({ "version": 2, "share": 0.5, "key": ["customer"] });
    set(
        &server,
        json!({ "version": 1, "canary": canary, "shadow": [{ "version": 2, "share": 0 }] }),
    );
    let mut counts = [0; 2];
    for nth in 0..100 {
        let body = json!({ "inputs": { "customer": format!("c-{nth}"), "x": 20 } });
        counts[version(&ask(&server, "shop", &body)) as usize - 1] += 1;
    }
    let found = compared(&server.log(), &["--threshold", "21.25"]);
    assert_eq!(found["pairs"], 0);
    let [from, to] = counts;
    assert_eq!(
        (&found["from"]["roles"], &found["to"]["roles"]),
        (&json!({ "answer": from }), &json!({ "answer": to }))
    );
    let feature = |name: &str| {
        let mut features = found["features"].as_array().expect("features").iter();
        features
            .find(|feature| feature["name"] == name)
            .expect("it is there")
            .clone()
    };
    assert_eq!(feature("plus.y")["differ"], Value::Null);
    assert!(feature("plus.y")["psi"].as_f64().expect("a PSI") > 1.0);
    assert_eq!(feature("steady.y")["psi"], 0.0);
    assert_eq!(
        (
            &found["score"]["from"]["mean"],
            &found["score"]["to"]["mean"]
        ),
        (&json!(21.0), &json!(21.5))
    );
    assert_eq!(
        found["score"]["threshold"],
        json!({ "threshold": 21.25, "above_from": 0.0, "above_to": 1.0, "flipped": null })
    );
    let told = told(&server);
    assert!(
        told.contains("no request has rows of both: two populations"),
        "{told}"
    );
}
