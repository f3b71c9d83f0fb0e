//! Shadows and canaries: other versions for a share of an alias' requests, and what the log says of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::command_line;
use super::compare::compared;
use super::support::{Answer, Over, Server, guest, until};

/// Version 1: `plus.y` and `steady.y` are both `x + 1`, and the score is `plus.y`. A request may have a `channel`.
const FIRST: &str = r#"
name = "shop"
[request]
customer = { type = "text", nullable = true }
x = "f64"
channel = { type = "text", nullable = true }
[[transform]]
use = "good@1"
as = "plus"
[[transform]]
use = "good@1"
as = "steady"
[output]
score = "plus.y"
"#;

/// Version 2: `plus` is another version of its transform, 0.5 more from 10 on; `more` is new, and `channel` not known.
const SECOND: &str = r#"
name = "shop"
[request]
customer = { type = "text", nullable = true }
x = "f64"
note = { type = "text", default = "none" }
[[transform]]
use = "good@2"
as = "plus"
[[transform]]
use = "good@1"
as = "steady"
[[transform]]
use = "good@2"
as = "more"
[output]
score = "plus.y"
"#;

/// A version with one guest in the place of both.
fn with(guest: &str) -> String {
    FIRST.replace("use = \"good@1\"", &format!("use = \"{guest}@1\""))
}

pub fn start(change: impl FnOnce(&mut tidemill::config::Config)) -> Server {
    let server = Server::start(change);
    for name in ["good", "good-changed"] {
        server.admit(&guest(name));
    }
    for version in [FIRST, SECOND] {
        server.define("/v1/services", version);
    }
    server
}

