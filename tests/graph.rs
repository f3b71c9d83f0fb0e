//! Services as graphs: look-ups side by side, gates, what is late or fails, steps behind the model, shared rows.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::{Value, json};
use tidemill::config::Config;
use tidemill::store::ThreadedStore;
use tokio::sync::Barrier;

use super::support::{
    Answer, Server, Watched, Way, flights, guest, plugin, register_flights, text, until,
};

/// The value of a counter with these labels; zero where it has not been counted.
fn counted(server: &Server, name: &str, labels: &[&str]) -> u64 {
    let text = server.get("/metrics").text;
    let is_it = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    let lines = text.lines().filter(is_it);
    lines
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}

/// The audit would read what a test counts.
fn unaudited(config: &mut Config) {
    config.skew.share = 0.0;
}

fn ask(server: &Server, service: &str, body: &Value) -> Answer {
    server.post(&format!("/v1/services/{service}/score"), body.to_string())
}

#[test]
fn look_ups_of_a_level_run_at_the_same_time() {
    let watched = Watched::new();
    let server = Server::start_with(unaudited, |store| watched.around(store));
    let mut service = "name = \"wide\"\ndeadline = \"60s\"\nfeatures = [".to_owned();
    for at in 24..32 {
        service += &format!("\"v{at}.n\", ");
    }
    service += "]\n[request]\nkey = \"text\"\n";
    for at in 0..32 {
        server.define(
            "/v1/views",
            &format!("name = \"v{at}\"\nkey = \"k\"\n[columns]\nk = \"text\"\nto = \"text\"\nn = \"f64\"\n"),
        );
        let (level, lane) = (at / 8, at % 8);
        let row = json!({ "k": format!("{lane}/{level}"), "to": format!("{lane}/{}", level + 1), "n": at });
        let rows = format!("/v1/views/v{at}/rows");
        server.post_as(&rows, "application/x-ndjson", row.to_string());
        let key = match level {
            0 => "key".to_owned(),
            _ => format!("v{}.to", at - 8),
        };
        service += &format!("[[lookup]]\nview = \"v{at}\"\nkey = \"{key}\"\n");
    }
    server.define("/v1/services", &service);
    // Each of the first level has its own key; one request cannot have eight.
    for lane in 1..8 {
        let row = json!({ "k": "0/0", "to": format!("{lane}/1"), "n": lane });
        let rows = format!("/v1/views/v{lane}/rows");
        server.post_as(&rows, "application/x-ndjson", row.to_string());
    }

    // Every read takes ten milliseconds, and none of eight ends before all eight are under way.
    watched.all(Way::Together(
        Duration::from_millis(10),
        Arc::new(Barrier::new(8)),
    ));
    let body = json!({ "inputs": { "key": "0/0" }, "timings": true }).to_string();
    let answer = server.post("/v1/services/wide/features", &body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    println!(
        "32 look-ups of 10 ms each: {}",
        answer.json["timings"]["total_us"]
    );
    let features = &answer.json["results"][0]["features"];
    for at in 24..32 {
        assert_eq!(features[format!("v{at}.n")], json!(f64::from(at)));
    }
    let counts = [&watched.reads, &watched.most, &watched.rounds].map(|count| count.load(SeqCst));
    assert_eq!(counts, [32, 8, 4], "reads, the most at once, rounds");
    let plan = server.get("/v1/services/wide/plan").json;
    assert_eq!(plan["longest_chain"].as_array().map(Vec::len), Some(4));
}

/// Services over one look-up that goes wrong and one that does not, and differ in what is said of that.
fn customers(server: &Server) {
    for view in ["customer", "region"] {
        server.define(
            "/v1/views",
            &format!(
                "name = \"{view}\"\nkey = \"id\"\n[columns]\nid = \"text\"\nlimit = \"f64\"\n"
            ),
        );
        let rows = server.post_as(
            &format!("/v1/views/{view}/rows"),
            "application/x-ndjson",
            r#"{"id": "a", "limit": 100}"#,
        );
        assert_eq!(rows.status, 200, "{}", rows.text);
    }
    for (name, of_the_lookup, of_the_service) in [
        ("plain", "timeout = \"100ms\"", ""),
        (
            "defaulted",
            "timeout = \"100ms\"\ndefault = { limit = 7 }",
            "",
        ),
        ("absent", "timeout = \"100ms\"\non_failure = \"absent\"", ""),
        (
            "fallback",
            "timeout = \"100ms\"",
            "[on_failure]\nscore = 0.5\n",
        ),
        ("deadline", "", "[on_failure]\nscore = 0.5\n"),
    ] {
        let deadline = match name {
            "deadline" => "deadline = \"200ms\"",
            _ => "deadline = \"60s\"",
        };
        server.define(
            "/v1/services",
            &format!(
                "name = \"{name}\"\n{deadline}\nfeatures = [\"customer.limit\", \"region.limit\"]\n\
                 [request]\nid = \"text\"\n[[lookup]]\nview = \"region\"\nkey = \"id\"\n\
                 [[lookup]]\nview = \"customer\"\nkey = \"id\"\n{of_the_lookup}\n\
                 [output]\nscore = \"customer.limit\"\n{of_the_service}"
            ),
        );
    }
}

/// Without the request's id and the versions.
fn result(answer: &Answer) -> &Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    &answer.json["results"][0]
}

