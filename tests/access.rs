//! Who may do what: roles, tokens, and requests from elsewhere.

use std::path::Path;

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::support::{Answer, Server, guest, started, until};

/// A data folder with an admin's token, made as a platform admin makes the first.
pub fn folder() -> (tempfile::TempDir, String) {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let token = create(&["ada", "--role", "admin", "--data-dir"], data.path());
    (data, token)
}

fn create(args: &[&str], data: &Path) -> String {
    let out = good(tidemill(&["token", "create"]).args(args).arg(data));
    let token = out.trim().to_owned();
    assert!(token.starts_with("tm_") && token.len() > 40, "{out}");
    token
}

/// A server that wants tokens, and one for each role.
fn guarded() -> (Server, [String; 3], tempfile::TempDir) {
    let (data, admin) = folder();
    let path = data.path().to_owned();
    let server = Server::start(|config| {
        config.data_dir = path;
        config.access.required = true;
    });
    let make = |name: &str| {
        let args = [
            "token",
            "create",
            name,
            "--role",
            name,
            "--server",
            server.url(),
        ];
        let out = good(tidemill(&args).env("TIDEMILL_TOKEN", &admin));
        out.trim().to_owned()
    };
    let tokens = [make("client"), make("author"), admin.clone()];
    (server, tokens, data)
}