#[track_caller]
pub fn set(server: &Server, settings: Value) {
    let answer = server.put("/v1/services/shop/aliases/stable", settings.to_string());
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

pub fn ask(server: &Server, id: &str, body: &Value) -> Answer {
    server.post(&format!("/v1/services/{id}/score"), body.to_string())
}

#[track_caller]
pub fn version(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["service_version"].as_u64().expect("a version")
}

/// How many requests for a shadow version came to this.
pub fn count(server: &Server, version: u32, outcome: &str) -> u64 {
    let line = format!(
        "tidemill_shadow_requests_total{{outcome=\"{outcome}\",service=\"shop\",version=\"{version}\"}} "
    );
    let metrics = server.get("/metrics").text;
    let count = metrics.lines().find_map(|found| found.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a count"))
}

/// Waits until so many requests for a shadow version have come to something.
pub fn settled(server: &Server, version: u32, requests: u64) {
    let all = || -> u64 {
        let outcomes = ["ok", "failed", "undecoded", "dropped"];
        outcomes
            .map(|outcome| count(server, version, outcome))
            .iter()
            .sum()
    };
    until("each shadow request has come to something", || {
        (all() >= requests).then_some(())
    });
    assert_eq!(all(), requests);
}

#[track_caller]
pub fn good(args: &[&str]) -> String {
    command_line::good(&mut command_line::tidemill(args))
}

#[track_caller]
pub fn bad(args: &[&str]) -> String {
    command_line::bad(&mut command_line::tidemill(args))
}

#[test]
fn shadows_that_fail_change_no_answer() {
    let server = start(|config| {
        config.transforms.fuel = 100_000_000;
        config.shadow.queue_requests = 8;
    });
    for name in ["panics", "endless-loop"] {
        server.admit(&guest(name));
        server.define("/v1/services", &with(name));
    }
    server.define(
        "/v1/services",
        &FIRST.replace("x = \"f64\"", "x = \"f64\"\nmissing = \"i64\""),
    );
    let shadows = [
        json!({ "version": 3 }),
        json!({ "version": 4 }),
        json!({ "version": 5 }),
    ];
    set(&server, json!({ "version": 1, "shadow": shadows }));
    // 13 brings bad luck to the guests: the first traps, the second never ends.
    let unlucky = json!({ "inputs": { "x": 13, "customer": "c" } });
    let several = json!({ "rows": [{ "x": 13 }, { "x": 13 }] });
    const REQUESTS: u64 = 40;
    for request in 0..REQUESTS {
        let body = match request % 2 {
            0 => &unlucky,
            _ => &several,
        };
        let (answer, alone) = (ask(&server, "shop", body), ask(&server, "shop@1", body));
        assert_eq!((version(&answer), version(&alone)), (1, 1));
        assert_eq!(answer.json["results"], alone.json["results"]);
    }
    for version in [3, 4, 5] {
        settled(&server, version, REQUESTS);
        assert_eq!(count(&server, version, "ok"), 0);
    }
    assert!(count(&server, 3, "failed") > 0 && count(&server, 4, "failed") > 0);
    assert_eq!(
        count(&server, 5, "undecoded") + count(&server, 5, "dropped"),
        REQUESTS
    );
    assert!(count(&server, 5, "undecoded") > 0);
    // The second takes longer than requests take to come, so there was no place for all.
    assert!(count(&server, 4, "dropped") > 0);
    // Nobody's requests failed.
    let metrics = server.get("/metrics").text;
    let errors = "tidemill_requests_total{kind=\"any\",outcome=\"error\",service=\"shop\"";
    let errors: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with(errors))
        .collect();
    assert_eq!(errors.len(), 5);
    assert!(errors.iter().all(|line| line.ends_with(" 0")), "{errors:?}");
}

#[test]
fn a_shadow_that_is_late_sees_what_the_answer_saw() {
    let server = Server::start(|config| {
        config.transforms.fuel = 300_000_000;
    });
    for name in ["good", "endless-loop"] {
        server.admit(&guest(name));
    }
    server.define(
        "/v1/views",
        "name = \"limit\"\nkey = \"customer\"\n[columns]\ncustomer = \"text\"\namount = { type = \"f64\", nullable = true }\n",
    );
    let service = |doc: &str, guest: &str| {
        format!(
            "name = \"shop\"\ndoc = \"{doc}\"\nfeatures = [\"limit.amount\"]\n[request]\ncustomer = \"text\"\nx = \"f64\"\n\
             [[lookup]]\nview = \"limit\"\nkey = \"customer\"\n\
             [[transform]]\nuse = \"{guest}@1\"\nas = \"plus\"\n[output]\nscore = \"plus.y\"\n"
        )
    };
    for (doc, guest) in [
        ("first", "good"),
        ("second", "good"),
        ("slow", "endless-loop"),
    ] {
        server.define("/v1/services", &service(doc, guest));
    }
    let load = |amount: f64| {
        let row = json!({ "customer": "c", "amount": amount }).to_string();
        let loaded = server.post_as("/v1/views/limit/rows", "application/x-ndjson", row);
        assert_eq!(loaded.status, 200, "{}", loaded.text);
    };
    load(1.0);
    // The one thread first has the shadow that takes its time.
    set(
        &server,
        json!({ "version": 1, "shadow": [{ "version": 3 }, { "version": 2 }] }),
    );
    let body = json!({ "inputs": { "customer": "c", "x": 13 } });
    assert_eq!(version(&ask(&server, "shop", &body)), 1);
    load(2.0);
    settled(&server, 2, 1);
    assert_eq!(
        (count(&server, 2, "ok"), count(&server, 3, "failed")),
        (1, 1)
    );
    let found = compared(&server.log(), &[]);
    assert_eq!(found["pairs"], 1);
    let features = found["features"].as_array().expect("features");
    let of = |name: &str| features.iter().find(|feature| feature["name"] == name);
    assert_eq!(
        of("limit.amount").expect("it is there")["differ"],
        0.0,
        "{found}"
    );
    assert_eq!(of("limit.amount").expect("it is there")["null_to"], 0.0);
}

/// As the documentation of the hash has it.
fn place(customer: &str) -> f64 {
    let digest = Sha256::digest([b"shop\0", customer.as_bytes()].concat());
    let first = u64::from_be_bytes(digest[..8].try_into().expect("eight bytes"));
    (first >> 11) as f64 / 9_007_199_254_740_992.0
}

#[test]
fn a_canary_answers_the_entities_that_the_hash_says() {
    let server = start(|_| {});
    let customers: Vec<String> = (0..200).map(|nth| format!("c-{nth}")).collect();
    let canary = |share: f64| json!({ "version": 1, "canary": { "version": 2, "share": share, "key": "customer" } });
    let mut before: Vec<bool> = vec![false; customers.len()];
    for share in [0.0, 0.05, 0.3, 0.31, 1.0] {
        set(&server, canary(share));
        let mut now = Vec::new();
        for customer in &customers {
            let body = json!({ "inputs": { "customer": customer, "x": 10 } });
            let answer = ask(&server, "shop", &body);
            let chosen = place(customer) < share;
            assert_eq!(
                version(&answer),
                1 + u64::from(chosen),
                "{customer} at {share}"
            );
            // It is the version it says it is.
            let score = [11.0, 11.5][usize::from(chosen)];
            assert_eq!(answer.json["results"][0]["score"], score);
            now.push(chosen);
        }
        assert!(before.iter().zip(&now).all(|(before, now)| !before || *now));
        before = now;
    }
    assert!(before.iter().all(|chosen| *chosen));

    set(&server, canary(0.3));
    let (inside, outside): (Vec<_>, Vec<_>) =
        customers.iter().partition(|customer| place(customer) < 0.3);
    let row = |customer: &str| json!({ "customer": customer, "x": 1 });
    let (inside, outside) = (row(inside[0]), row(outside[0]));
    for (body, expected) in [
        // A request goes by its first row, also where it is shared.
        (json!({ "rows": [inside, outside] }), 2),
        (json!({ "rows": [outside, inside] }), 1),
        (
            json!({ "shared": { "customer": inside["customer"] }, "rows": [{ "x": 1 }, { "x": 2 }] }),
            2,
        ),
        // No entity.
        (json!({ "inputs": { "customer": null, "x": 1 } }), 1),
        (json!({ "inputs": { "x": 1 } }), 1),
    ] {
        assert_eq!(version(&ask(&server, "shop", &body)), expected, "{body}");
        let features = server.post("/v1/services/shop/features", body.to_string());
        assert_eq!(version(&features), expected, "{body}");
        assert_eq!(version(&ask(&server, "shop@1", &body)), 1);
    }
    // What the canary does not read is the canary's to refuse, as it would be once it is promoted.
    let mut told = inside.clone();
    told["channel"] = json!("web");
    let refused = ask(&server, "shop", &json!({ "inputs": told }));
    assert_eq!(
        (refused.status, &refused.json["field"]),
        (400, &json!("inputs.channel"))
    );
    let metrics = server.get("/metrics").text;
    let counted = |version: u32, kind: &str, outcome: &str| {
        let line = format!(
            "tidemill_requests_total{{kind=\"{kind}\",outcome=\"{outcome}\",service=\"shop\",version=\"{version}\"}} "
        );
        let count = metrics.lines().find_map(|found| found.strip_prefix(&line));
        count
            .expect("it is counted")
            .parse::<u64>()
            .expect("a count")
    };
    assert_eq!(
        (counted(1, "any", "error"), counted(2, "any", "error")),
        (0, 1)
    );
    assert!(counted(2, "score", "ok") > 200 && counted(2, "features", "ok") == 2);
}

#[test]
fn settings_change_while_requests_run() {
    let server = start(|_| {});
    set(&server, json!({ "version": 1 }));
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let seen: Vec<[u64; 2]> = std::thread::scope(|scope| {
        let over = Over(&done);
        let asking = [0, 1].map(|thread| {
            let (server, done, asked) = (&server, &done, &asked);
            scope.spawn(move || {
                let mut seen = [0; 2];
                for nth in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let customer = format!("c-{thread}-{}", nth % 50);
                    let body = json!({ "inputs": { "customer": customer, "x": 10 } });
                    let answer = ask(server, "shop", &body);
                    let version = version(&answer) as usize;
                    assert_eq!(
                        answer.json["results"][0]["score"],
                        [11.0, 11.5][version - 1]
                    );
                    seen[version - 1] += 1;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                seen
            })
        });
        for round in 0..30 {
            let share = f64::from(round % 4) / 4.0;
            let canary = json!({ "version": 2, "share": share, "key": "customer" });
            let settings = match round % 3 {
                0 => json!({ "version": 1, "canary": canary }),
                1 => json!({ "version": 1, "shadow": [{ "version": 2, "share": share }] }),
                _ => json!({ "version": 2, "shadow": [{ "version": 1 }] }),
            };
            set(&server, settings);
            // Some requests under each.
            let before = asked.load(Ordering::Relaxed);
            until("some requests are answered", || {
                assert!(!asking.iter().any(ScopedJoinHandle::is_finished));
                (asked.load(Ordering::Relaxed) >= before + 3).then_some(())
            });
        }
        drop(over);
        asking
            .map(|thread| thread.join().expect("every answer is whole"))
            .into()
    });
    let [by_first, by_second] = [0, 1].map(|at| seen.iter().map(|seen| seen[at]).sum::<u64>());
    assert!(by_first > 0 && by_second > 0, "{seen:?}");
    let shown = server.get("/v1/services/shop/aliases/stable").json;
    let history = shown["history"].as_array().expect("a history");
    assert_eq!(history.len(), 31);
    assert_eq!(
        shown["settings"],
        json!({ "version": 2, "shadow": [{ "version": 1, "share": 1.0 }] })
    );
    assert_eq!(
        history[30]["from"],
        json!({ "version": 1, "shadow": [{ "version": 2, "share": 0.0 }] })
    );

    // What an alias names in any way stays.
    let kept = server.delete("/v1/services/shop@1");
    assert_eq!(kept.status, 409);
    let detail = kept.json["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("is used by alias stable (shadow)"),
        "{detail}"
    );
}

#[test]
fn settings_that_cannot_be_are_refused_in_a_sentence() {
    let server = start(|_| {});
    let third = SECOND
        .replace("customer = { type = \"text\", nullable = true }\n", "")
        .replace("[output]\nscore = \"plus.y\"\n", "");
    server.define("/v1/services", &third);
    server.define(
        "/v1/services",
        &SECOND.replace("[output]\nscore = \"plus.y\"\n", ""),
    );
    server.define("/v1/services", &SECOND.replace("\"none\"", "\"nothing\""));
    assert_eq!(
        server
            .post(
                "/v1/services/shop@5/retire",
                "{\"reason\": \"it was wrong\"}"
            )
            .status,
        200
    );
    let canary = |version: u32, share: f64, key: Value| json!({ "version": 1, "canary": { "version": version, "share": share, "key": key } });
    let shadow = |shadows: Value| json!({ "version": 1, "shadow": shadows });
    for (settings, status, expected) in [
        (
            canary(2, 1.5, json!("customer")),
            400,
            "canary.share: 1.5 is no share; it is from 0 to 1, 0.05 for 5 %",
        ),
        (
            canary(2, -0.1, json!("customer")),
            400,
            "canary.share: -0.1 is no share",
        ),
        (
            canary(1, 0.1, json!("customer")),
            400,
            "canary.version: 1 is the version that the alias points at itself; name another",
        ),
        (
            canary(9, 0.1, json!("customer")),
            404,
            "there is no service version \"shop@9\"; there are shop@1, shop@2, shop@3, shop@4 and shop@5",
        ),
        (
            canary(5, 0.1, json!("customer")),
            409,
            "service shop@5 was retired by",
        ),
        (
            canary(2, 0.1, json!("client")),
            400,
            "canary.key: a request to shop@1 has no \"client\"; there are customer, x and channel",
        ),
        (
            canary(2, 0.1, json!(["customer", "channel"])),
            400,
            "canary.key: a request to shop@2 has no \"channel\"; there are customer, x and note",
        ),
        (
            canary(3, 0.1, json!("customer")),
            400,
            "canary.key: a request to shop@3 has no \"customer\"; there are x and note",
        ),
        (
            canary(2, 0.1, json!("x")),
            400,
            "canary.key: \"x\" of shop@1 is f64; what names an entity is text, i64, bool or timestamp",
        ),
        (
            canary(2, 0.1, json!([])),
            400,
            "canary.key: name the request field, or fields, that say which entity it is",
        ),
        (
            canary(4, 0.1, json!("customer")),
            400,
            "canary.version: shop@4 has neither a model nor an [output], so it cannot answer what shop@1 answers",
        ),
        (
            json!({ "version": 1, "canary": { "version": 2 } }),
            400,
            "body: missing field `share`; its form is {\"version\": 3,",
        ),
        (
            json!({ "version": 1, "canry": {} }),
            400,
            "body: unknown field `canry`",
        ),
        (
            shadow(json!([{ "version": 2, "share": 2 }])),
            400,
            "shadow[0].share: 2 is no share",
        ),
        (
            shadow(json!([{ "version": 2 }, { "version": 1 }])),
            400,
            "shadow[1].version: 1 is the version that the alias points at itself",
        ),
        (
            shadow(json!([{ "version": 2 }, { "version": 2 }])),
            400,
            "shadow[1].version: shop@2 is a shadow already",
        ),
        (
            shadow(json!([{ "version": 7 }])),
            404,
            "there is no service version \"shop@7\"",
        ),
        (
            shadow(json!([{ "version": 5 }])),
            409,
            "service shop@5 was retired by",
        ),
        (shadow(json!([{}])), 400, "body: missing field `version`"),
        (shadow(json!(4)), 400, "body: invalid type"),
    ] {
        let answer = server.put("/v1/services/shop/aliases/stable", settings.to_string());
        assert_eq!(answer.status, status, "{settings}: {}", answer.text);
        let detail = answer.json["detail"].as_str().expect("a detail");
        assert!(
            detail.starts_with(expected) || detail.contains(expected),
            "{settings}: {detail}"
        );
        assert!(!detail.contains('\n'), "{detail}");
    }
    assert_eq!(
        server.get("/v1/services/shop/aliases").json["aliases"],
        json!([])
    );
}

#[test]
fn from_the_command_line() {
    let server = start(|_| {});
    let url = ["--server", server.url()];
    let run = |args: &[&str]| good(&[&["service"], args, &url].concat());
    let refused = |args: &[&str]| bad(&[&["service"], args, &url].concat());

    let message = refused(&["shadow", "shop", "2"]);
    assert!(
        message.contains("service shop has no alias stable")
            && message.contains("tidemill service promote shop VERSION"),
        "{message}"
    );
    let message = refused(&[
        "canary", "shop", "2", "--share", "0.1", "--key", "customer", "--alias", "next",
    ]);
    assert!(
        message.contains("promote shop VERSION --alias next"),
        "{message}"
    );
    run(&["promote", "shop", "1"]);

    assert_eq!(
        run(&["shadow", "shop", "2", "--share", "0.1"]),
        "shop@stable is 1, shadow 2 for 10 %\n"
    );
    assert_eq!(
        run(&["shadow", "shop", "2"]),
        "shop@stable is 1, shadow 2\n"
    );
    let message = refused(&["canary", "shop", "2", "--share", "0.05"]);
    assert!(message.contains("--key customer_id"), "{message}");
    assert_eq!(
        run(&[
            "canary", "shop", "2", "--share", "0.07", "--key", "customer", "--reason", "a try"
        ]),
        "shop@stable is 1, canary 2 for 7 % by customer, shadow 2\n"
    );
    assert_eq!(
        run(&["canary", "shop", "2", "--share", "0.2"]),
        "shop@stable is 1, canary 2 for 20 % by customer, shadow 2\n"
    );
    let shown = run(&["aliases", "shop"]);
    assert!(
        shown.contains("1, canary 2 for 7 % by customer, shadow 2") && shown.contains("a try"),
        "{shown}"
    );
    assert!(
        refused(&["canary", "shop", "1", "--off"])
            .contains("shop@1 is not the canary of shop@stable")
    );
    assert!(
        refused(&["shadow", "shop", "1", "--off"]).contains("shop@1 is no shadow of shop@stable")
    );
    assert!(refused(&["canary", "shop", "2", "--share", "7"]).contains("7 is no share"));
    assert_eq!(
        run(&["shadow", "shop", "2", "--off"]),
        "shop@stable is 1, canary 2 for 20 % by customer\n"
    );

    // The canary that is promoted is no canary any more; a rollback brings back all that was.
    assert_eq!(
        run(&["promote", "shop", "2"]),
        "shop@stable is shop@2, and was shop@1\n"
    );
    assert_eq!(
        run(&["rollback", "shop"]),
        "shop@stable is shop@1, canary 2 for 20 % by customer, and was shop@2\n"
    );
    assert_eq!(run(&["canary", "shop", "2", "--off"]), "shop@stable is 1\n");
    // What has nothing to do with the promoted version stays.
    server.define("/v1/services", &SECOND.replace("\"none\"", "\"nothing\""));
    run(&["shadow", "shop", "2"]);
    run(&["shadow", "shop", "3"]);
    assert_eq!(
        run(&["promote", "shop", "3"]),
        "shop@stable is shop@3, shadow 2, and was shop@1\n"
    );
}