#[track_caller]
fn works(server: &Server, service: &str) {
    let answer = ask(server, service, &json!({ "inputs": { "id": "a" } }));
    let expected =
        json!({ "score": 100.0, "lookups": { "region": "present", "customer": "present" } });
    assert_eq!(result(&answer), &expected, "{service}");
}

#[test]
fn look_ups_that_fail_or_hang_have_the_declared_answer() {
    let watched = Watched::new();
    let server = Server::start_with(unaudited, |store| watched.around(store));
    customers(&server);
    let body = json!({ "inputs": { "id": "a" } });
    for (way, status, code, kind) in [
        (Way::Failing, "failed", 503, "store-failed"),
        (Way::Hanging, "timed_out", 504, "late"),
    ] {
        for service in ["plain", "defaulted", "absent", "fallback", "deadline"] {
            works(&server, service);
            watched.only("customer", way.clone());
            let answer = ask(&server, service, &body);
            watched.all(Way::Well);
            let detail = match status {
                "failed" => "the online store failed: look-up \"customer\": the test wants it so",
                _ => "look-up \"customer\" was not there within ",
            };
            let problem = match service {
                "plain" => {
                    assert_eq!(answer.status, code, "{}", answer.text);
                    &answer.json
                }
                _ => &result(&answer)["fallback"],
            };
            match service {
                "plain" | "fallback" | "deadline" => {
                    let found = problem["detail"].as_str().unwrap_or("");
                    assert!(found.starts_with(detail), "{}", answer.text);
                    assert_eq!(
                        problem["type"],
                        json!(format!("urn:tidemill:problem:{kind}"))
                    );
                }
                _ => assert_eq!(problem, &Value::Null),
            }
            let score = match service {
                "plain" => continue,
                "defaulted" => json!(7.0),
                "absent" => Value::Null,
                _ => json!(0.5),
            };
            assert_eq!(result(&answer)["score"], score, "{service} {status}");
            assert_eq!(result(&answer)["lookups"]["customer"], json!(status));
            works(&server, service);
        }
        let all_five = counted(
            &server,
            "tidemill_lookups_total",
            &["lookup=\"customer\"", &format!("status=\"{status}\"")],
        );
        assert_eq!(all_five, 5);
        let reason = kind.trim_end_matches("-failed");
        let reason = format!("reason=\"{reason}\"");
        assert_eq!(
            counted(&server, "tidemill_fallback_rows_total", &[&reason]),
            2
        );
    }
}

