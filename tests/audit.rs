//! The audit log: who changed what, or tried to.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::access::{folder, with};
use super::command_line::{bad, good, tidemill};
use super::support::{Server, guest, text, until};

fn start(data: &Path) -> Server {
    Server::start(|config| config.data_dir = data.to_owned())
}

fn lines(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/v1/audit?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["lines"].as_array().expect("lines").clone()
}

/// The log's one file.
fn file(data: &Path) -> PathBuf {
    let files: Vec<PathBuf> = std::fs::read_dir(data.join("audit"))
        .expect("the log")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn what_was_done_refused_and_turned_away_is_on_record() {
    let (data, admin) = folder();
    let server = start(data.path());
    let good_guest = guest("good");
    server.admit(&good_guest);
    let again = server.post_as("/v1/transforms", "application/wasm", &good_guest);
    assert_eq!(again.status, 200);
    let refused = server.post_as("/v1/transforms", "application/wasm", "no module");
    assert_eq!(refused.status, 422);
    server.define("/v1/views", &text("demo/cards/customer.toml"));
    let rows = text("demo/cards/customers.ndjson");
    let loaded = server.post_as("/v1/views/customer/rows", "application/x-ndjson", rows);
    assert_eq!(loaded.status, 200);
    let made = server.raw(
        "POST /v1/tokens",
        &[&with(&admin)],
        r#"{"name": "scorer", "role": "client", "expires_in": "90d"}"#,
    );
    let client = made.json["token"].as_str().expect("a token");
    let forbidden = server.raw("POST /v1/services", &[&with(client)], "");
    assert_eq!(forbidden.status, 403);
    let unknown = server.raw("DELETE /v1/views/customer", &[&with("tm_wrong")], "");
    assert_eq!(unknown.status, 401);
    let unlisted = server.raw("PUT /v1/views/customer", &[&with(&admin)], "{}");
    assert_eq!(unlisted.status, 405);
    // What only reads leaves no line, whoever asks.
    server.raw("GET /v1/tokens", &[&with(client)], "");
    server.post("/v1/services/nothing/score", "{}");

    let found: Vec<Value> = lines(&server, "limit=1000")
        .into_iter()
        .map(|line| {
            assert_eq!(line["at"].as_str().map(|at| &at[..2]), Some("20"), "{line}");
            assert_eq!(line["previous"].as_str().map(str::len), Some(64), "{line}");
            let mut shown = json!({});
            for name in ["who", "role", "from", "action", "outcome"] {
                shown[name] = line[name].clone();
            }
            shown
        })
        .collect();
    let line = |who: Value, role: Value, from: &str, action: &str, outcome: &str| json!({ "who": who, "role": role, "from": from, "action": action, "outcome": outcome });
    let local = |action: &str, outcome: &str| {
        line(
            json!("loopback"),
            json!("admin"),
            "127.0.0.1",
            action,
            outcome,
        )
    };
    let ada = |action: &str, outcome: &str| {
        line(json!("ada"), json!("admin"), "127.0.0.1", action, outcome)
    };
    assert_eq!(
        found,
        [
            line(
                json!("data-folder"),
                json!("admin"),
                "local",
                "token.create",
                "ok"
            ),
            local("transform.register", "ok"),
            local("transform.register", "ok"),
            local("transform.register", "refused"),
            local("view.register", "ok"),
            local("view.load", "ok"),
            ada("token.create", "ok"),
            line(
                json!("scorer"),
                json!("client"),
                "127.0.0.1",
                "service.register",
                "forbidden"
            ),
            line(
                Value::Null,
                Value::Null,
                "127.0.0.1",
                "delete",
                "unauthenticated"
            ),
            ada("change", "method-not-allowed"),
        ]
    );
    let details = |query: &str| -> Vec<Value> {
        lines(&server, query)
            .iter()
            .map(|line| json!([line["subject"], line["detail"]]))
            .collect()
    };
    let transforms = details("action=transform");
    assert_eq!(transforms[1][1], json!("unchanged"));
    assert!(
        transforms[2][1]
            .as_str()
            .is_some_and(|text| text.contains("is refused")),
        "{transforms:?}"
    );
    assert_eq!(
        details("action=view.load"),
        [json!(["customer", "300 rows, 300 stored, 0 outdated"])]
    );
    let token = &details("who=ada&action=token.create&subject=scorer")[0];
    assert_eq!(token[0], json!("scorer"));
    assert!(
        token[1]
            .as_str()
            .is_some_and(|text| text.starts_with("role client until 20")),
        "{token}"
    );
    assert_eq!(
        details("action=change")[0][0],
        json!("PUT /v1/views/customer")
    );
    let page = server.get("/v1/audit?limit=2").json;
    let before = page["earlier"].as_u64().expect("there are earlier ones");
    let earlier = lines(&server, &format!("limit=2&before={before}"));
    assert_eq!(earlier[0]["action"], json!("token.create"));
    assert_eq!(earlier[1]["outcome"], json!("forbidden"));
    for (query, field) in [
        ("since=yesterday", "since"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "query"),
        ("whom=ada", "query"),
    ] {
        let answer = server.get(&format!("/v1/audit?{query}"));
        assert_eq!((answer.status, &answer.json["field"]), (400, &json!(field)));
    }

    let table = good(&mut tidemill(&[
        "audit",
        "--since",
        "1h",
        "--who",
        "scorer",
        "--server",
        server.url(),
    ]));
    assert!(
        table.contains("service.register") && table.contains("forbidden"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 3, "{table}");
    let json = good(&mut tidemill(&[
        "audit",
        "--json",
        "--server",
        server.url(),
    ]));
    let written = std::fs::read_to_string(file(data.path())).expect("the log");
    for line in json.lines() {
        assert!(written.lines().any(|kept| kept == line), "{line}");
    }
}

#[test]
fn an_edited_line_breaks_the_chain() {
    let (data, _) = folder();
    let server = start(data.path());
    for n in 1..4 {
        let view = text("demo/cards/customer.toml").replace("customer", &format!("customer-{n}"));
        server.define("/v1/views", &view);
    }
    let verify = || {
        let mut command = tidemill(&["audit", "verify", "--server", server.url()]);
        command.current_dir(data.path());
        command
    };
    let offline = || {
        let mut command = tidemill(&["audit", "verify", "--data-dir"]);
        command.arg(data.path());
        command
    };
    // Each change has two lines, and the token of `folder` too.
    assert!(good(&mut verify()).contains("8 lines, none edited or removed"));
    assert!(good(&mut offline()).contains("8 lines"));
    let path = file(data.path());
    let whole = std::fs::read_to_string(&path).expect("the log");
    let edit = |text: String| std::fs::write(&path, text).expect("it is written");

    edit(whole.replacen("loopback", "somebody", 1));
    for message in [bad(&mut verify()), bad(&mut offline())] {
        assert!(
            message.contains("line 3: it was edited: the line behind it keeps another SHA-256")
                && message.contains(&*path.file_name().expect("a name").to_string_lossy()),
            "{message}"
        );
    }
    let end = whole.trim_end().rfind('\n').expect("lines") + 1;
    edit(whole[..end].to_owned());
    let message = bad(&mut verify());
    assert!(message.contains("line 7: the log ends here"), "{message}");
    edit(whole);
    good(&mut verify());
    let message = bad(&mut tidemill(&["audit", "verify", "--data-dir", "absent"]));
    assert!(message.contains("absent"), "{message}");
}

#[test]
fn what_cannot_be_recorded_is_not_done_and_scoring_goes_on() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = start(data.path());
    server.admit(&guest("good"));
    let service = "name = \"plus-one\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"good\"\n";
    server.define("/v1/services", service);
    let view = text("demo/cards/customer.toml");
    server.define("/v1/views", &view.replace("customer", "client"));
    let (log, away) = (data.path().join("audit"), data.path().join("away"));
    std::fs::rename(&log, &away).expect("it is moved");
    let refused = server.post_as("/v1/views", "application/toml", &view);
    assert_eq!(
        (refused.status, &refused.json["type"]),
        (503, &json!("urn:tidemill:problem:audit-failed"))
    );
    assert_eq!(
        server.get("/v1/views/customer").status,
        404,
        "nothing was done"
    );
    let rows = server.post_as("/v1/views/client/rows", "application/x-ndjson", "{}");
    assert_eq!(rows.status, 503, "{}", rows.text);
    let scored = server.post("/v1/services/plus-one/features", r#"{"inputs": {"x": 41}}"#);
    assert_eq!(scored.status, 200, "{}", scored.text);
    std::fs::rename(&away, &log).expect("it is moved");
    server.define("/v1/views", &view);
    assert_eq!(server.get("/v1/audit/verify").json["bad"], Value::Null);
}

#[test]
fn rows_written_while_the_log_fails_are_recorded_later() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = start(data.path());
    server.define("/v1/views", &text("demo/cards/customer.toml"));
    let rows = text("demo/cards/customers.ndjson");
    let load = || server.post_as("/v1/views/customer/rows", "application/x-ndjson", &rows);
    let (log, away) = (data.path().join("audit"), data.path().join("away"));
    std::fs::rename(&log, &away).expect("it is moved");
    // The first that fails is done already, for rows are not announced; the next one is not begun.
    let first = load();
    let detail = first.json["detail"].as_str().expect("a detail");
    assert!(
        first.status == 503 && detail.contains("answered with 200 OK, but"),
        "{detail}"
    );
    let second = load();
    let detail = second.json["detail"].as_str().expect("a detail");
    assert!(
        second.status == 503 && detail.contains("nothing was changed"),
        "{detail}"
    );
    std::fs::rename(&away, &log).expect("it is moved");
    assert_eq!(load().status, 200);
    assert_eq!(lines(&server, "action=view.load").len(), 2);
    assert_eq!(server.get("/v1/audit/verify").json["bad"], Value::Null);
}

#[test]
fn a_client_that_goes_away_leaves_an_end_too() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = start(data.path());
    let address = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .write_all(b"POST /v1/views HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500\r\n\r\nname")
        .expect("it is sent");
    drop(stream);
    let ended = until("an end is written", || {
        let line = lines(&server, "action=view.register").pop();
        line.filter(|line| line["outcome"] != json!("begun"))
    });
    assert_eq!(ended["outcome"], json!("invalid-request"));
}

#[test]
fn a_flood_of_wrong_tokens_does_not_fill_the_disk() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = start(data.path());
    let mut connection = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent();
    for _ in 0..200 {
        assert_eq!(post(&mut connection, server.url()), 401);
    }
    let found = lines(&server, "limit=1000");
    assert_eq!(found.len(), 10, "{found:?}");
    assert_eq!(
        server.get("/v1/services").status,
        200,
        "loopback is not locked out"
    );
}

fn post(agent: &mut ureq::Agent, url: &str) -> u16 {
    let request = agent
        .post(format!("{url}/v1/views"))
        .header("authorization", "Bearer tm_wrong");
    request.send("").expect("an answer").status().as_u16()
}