pub fn with(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

fn kind(answer: &Answer) -> &str {
    let kind = answer.json["type"].as_str().unwrap_or_default();
    kind.rsplit(':').next().unwrap_or_default()
}

#[test]
fn each_role_may_what_its_routes_need() {
    let (server, tokens, _data) = guarded();
    for (request, least) in [
        ("GET /v1/services", "client"),
        ("GET /v1/services/flights", "client"),
        ("POST /v1/services/flights/score", "client"),
        ("POST /v1/services/flights/features", "client"),
        ("GET /v1/transforms", "client"),
        ("HEAD /v1/transforms", "client"),
        ("GET /v1/transforms/good@1.0.0", "client"),
        ("GET /v1/models/m@1", "client"),
        ("GET /v1/views/plane/row?tailnum=N1", "client"),
        ("GET /metrics", "client"),
        ("GET /v1/nothing-is-here", "client"),
        ("POST /v1/nothing-is-here", "client"),
        ("POST /v1/transforms", "author"),
        ("GET /v1/services/flights/labels", "client"),
        ("GET /v1/services/flights/label?id=1", "author"),
        ("POST /v1/services/flights/label-rows", "author"),
        ("POST /v1/services/flights/labels", "admin"),
        ("POST /v1/views", "admin"),
        ("POST /v1/views/plane/rows", "admin"),
        ("POST /v1/models", "admin"),
        ("POST /v1/services", "admin"),
        ("PUT /v1/services", "admin"),
        ("DELETE /v1/transforms/good@1.0.0", "admin"),
        ("GET /v1/tokens", "admin"),
        ("POST /v1/tokens", "admin"),
        ("DELETE /v1/tokens/nobody", "admin"),
        ("GET /v1/audit", "admin"),
        ("GET /v1/audit/verify", "admin"),
    ] {
        let nobody = server.raw(request, &[], "{}");
        assert_eq!(nobody.status, 401, "{request}: {}", nobody.text);
        assert!(
            nobody
                .text
                .contains("www-authenticate: Bearer realm=\"tidemill\"\r\n"),
            "{}",
            nobody.text
        );
        let roles = ["client", "author", "admin"];
        let needed = roles
            .iter()
            .position(|role| *role == least)
            .expect("a role");
        for (at, token) in tokens.iter().enumerate() {
            let answer = server.raw(request, &[&with(token)], "{}");
            let who = roles[at];
            if at < needed {
                assert_eq!(answer.status, 403, "{request} by {who}: {}", answer.text);
                assert_eq!(
                    (kind(&answer), &answer.json["needed"]),
                    ("forbidden", &json!(least))
                );
            } else {
                assert!(
                    ![401, 403, 429, 500, 503].contains(&answer.status),
                    "{request} by {who}: {}",
                    answer.text
                );
            }
        }
    }
    for health in ["GET /healthz", "GET /readyz", "HEAD /healthz"] {
        assert_eq!(server.raw(health, &[], "").status, 200, "{health}");
    }
    let refused = server.raw("POST /v1/models", &[&with(&tokens[1])], "{}");
    assert_eq!(
        refused.json["detail"],
        json!("this needs the role admin, and the token \"author\" has the role author")
    );
}

#[test]
fn wrong_expired_and_revoked_tokens_are_refused_on_loopback_too() {
    let server = Server::start(|_| {});
    assert_eq!(server.get("/v1/services").status, 200, "no token is needed");
    let make = |name: &str, more: &str| {
        let body = format!("{{\"name\": \"{name}\", \"role\": \"client\"{more}}}");
        let made = server.post("/v1/tokens", body);
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["token"].as_str().expect("a token").to_owned()
    };
    let ask = |header: &str| server.raw("GET /v1/services", &[header], "");
    let told = |answer: Answer| {
        assert_eq!((answer.status, kind(&answer)), (401, "unauthenticated"));
        assert!(
            answer.text.contains("error=\"invalid_token\""),
            "{}",
            answer.text
        );
        answer.json["detail"].as_str().expect("a detail").to_owned()
    };
    let good = make("good", "");
    assert_eq!(ask(&with(&good)).status, 200);
    assert_eq!(ask(&format!("authorization: bearer  {good} ")).status, 200);
    // Its role binds, although without a token everything is allowed.
    let refused = server.raw("POST /v1/views", &[&with(&good)], "");
    assert_eq!((refused.status, kind(&refused)), (403, "forbidden"));

    let mut other = good.clone();
    other.pop();
    for wrong in [
        with(&other),
        with(&format!("{good}0")),
        with("tm_"),
        with(&"x".repeat(8000)),
        "authorization: Bearer".to_owned(),
        "authorization: ".to_owned(),
        format!("authorization: {good}"),
        format!("authorization: Basic {good}"),
    ] {
        told(ask(&wrong));
    }
    let gone = make("gone", "");
    let revoked = server.raw("DELETE /v1/tokens/gone", &[], "");
    assert_eq!(
        (revoked.status, &revoked.json["state"]),
        (200, &json!("revoked"))
    );
    assert_eq!(told(ask(&with(&gone))), "the token \"gone\" was revoked");
    let brief = make("brief", ", \"expires_in\": \"1ms\"");
    until("the token expires", || {
        (ask(&with(&brief)).status != 200).then_some(())
    });
    assert_eq!(told(ask(&with(&brief))), "the token \"brief\" has expired");

    let listed = server.get("/v1/tokens");
    let states: Vec<(&str, &str)> = listed.json["tokens"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|token| {
            let text = |name: &str| token[name].as_str().expect("text");
            (text("name"), text("state"))
        })
        .collect();
    assert_eq!(
        states,
        [("brief", "expired"), ("gone", "revoked"), ("good", "valid")]
    );
    assert!(!listed.text.contains("tm_") && !listed.text.contains("digest"));
    let metrics = server.get("/metrics").text;
    for line in [
        "tidemill_access_refused_total{reason=\"unknown\"} 8",
        "tidemill_access_refused_total{reason=\"revoked\"} 1",
        "tidemill_access_refused_total{reason=\"role\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn requests_for_tokens_that_cannot_be_made_are_refused() {
    let server = Server::start(|_| {});
    let ci = r#"{"name": "ci", "role": "author"}"#;
    assert_eq!(server.post("/v1/tokens", ci).status, 201);
    for (body, status, message) in [
        (ci, 409, "a name is never used again"),
        (
            r#"{"name": "x", "role": "root"}"#,
            400,
            "unknown variant `root`",
        ),
        (r#"{"name": "x"}"#, 400, "missing field `role`"),
        (
            r#"{"name": "X Y", "role": "client"}"#,
            400,
            "\"X Y\" is no name",
        ),
        (
            r#"{"name": "loopback", "role": "client"}"#,
            400,
            "choose another",
        ),
        (
            r#"{"name": "x", "role": "client", "expires_in": "soon"}"#,
            400,
            "\"soon\" is no span of time",
        ),
        (
            r#"{"name": "x", "role": "client", "expires_in": "0d"}"#,
            400,
            "over at once",
        ),
        (
            r#"{"name": "x", "role": "client", "expires_in": "99999999999d"}"#,
            400,
            "beyond the year 9999",
        ),
        (
            r#"{"name": "x", "role": "client", "token": "tm_mine"}"#,
            400,
            "unknown field `token`",
        ),
    ] {
        let answer = server.post("/v1/tokens", body);
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(detail.contains(message), "{body}: {detail}");
    }
    let unknown = server.raw("DELETE /v1/tokens/cj", &[], "");
    assert_eq!(
        (unknown.status, &unknown.json["detail"]),
        (404, &json!("there is no token \"cj\"; there is ci"))
    );
}

#[test]
fn without_a_token_nothing_comes_from_another_site() {
    let server = Server::start(|_| {});
    let token = server.post("/v1/tokens", r#"{"name": "web", "role": "client"}"#);
    let token = with(token.json["token"].as_str().expect("a token"));
    for header in [
        "host: evil.example",
        "host: localhost.evil.example:8360",
        "host: 0.0.0.0",
        "origin: http://evil.example",
        "origin: null",
    ] {
        for request in [
            "GET /v1/services",
            "POST /v1/services/x/score",
            "POST /v1/views",
        ] {
            let refused = server.raw(request, &[header], "{}");
            assert_eq!(
                (refused.status, kind(&refused)),
                (403, "not-local"),
                "{request}, {header}: {}",
                refused.text
            );
        }
        let detail = server.raw("GET /v1/services", &[header], "").json["detail"].clone();
        assert!(
            detail
                .as_str()
                .is_some_and(|text| text.contains("tidemill token create")),
            "{detail}"
        );
        assert_eq!(
            server.raw("GET /v1/services", &[header, &token], "").status,
            200,
            "with a token it may: {header}"
        );
    }
    let absolute = server.raw("GET http://evil.example/v1/services", &[], "");
    assert_eq!((absolute.status, kind(&absolute)), (403, "not-local"));
    for header in [
        "host: localhost:8360",
        "host: [::1]:80",
        "origin: http://localhost:3000",
    ] {
        assert_eq!(
            server.raw("GET /v1/services", &[header], "").status,
            200,
            "{header}"
        );
    }
}

#[test]
fn a_server_for_others_wants_a_token_from_everybody() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let serve = |more: &[&str]| {
        let mut command = tidemill(&["serve", "--data-dir"]);
        command.arg(data.path()).args(more);
        command
    };
    let dir = data.path().display().to_string();
    let message = bad(&mut serve(&["--listen", "0.0.0.0:0"]));
    assert!(
        message.contains("0.0.0.0:0 is not loopback")
            && message.contains("tidemill token create NAME --role admin --data-dir")
            && message.contains(&dir),
        "{message}"
    );
    let config = data.path().join("config.toml");
    std::fs::write(&config, "[access]\nrequired = true").expect("it is written");
    let file = config.display().to_string();
    let message = bad(&mut serve(&["--config", &file]));
    assert!(message.contains("access.required is true"), "{message}");
    // A client's token lets nobody in who could make another.
    create(&["scorer", "--role", "client", "--data-dir"], data.path());
    bad(&mut serve(&["--listen", "0.0.0.0:0"]));

    let token = create(&["ada", "--role", "admin", "--data-dir"], data.path());
    let (process, url) = started(&mut serve(&["--listen", "0.0.0.0:0"]));
    let port = url.rsplit(':').next().expect("a port");
    let url = format!("http://127.0.0.1:{port}");
    let list = |token: &str| {
        let mut command = tidemill(&["transform", "list", "--server", &url]);
        command.env("TIDEMILL_TOKEN", token);
        command
    };
    let message = bad(&mut list(""));
    assert!(message.contains("a token is needed here"), "{message}");
    good(&mut list(&token));
    good(
        tidemill(&["transform", "list", "--server", &url, "--token-file"]).arg({
            let file = data.path().join("token");
            std::fs::write(&file, format!("{token}\n")).expect("it is written");
            file
        }),
    );
    let message = bad(&mut list("tm_wrong"));
    assert!(message.contains("the token is not known here"), "{message}");
    let message = bad(&mut tidemill(&[
        "token",
        "list",
        "--server",
        &url,
        "--token-file",
        "absent",
    ]));
    assert!(
        message.contains("cannot read the token's file absent"),
        "{message}"
    );

    let message = bad(tidemill(&["token", "list", "--data-dir"]).arg(data.path()));
    assert!(
        message.contains("while its server runs, leave --data-dir out"),
        "{message}"
    );
    drop(process);
    let revoke = |name: &str| {
        let mut command = tidemill(&["token", "revoke", name, "--data-dir"]);
        command.arg(data.path());
        command
    };
    good(&mut revoke("ada"));
    let listed = good(tidemill(&["token", "list", "--data-dir"]).arg(data.path()));
    assert!(
        listed.contains("ada") && listed.contains("revoked"),
        "{listed}"
    );
    let message = bad(&mut tidemill(&["token", "list", "--data-dir", "absent"]));
    assert!(message.contains("absent is no data folder"), "{message}");
    let message = bad(&mut revoke("adam"));
    assert!(message.contains("there are ada and scorer"), "{message}");
    bad(&mut serve(&["--listen", "0.0.0.0:0"]));
}

#[test]
fn an_upload_that_is_turned_away_is_told_why() {
    let (server, [client, ..], data) = guarded();
    let component = data.path().join("large.wasm");
    std::fs::write(&component, vec![7; 20 << 20]).expect("it is written");
    let message = bad(
        tidemill(&["transform", "register", "--server", server.url()])
            .arg(&component)
            .env("TIDEMILL_TOKEN", &client),
    );
    assert!(message.contains("this needs the role author"), "{message}");
}

#[test]
fn an_author_registers_a_transform_and_a_client_scores() {
    let (server, [client, author, admin], data) = guarded();
    let file = |name: &str, bytes: &[u8]| {
        let path = data.path().join(name);
        std::fs::write(&path, bytes).expect("it is written");
        path.display().to_string()
    };
    let run = |token: &str, args: &[&str]| {
        good(
            tidemill(args)
                .args(["--server", server.url()])
                .env("TIDEMILL_TOKEN", token),
        )
    };
    run(
        &author,
        &["transform", "register", &file("good.wasm", &guest("good"))],
    );
    let service = b"name = \"plus-one\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"good\"\n";
    run(
        &admin,
        &["service", "register", &file("service.toml", service)],
    );
    let out = run(
        &client,
        &["score", "plus-one", "{\"x\": 41}", "--features-only"],
    );
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(answer["results"][0]["features"], json!({ "good.y": 42.0 }));
}