#[test]
fn reads_that_hang_on_threads_do_not_take_the_server_down() {
    let watched = Watched::new();
    let around = |store| -> Arc<dyn tidemill::store::OnlineStore> {
        Arc::new(ThreadedStore::new(watched.around(store), 2))
    };
    let server = Server::start_with(unaudited, around);
    customers(&server);
    works(&server, "fallback");
    let ends = watched.ends();
    watched.only("customer", Way::Hanging);
    let fallback = || {
        let answer = ask(&server, "fallback", &json!({ "inputs": { "id": "a" } }));
        assert_eq!(result(&answer)["score"], json!(0.5));
        answer.json["results"][0]["fallback"]["detail"].clone()
    };
    // Each loses a thread to a read that is given up.
    for _ in 0..2 {
        let detail = fallback();
        let detail = detail.as_str().unwrap_or("");
        assert!(
            detail.starts_with("look-up \"customer\" was not there within"),
            "{detail}"
        );
    }
    // With none left, there is no waiting, whichever look-up comes first.
    let detail = fallback();
    let detail = detail.as_str().unwrap_or("");
    assert!(
        detail.ends_with("all of its 2 threads hang in reads that were given up"),
        "{detail}"
    );
    assert_eq!(server.get("/healthz").status, 200);

    watched.all(Way::Well);
    drop(ends);
    until("the threads come back", || {
        let answer = ask(&server, "fallback", &json!({ "inputs": { "id": "a" } }));
        result(&answer)["fallback"].is_null().then_some(())
    });
    works(&server, "fallback");
}

/// The flights with the service that decides on notices, on a store that is steered.
fn notices() -> (Arc<Watched>, Server) {
    let watched = Watched::new();
    let server = Server::start_with(unaudited, |store| watched.around(store));
    register_flights(&server);
    server.admit(&plugin("delay-notice"));
    server.define("/v1/services", &text("demo/flights/flight-notice.toml"));
    (watched, server)
}

fn flight(minutes_late: u32, odds: f64) -> Value {
    json!({
        "flight_id": "UA1545/2013-01-01/EWR", "carrier": "UA", "tailnum": "N14228", "origin": "EWR", "dest": "IAH",
        "scheduled": "2013-01-01T05:15:00-05:00", "departed": format!("2013-01-01T05:{}:00-05:00", 15 + minutes_late),
        "odds": odds,
    })
}

#[test]
fn a_gate_stands_before_and_a_decision_behind_the_model() {
    let (watched, server) = notices();
    let stage = |stage: &str| {
        let labels = ["service=\"flight-notice\"", &format!("stage=\"{stage}\"")];
        counted(&server, "tidemill_stage_seconds_count", &labels)
    };
    let closed = json!({
        "gate": "closed", "score": 0.0, "output": { "notice": "none", "hold_seat": false }, "lookups": {},
    });
    let answer = ask(
        &server,
        "flight-notice",
        &json!({ "inputs": flight(2, 1.0) }),
    );
    assert_eq!(result(&answer), &closed);
    let before = ["delay", "plane", "weather", "leg", "model", "decide"].map(stage);
    assert_eq!(before, [1, 0, 0, 0, 0, 0]);
    assert_eq!(watched.reads.load(SeqCst), 0);

    // The score is the decision's, from the model's own at other odds.
    let rows = json!({ "rows": [flight(40, 1.0), flight(3, 1.0), flight(40, 4.0)] });
    let answer = ask(&server, "flight-notice", &rows);
    let results = answer.json["results"].as_array().expect("results");
    assert_eq!(results[1], closed);
    let model = results[0]["outputs"]["probabilities"][1]
        .as_f64()
        .expect("a probability");
    assert_eq!(results[2]["outputs"], results[0]["outputs"]);
    for (result, odds) in [(&results[0], 1.0), (&results[2], 4.0)] {
        let expected = model * odds / (model * odds + 1.0 - model);
        assert_eq!(result["score"].as_f64(), Some(expected));
        let notice = match expected {
            0.5.. => "likely",
            0.25.. => "possible",
            _ => "none",
        };
        assert_eq!(
            result["output"],
            json!({ "notice": notice, "hold_seat": expected >= 0.5 })
        );
    }
    assert_ne!(results[0]["score"], results[2]["score"]);
    let gate = |gate: &str| {
        let labels = ["service=\"flight-notice\"", &format!("gate=\"{gate}\"")];
        counted(&server, "tidemill_gate_rows_total", &labels)
    };
    assert_eq!((gate("open"), gate("closed")), (2, 2));

    // Weather may be absent, an airport may not.
    watched.only("weather", Way::Failing);
    let answer = ask(
        &server,
        "flight-notice",
        &json!({ "inputs": flight(40, 1.0) }),
    );
    assert_eq!(result(&answer)["lookups"]["weather"], json!("failed"));
    // It was not there before, either.
    assert_eq!(result(&answer)["score"], results[0]["score"]);
    watched.only("airport", Way::Failing);
    let answer = ask(
        &server,
        "flight-notice",
        &json!({ "inputs": flight(40, 1.0), "features": true }),
    );
    let mut found = result(&answer).clone();
    assert_eq!(
        found["fallback"]["type"].take(),
        json!("urn:tidemill:problem:store-failed")
    );
    for part in ["fallback", "lookups"] {
        found[part].take();
    }
    let expected = json!({
        "fallback": null, "score": 0.221404, "output": { "notice": "possible", "hold_seat": false },
        "features": null, "lookups": null,
    });
    assert_eq!(found, expected);
    // Features have no fallback.
    let answer = server.post(
        "/v1/services/flight-notice/features",
        json!({ "inputs": flight(40, 1.0) }).to_string(),
    );
    assert_eq!((answer.status, &answer.json["status"]), (503, &json!(503)));

    watched.all(Way::Well);
    let answer = server.post(
        "/v1/services/flight-notice/features",
        json!({ "inputs": flight(40, 1.0) }).to_string(),
    );
    let keys: Vec<&String> = result(&answer)
        .as_object()
        .expect("a result")
        .keys()
        .collect();
    assert_eq!(keys, ["features", "lookups"]);
}

