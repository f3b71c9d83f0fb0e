//! What strangers send: names that climb out of a folder, bodies packed and endless, heads a byte at a time, more
//! connections than anybody needs. Each gets a problem or a closed door, and the next request its answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::support::{Raw, Server, serving, started, until};

/// A few bytes that unpack to many are never unpacked.
#[test]
fn bodies_that_are_packed_are_refused_by_the_name_of_their_encoding() {
    let server = Server::with_next(|_| {});
    // `{"inputs":{"x":1}}` by gzip; what matters is that nobody looks.
    let packed = "\u{1f}packed";
    for path in [
        "/v1/services/next/features",
        "/v1/services/next/score",
        "/v1/transforms",
        "/v1/views",
        "/v1/views/none/rows",
        "/v1/services/next/labels",
        "/v1/training-sets",
        "/v1/models",
        "/v1/tokens",
    ] {
        for encoding in ["gzip", "br", "deflate, gzip", "zstd", "GZIP"] {
            let header = format!("content-encoding: {encoding}");
            let answer = server.raw(
                &format!("POST {path}"),
                &["content-type: application/json", &header],
                packed,
            );
            assert_eq!(answer.status, 415, "{path}: {}", answer.text);
            let detail =
                format!("content-encoding {encoding} is not read here; send the body as it is");
            assert!(answer.text.contains(&detail), "{}", answer.text);
        }
    }
    for encoding in ["content-encoding: identity", "content-encoding:"] {
        let answer = server.raw(
            "POST /v1/services/next/features",
            &["content-type: application/json", encoding],
            "{\"inputs\":{\"x\":1}}",
        );
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    server.goes_on();
}

/// What is read by its type is refused under another; what says itself what it is, is not: `curl --data-binary` calls all
/// it sends a form.
#[test]
fn content_types_that_nobody_reads_are_refused() {
    let server = Server::with_next(|_| {});
    for (path, kind, wanted) in [
        (
            "/v1/views",
            "application/xml",
            "application/toml or application/json",
        ),
        (
            "/v1/services",
            "text/html; charset=utf-8",
            "application/toml or application/json",
        ),
        (
            "/v1/services/next/training-rows",
            "text/csv",
            "application/vnd.apache.parquet",
        ),
        (
            "/v1/services/next/label-rows",
            "text/csv",
            "application/vnd.apache.parquet",
        ),
    ] {
        let header = format!("content-type: {kind}");
        let answer = server.raw(&format!("POST {path}"), &[&header], "<a/>");
        let named = kind.split(';').next().unwrap_or(kind);
        let expected = json!({
            "type": "urn:tidemill:problem:unsupported-media-type",
            "title": "Unsupported media type",
            "status": 415,
            "detail": format!("content-type {named} is not read here; send {wanted}"),
        });
        assert_eq!(answer.json, expected, "{path} {kind}");
        assert_eq!(answer.status, 415);
    }
    // Read all the same, and refused for what they are.
    for (path, kind) in [
        ("/v1/services", "application/x-www-form-urlencoded"),
        ("/v1/models", "application/zip"),
        ("/v1/transforms", "text/html"),
    ] {
        let header = format!("content-type: {kind}");
        let answer = server.raw(&format!("POST {path}"), &[&header], "<a/>");
        let refused = (answer.status, &answer.json["type"]);
        let expected = (422, &json!("urn:tidemill:problem:refused"));
        assert_eq!(refused, expected, "{path} {kind}: {}", answer.text);
    }
    server.goes_on();
}

/// Answered before its body has come, a client sends it all the same: what comes behind it is another request.
#[test]
fn a_body_that_nobody_wants_costs_no_connection() {
    let server = Server::with_next(|_| {});
    let mut raw = Raw::connect(&server);
    for _ in 0..3 {
        raw.send("POST /v1/nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n");
        let answer = raw.answer();
        assert_eq!(answer.status, 404, "{}", answer.head);
        raw.send("{}");
    }
    raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
}

/// Names that climb out, or are none, in every place of every route that takes one.
#[test]
fn no_name_leads_out_of_the_data_folder() {
    let server = Server::with_next(|_| {});
    let outside = server.data().parent().expect("a folder").to_owned();
    let before = listing(&outside);
    let inside = listing(server.data());
    let names = [
        "..%2f..%2fetc%2fpasswd",
        "..%2F",
        "%2e%2e%2f%2e%2e%2fescaped",
        "..%5c..%5cescaped",
        "%00",
        "good%00.wasm",
        "%2fetc%2fpasswd",
        "..",
        ".",
        "a%0d%0ab",
        "%ff%fe",
        "%c0%ae%c0%ae%2f",
        "%252e%252e%252fescaped",
        "next@..%2f1",
        "next@99999999999999999999",
        "next@-1",
        "%f0%9f%a6%80",
    ];
    let routes: Vec<String> = super::support::document()["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .filter(|route| route.contains('{'))
        .cloned()
        .collect();
    assert!(routes.len() > 25, "{routes:?}");
    for route in &routes {
        for (at, name) in names.into_iter().enumerate() {
            let target = filled(route, name);
            for (method, kind, body) in [
                ("GET", "", ""),
                ("DELETE", "", ""),
                ("PUT", "application/json", "{\"version\":1}"),
                ("POST", "application/json", "{\"inputs\":{\"x\":1}}"),
                ("POST", "application/x-ndjson", "{\"x\":1}\n"),
            ] {
                if at >= 5 && kind != "application/json" && method != "GET" {
                    // The other ways have been tried with five names.
                    continue;
                }
                let header = format!("content-type: {kind}");
                let answer = server.raw(&format!("{method} {target}"), &[&header], body);
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {target}: {}",
                    answer.text
                );
                assert_ne!(answer.status, 401, "{}", answer.text);
            }
        }
    }
    server.goes_on();
    assert_eq!(listing(&outside), before);
    // What may come beside what was there: lines about refused changes, and the log of what was answered.
    for name in listing(server.data()) {
        let known = inside.contains(&name) || name.starts_with("audit") || name.starts_with("log");
        assert!(known, "{name} is new");
    }
}

/// And in what is sent: each definition is refused, by the name that is none.
#[test]
fn definitions_cannot_be_named_so_either() {
    let server = Server::with_next(|_| {});
    let folders =
        ["artifacts", "compiled", "log", "audit"].map(|folder| server.files_in(folder).len());
    for name in [
        "../up",
        "a/b",
        "..",
        "",
        "a\\b",
        "a\nb",
        "é",
        "a b",
        "x".repeat(1_000).as_str(),
    ] {
        let quoted = json!(name).to_string();
        let view = format!("name = {quoted}\nkey = \"id\"\n[columns]\nid = \"i64\"\nx = \"f64\"\n");
        let service = format!("name = {quoted}\nfeatures = [\"x\"]\n[request]\nx = \"f64\"\n");
        for (path, text) in [("/v1/views", view), ("/v1/services", service)] {
            let answer = server.post_as(path, "application/toml", &text);
            assert_eq!(answer.status, 422, "{path} {name:?}: {}", answer.text);
        }
        let token = json!({ "name": name, "role": "client" }).to_string();
        let answer = server.post("/v1/tokens", token);
        assert!(
            matches!(answer.status, 400 | 422),
            "{name:?}: {}",
            answer.text
        );
    }
    assert_eq!(server.get("/v1/views").json, json!({ "views": [] }));
    let now = ["artifacts", "compiled", "log"].map(|folder| server.files_in(folder).len());
    assert_eq!(now, folders[..3]);
    server.goes_on();
}

fn filled(route: &str, name: &str) -> String {
    let parts = route.split('/').map(|part| match part.starts_with('{') {
        true => name,
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The names in a folder.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Other tests' folders come and go beside ours.
        if folder.ends_with("tmp") && name.starts_with(".tmp") {
            continue;
        }
        found.push(name);
    }
    found.sort();
    found
}

#[test]
fn heads_beyond_measure_are_refused_and_closed() {
    let server = Server::with_next(|_| {});
    let long = "x".repeat(200_000);
    let many: String = (0..5_000).map(|at| format!("h{at}: x\r\n")).collect();
    for head in [
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
        format!("{long} / HTTP/1.1\r\n\r\n"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
    ] {
        let mut raw = Raw::connect(&server);
        // The door may be closed before all of it is through, and the answer lost with it.
        let _ = raw.0.write_all(head.as_bytes());
        let text = raw.rest();
        let refused =
            text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.0 4");
        assert!(refused, "{text:.200}");
    }
    server.goes_on();
}

/// Two lengths, or a length and chunks: what another server in front might read otherwise.
#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let server = Server::with_next(|_| {});
    let body = "{\"inputs\":{\"x\":1}}";
    let length = body.len();
    for lines in [
        format!("content-length: {length}\r\ncontent-length: {}", length + 1),
        format!("content-length: -{length}"),
        format!("content-length: +{length}"),
        "content-length: 18446744073709551616".to_owned(),
        "transfer-encoding: gzip".to_owned(),
        "transfer-encoding: chunked, identity".to_owned(),
    ] {
        let mut raw = Raw::connect(&server);
        raw.send(format!(
            "POST /v1/services/next/features HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n\r\n{body}"
        ));
        let answer = raw.rest();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{lines}: {answer}"
        );
    }
    server.goes_on();
}

#[test]
fn chunks_without_end_are_cut_at_the_limit() {
    let server = Server::with_next(|config| config.server.body_limit = 1 << 20);
    let mut raw = Raw::connect(&server);
    raw.send(
        "POST /v1/services/next/features HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(1 << 16));
    let pause = Some(Duration::from_millis(10));
    raw.0.set_write_timeout(pause).expect("a pause");
    raw.0.set_read_timeout(pause).expect("a pause");
    until("it is answered", || {
        let _ = raw.0.write_all(chunk.as_bytes());
        raw.0.peek(&mut [0]).ok()
    });
    raw.0.set_read_timeout(None).expect("no pause");
    let answer = raw.answer();
    assert_eq!(answer.status, 413, "{}", answer.head);
    server.goes_on();
}

/// A byte now and then keeps no connection open: a head has its time as a whole.
#[test]
fn a_head_that_drips_is_cut() {
    let server = Server::with_next(|config| config.server.idle_seconds = 1);
    let mut raw = Raw::connect(&server);
    raw.send("GET /healthz HTTP/1.1\r\nx: ");
    let pause = Some(Duration::from_millis(10));
    raw.0.set_read_timeout(pause).expect("a pause");
    until("it is cut", || {
        let sent = raw.0.write_all(b"x");
        let mut rest = [0; 64];
        (sent.is_err() || raw.0.read(&mut rest).is_ok()).then_some(())
    });
    server.goes_on();
}

/// Connections that ask for nothing, half of them in the middle of a head, in the limit of files that this machine sets:
/// whoever comes in the meantime gets an answer. The server is a process of its own, so that a limit holds one end of
/// each alone. Ten thousand: `TIDEMILL_IDLE=10000 cargo test --test end_to_end ten_thousand -- --nocapture`, with `ulimit -n 20000`.
#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_idle_connections_hold_up_nobody() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let config = data.path().join("config.toml");
    // Nobody is cut for idleness while they are counted.
    std::fs::write(
        &config,
        "[server]\nconnections = 10500\nidle_seconds = 600\n",
    )
    .expect("it is written");
    let (process, url) = started(serving(data.path()).arg("--config").arg(&config));
    let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    // Other tests in this process have files too.
    let wanted = match std::env::var("TIDEMILL_IDLE") {
        Ok(text) => text.parse().expect("TIDEMILL_IDLE is a number"),
        Err(_) => 10_000.min(files / 2),
    };
    assert!(wanted >= 300, "{files} files are too few to test with");
    // A connection that comes anew each time, beside those.
    let answered = || {
        let agent: ureq::Agent = ureq::Agent::new_with_defaults();
        let mut found = agent
            .get(format!("{url}/v1/services"))
            .call()
            .expect("an answer");
        let text = found.body_mut().read_to_string().expect("text");
        assert_eq!(text, "{\"services\":[]}");
    };
    let address = url.strip_prefix("http://").expect("a URL");
    let mut idle = Vec::new();
    for at in 0..wanted {
        let mut stream = TcpStream::connect(address).expect("a connection");
        if at % 2 == 0 {
            stream.write_all(b"POST /v1/ser").expect("it is taken");
        }
        idle.push(stream);
        if at % 100 == 0 {
            answered();
        }
    }
    answered();
    // They are there, and are the server's: none of them was turned away.
    for stream in &mut idle {
        stream.set_nonblocking(true).expect("it does not wait");
        let silent = stream.read(&mut [0]).expect_err("nothing was sent");
        assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.expect("the process");
    let memory = status.lines().find(|line| line.starts_with("VmRSS:"));
    eprintln!(
        "{} idle connections; the server's {}",
        idle.len(),
        memory.unwrap_or("memory?")
    );
}