#[test]
fn a_wrong_service_file_is_told_over_http() {
    let answer = flights().post_as(
        "/v1/services",
        "application/toml",
        text("demo/flights/flight-delay.toml")
            .replace("name = \"flight-delay\"", "name = \"gated\"")
            + "\n[gate]\nwhen = \"delay.is_late\"\nscore = 0.0\noutput = { notice = \"none\" }\n",
    );
    let expected = json!({
        "type": "urn:tidemill:problem:refused",
        "title": "Not admitted",
        "status": 422,
        "detail": "service \"gated\" is refused: [gate]: it gives output, but the service has no [output.fields]",
    });
    assert_eq!((answer.status, answer.json), (422, expected));
}

#[test]
fn shared_fields_answer_as_in_each_row() {
    let shared = json!({
        "carrier": "UA", "tailnum": "N14228", "origin": "EWR", "scheduled": "2013-01-01T05:15:00-05:00",
        "departed": "2013-01-01T05:17:00-05:00",
    });
    let dests = ["IAH", "MIA", "SFO", "XXX", "IAH"];
    let own = dests.map(|dest| json!({ "flight_id": dest, "dest": dest }));
    let whole = own.clone().map(|mut row| {
        let fields = shared.as_object().expect("fields").clone();
        row.as_object_mut().expect("a row").extend(fields);
        row
    });
    let server = flights();
    let expected = ask(
        server,
        "flight-delay",
        &json!({ "rows": whole, "features": true }),
    );
    assert_eq!(expected.json["results"].as_array().map(Vec::len), Some(5));
    for body in [
        json!({ "shared": shared, "rows": own, "features": true }),
        json!({ "rows": own, "features": true, "shared": shared }),
    ] {
        let answer = ask(server, "flight-delay", &body);
        assert_eq!(answer.json["results"], expected.json["results"]);
    }
    let twice = ask(
        server,
        "flight-delay",
        &json!({ "shared": shared, "rows": [own[0], whole[1]] }),
    );
    assert_eq!(twice.status, 400);
    assert_eq!(twice.json["field"], json!("rows[1].carrier"));
    assert_eq!(
        twice.json["detail"],
        json!("rows[1].carrier: given in \"shared\" as well")
    );
}

#[test]
fn top_k_gives_the_best_rows_with_their_numbers() {
    let server = Server::start(|_| {});
    for name in ["nan-and-infinities", "refuses"] {
        server.admit(&guest(name));
    }
    server.define(
        "/v1/services",
        "name = \"best\"\nfeatures = [\"x\"]\n[request]\nx = \"f64\"\nluck = { type = \"f64\", default = 1 }\n\
         [[transform]]\nuse = \"nan-and-infinities\"\nas = \"score\"\n\
         [[transform]]\nuse = \"refuses\"\nas = \"luck\"\nbind = { x = \"luck\" }\n\
         [output]\nscore = \"score.y\"\nfields = { luck = \"luck.y\" }\n",
    );
    // Scores: 2, refused, 6, NaN, ∞, 6, −∞, −3.
    let xs = [1.0, 9.0, 5.0, 13.0, 14.0, 5.0, 15.0, -4.0];
    let rows: Vec<Value> = xs
        .iter()
        .map(|x| json!({ "x": x, "luck": if *x == 9.0 { 13 } else { 1 } }))
        .collect();
    let best = |count: usize| {
        let body = json!({ "rows": rows, "top_k": count, "features": true });
        let answer = ask(&server, "best", &body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let results = answer.json["results"].as_array().expect("results");
        let row = |result: &Value| {
            let row = result["row"].as_u64().expect("a number") as usize;
            if row != 1 {
                assert_eq!(result["features"], json!({ "x": xs[row] }));
            }
            row
        };
        results.iter().map(row).collect::<Vec<_>>()
    };
    let all = [4, 2, 5, 0, 7, 6, 1, 3];
    for count in [1, 2, 3, 8, 100] {
        assert_eq!(best(count), all[..count.min(8)]);
    }
    let features = server.post(
        "/v1/services/best/features",
        json!({ "rows": rows, "top_k": 2 }).to_string(),
    );
    assert_eq!(features.status, 400);
    assert_eq!(
        features.json["detail"],
        json!("top_k: features have no order; ask for the /score")
    );
}

#[test]
fn rows_that_trap_are_told_apart_and_may_have_defaults() {
    let server = Server::start(|_| {});
    server.admit(&guest("panics"));
    for (name, default) in [("bold", ""), ("careful", "default = { y = -1 }\n")] {
        server.define(
            "/v1/services",
            &format!(
                "name = \"{name}\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"panics\"\nas = \"guest\"\n{default}\
                 [output]\nscore = \"guest.y\"\n"
            ),
        );
    }
    let rows = json!({ "rows": [{ "x": 1 }, { "x": 13 }, { "x": 0.1 }] });
    let answer = ask(&server, "bold", &rows);
    let results = &answer.json["results"];
    for (at, x) in [(0, json!(1)), (2, json!(0.1))] {
        let alone = ask(&server, "bold", &json!({ "inputs": { "x": x } }));
        assert_eq!(&results[at], result(&alone));
    }
    let alone = ask(&server, "bold", &json!({ "inputs": { "x": 13 } }));
    assert_eq!(alone.status, 500);
    assert_eq!(
        results[1],
        json!({ "error": alone.json, "score": null, "lookups": {} })
    );

    let results = ask(&server, "careful", &rows).json["results"].take();
    let why = alone.json["detail"].clone();
    assert_eq!(
        results[1],
        json!({ "score": -1.0, "lookups": {}, "defaulted": { "guest": why } })
    );
    assert_eq!(results[2], json!({ "score": 1.1, "lookups": {} }));
}

/// What the README shows of the service is in its file, section by section, line by line.
#[test]
fn the_readme_shows_the_service_as_it_is() {
    let readme = text("README.md");
    let (_, section) = readme
        .split_once("## A service in full")
        .expect("the section");
    let (_, block) = section.split_once("```toml\n").expect("a service");
    let (block, _) = block.split_once("```").expect("its end");
    let file = text("demo/flights/flight-notice.toml");
    let sections: Vec<Vec<&str>> = file
        .split("\n\n")
        .map(|part| part.lines().collect())
        .collect();
    for shown in block.trim_end().split("\n\n") {
        let lines: Vec<&str> = shown.lines().collect();
        let is_it = |section: &&Vec<&str>| lines.iter().all(|line| section.contains(line));
        assert!(sections.iter().any(|section| is_it(&section)), "{shown}");
    }
    // And it is one that can be registered.
    let shown: toml::Table = toml::from_str(block).expect("TOML");
    assert_eq!(shown["name"].as_str(), Some("flight-notice"));
}

#[test]
fn the_readmes_request_is_answered() {
    let (_, server) = notices();
    let readme = text("README.md");
    let (_, request) = readme
        .split_once("/v1/services/flight-notice/score -d '")
        .expect("the request");
    let (body, _) = request.split_once("'\n").expect("its end");
    let answer = server.post("/v1/services/flight-notice/score", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["results"].as_array().map(Vec::len), Some(1));
    assert!(
        answer.json["timings"]["steps_us"]["model"].is_u64(),
        "{}",
        answer.text
    );
}
