//! What breaks beside the guests: files that change under a server that is down, a disk that is full, a log that has no
//! room. What can be answered is answered; what cannot be is said in words; what was acknowledged is there.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{
    Process, Raw, Server, files, good, guest, send, serve, serving, signal, started, stop, until,
};

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn post(url: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    send("POST", &format!("{url}{path}"), kind, body)
}

#[track_caller]
fn made(answer: (u16, Value)) {
    assert!(matches!(answer.0, 200 | 201), "{answer:?}");
}

/// The guest `good`, and the service `next` that runs it.
fn with_next(url: &str) {
    made(post(
        url,
        "/v1/transforms",
        "application/wasm",
        &guest("good"),
    ));
    let toml = service("next", "good");
    let toml = toml.as_bytes();
    made(post(url, "/v1/services", "application/toml", toml));
}

/// The features of a service for x = 41, and the status.
fn ask(url: &str, service: &str) -> (u16, Value) {
    let path = format!("/v1/services/{service}/features");
    let (status, answer) = post(url, &path, "application/json", b"{\"inputs\":{\"x\":41}}");
    match status {
        200 => (200, answer["results"][0]["features"].clone()),
        _ => (status, answer),
    }
}

fn service(name: &str, uses: &str) -> String {
    format!(
        "name = \"{name}\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"{uses}\"\nas = \"guest\"\n"
    )
}

/// Turns one bit in every 4 KiB of a file.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).expect("it is read");
    assert!(!bytes.is_empty(), "{}", path.display());
    for at in (bytes.len() / 2 % 4096..bytes.len()).step_by(4096) {
        bytes[at] ^= 0x10;
    }
    fs::write(path, bytes).expect("it is written");
}

#[test]
fn a_spoilt_artifact_is_named_hides_nothing_and_may_come_back() {
    let data = folder();
    let (server, url) = serve(data.path());
    let spoilt = guest("good");
    for bytes in [&spoilt, &guest("refuses")] {
        made(post(&url, "/v1/transforms", "application/wasm", bytes));
    }
    for (name, uses) in [("broken", "good"), ("whole", "refuses")] {
        let toml = service(name, uses);
        made(post(
            &url,
            "/v1/services",
            "application/toml",
            toml.as_bytes(),
        ));
    }
    let (_, shown) = send("GET", &format!("{url}/v1/transforms/good@1.0.0"), "", b"");
    let digest = shown["digest"].as_str().expect("a digest");
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest).to_owned();
    stop(server);

    let artifact = data.path().join("artifacts").join(&digest);
    spoil(&artifact);
    let (server, url) = serve(data.path());
    let (_, ready) = send("GET", &format!("{url}/readyz"), "", b"");
    let ready = ready.to_string();
    assert!(
        ready.contains("broken") && ready.contains("has been changed"),
        "{ready}"
    );
    assert_eq!(ask(&url, "whole"), (200, json!({ "guest.y": 42.0 })));
    let (status, problem) = ask(&url, "broken");
    assert!(status >= 500, "{problem}");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("has been changed"), "{detail}");
    stop(server);

    // The original is put back by whoever has it.
    fs::write(&artifact, &spoilt).expect("it is written");
    let (server, url) = serve(data.path());
    assert_eq!(ask(&url, "broken"), (200, json!({ "guest.y": 42.0 })));
    stop(server);
}

#[test]
fn a_spoilt_compiled_file_is_compiled_again() {
    let data = folder();
    let (server, url) = serve(data.path());
    with_next(&url);
    stop(server);
    let folder = data.path().join("compiled");
    let compiled = || {
        let path = files(&folder, ".cwasm").pop().expect("a compiled file");
        fs::read(path).expect("it is read")
    };
    for end in [".cwasm", "key"] {
        let spoilt = files(&folder, end);
        assert!(!spoilt.is_empty(), "{end}");
        spoilt.iter().for_each(|path| spoil(path));
        let before = compiled();
        let (server, url) = serve(data.path());
        assert_eq!(
            ask(&url, "next"),
            (200, json!({ "guest.y": 42.0 })),
            "{end}"
        );
        stop(server);
        // Not that file, nor one that another key had sealed: it was written anew.
        let after = compiled();
        assert!(after != before, "{end}: the file is still the spoilt one");
        // What is whole is believed.
        let (server, url) = serve(data.path());
        assert_eq!(ask(&url, "next"), (200, json!({ "guest.y": 42.0 })));
        stop(server);
        assert!(compiled() == after, "{end}: it was compiled once more");
    }
}

const VIEW: &str =
    "name = \"kept\"\nkey = \"id\"\n[columns]\nid = \"i64\"\nx = \"f64\"\nnote = \"text\"\n";

fn row(id: usize) -> String {
    let note = "n".repeat(id % 50);
    format!("{{\"id\":{id},\"x\":{id}.5,\"note\":\"{note}\"}}\n")
}

/// What the store says of an id: its x, or that there is none. A wrong row is the one thing that must not be.
fn stored(url: &str, id: usize) -> Result<Option<f64>, Value> {
    let (status, shown) = send("GET", &format!("{url}/v1/views/kept/row?id={id}"), "", b"");
    match (status, shown["status"].as_str()) {
        (200, Some("present")) => {
            assert_eq!(shown["row"]["note"], json!("n".repeat(id % 50)), "{shown}");
            Ok(shown["row"]["x"].as_f64())
        }
        (200, Some("not_found")) => Ok(None),
        _ => Err(shown),
    }
}

/// The store's files with some bits turned. The server says in words that it cannot start, or it starts and answers each
/// row as it was, as missing or as failed; it never gives a wrong one, and is never in a loop.
#[test]
fn a_spoilt_store_gives_words_or_rows_and_no_wrong_row() {
    const ROWS: usize = 2_000;
    let data = folder();
    let (server, url) = serve(data.path());
    made(post(&url, "/v1/views", "application/toml", VIEW.as_bytes()));
    let lines: String = (0..ROWS).map(row).collect();
    made(post(
        &url,
        "/v1/views/kept/rows",
        "application/x-ndjson",
        lines.as_bytes(),
    ));
    stop(server);

    let rounds =
        std::env::var("TIDEMILL_SPOIL_ROUNDS").map_or(6, |all| all.parse().expect("a number"));
    let (mut refused, mut right, mut missing, mut failed) = (0, 0, 0, 0);
    for round in 0..rounds {
        let copy = folder();
        let from = data.path().join(".");
        let status = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(copy.path())
            .status();
        assert!(status.expect("cp").success());
        let path = copy.path().join("store/db");
        let mut bytes = fs::read(&path).expect("the store's file");
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(1);
        for turn in 0..1 + round % 4 {
            let at = (round * 7919 + turn * 104_729 + 4_111) * 31 % used;
            bytes[at] ^= 1 << (round % 8);
        }
        fs::write(&path, bytes).expect("it is written");
        let (server, url) = match try_serve(copy.path()) {
            Ok(started) => started,
            Err(words) => {
                assert!(
                    words.contains("error: ") && words.contains("is damaged"),
                    "round {round}: {words}"
                );
                refused += 1;
                continue;
            }
        };
        // What sled passes over in silence is said all the same.
        let (_, ready) = send("GET", &format!("{url}/readyz"), "", b"");
        let ready = ready.as_str().unwrap_or_default();
        assert!(
            ready.contains("(db has other bytes): rows may be missing"),
            "round {round}: {ready}"
        );
        for id in (0..ROWS).step_by(37) {
            match stored(&url, id) {
                Ok(Some(x)) => {
                    assert_eq!(x, id as f64 + 0.5, "round {round}");
                    right += 1;
                }
                Ok(None) => missing += 1,
                Err(problem) => {
                    assert!(problem["title"].is_string(), "round {round}: {problem}");
                    failed += 1;
                }
            }
        }
        let (status, _) = send("GET", &format!("{url}/healthz"), "", b"");
        assert_eq!(status, 200);
        drop(server);
    }
    eprintln!(
        "{rounds} spoilt stores: {refused} refused in words; of the rows of the others {right} right, {missing} missing, \
         {failed} failed"
    );
}

/// A server; or the words with which it did not start.
fn try_serve(data: &Path) -> Result<(Process, String), String> {
    let mut child = serving(data)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(File::create(data.join("stderr")).expect("a file"))
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("text");
    match line.trim().strip_prefix("listening on ") {
        Some(url) => Ok((Process(child), url.to_owned())),
        None => {
            let status = child.wait().expect("it ends");
            let words = fs::read_to_string(data.join("stderr")).expect("its words");
            assert_eq!(status.code(), Some(1), "{words}");
            Err(words)
        }
    }
}

/// A disk that takes no more: what is asked for is answered, what is written is refused in words, and once there is room
/// again all that was acknowledged is there.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_writes_and_nothing_else() {
    let data = folder();
    let (server, url) = serve(data.path());
    with_next(&url);
    made(post(&url, "/v1/views", "application/toml", VIEW.as_bytes()));
    stop(server);
    let size = fs::metadata(data.path().join("store/db"))
        .expect("a file")
        .len();

    // No file may grow over that size: what a full disk looks like to whoever writes.
    let limit = size / 1024 + 3_000;
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_tidemill")])
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data.path());
    let (server, url) = started(&mut command);
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for at in 0..200 {
        let ids = at * 500..(at + 1) * 500;
        let lines: String = ids.clone().map(row).collect();
        let (status, answer) = post(
            &url,
            "/v1/views/kept/rows",
            "application/x-ndjson",
            lines.as_bytes(),
        );
        match status {
            200 => acknowledged.extend(ids),
            _ => {
                assert!((500..600).contains(&status), "{answer}");
                assert!(answer["detail"].is_string(), "{answer}");
                refused += 1;
            }
        }
        assert_eq!(ask(&url, "next"), (200, json!({ "guest.y": 42.0 })));
        if refused > 3 {
            break;
        }
    }
    assert!(refused > 0, "the disk was never full");
    assert!(!acknowledged.is_empty(), "the disk was always full");
    // The store does not come back by itself, and whoever watches is told.
    let (status, ready) = send("GET", &format!("{url}/readyz"), "", b"");
    assert_eq!(
        (status, &ready["type"]),
        (503, &json!("urn:tidemill:problem:store-failed"))
    );
    let newer = good("1.0.1");
    let (status, answer) = post(&url, "/v1/transforms", "application/wasm", &newer);
    assert!(status >= 500, "{answer}");
    drop(server);

    let (server, url) = serve(data.path());
    let (status, ready) = send("GET", &format!("{url}/readyz"), "", b"");
    assert_eq!((status, ready), (200, json!("ready: 1 services\n")));
    for id in acknowledged.into_iter().step_by(97) {
        assert_eq!(stored(&url, id), Ok(Some(id as f64 + 0.5)), "row {id}");
    }
    assert_eq!(ask(&url, "next"), (200, json!({ "guest.y": 42.0 })));
    made(post(&url, "/v1/transforms", "application/wasm", &newer));
    made(post(
        &url,
        "/v1/views/kept/rows",
        "application/x-ndjson",
        row(7).as_bytes(),
    ));
    stop(server);
}

/// SIGTERM while half of a body has come: nobody new is let in, the request gets its answer and its line in the log, and
/// then the server ends.
#[test]
fn sigterm_waits_for_what_is_in_flight() {
    let data = folder();
    let (mut server, url) = serve(data.path());
    with_next(&url);
    let (first, second) = ("{\"inputs\":", "{\"x\":41}}");
    let mut raw = Raw::open(&url);
    raw.send(format!(
        "POST /v1/services/next/features HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        first.len() + second.len()
    ));
    // The server says so once it reads the body: from then on it is in flight.
    let mut said = [0; 25];
    raw.0.read_exact(&mut said).expect("it is asked for");
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(first);

    signal(&server, "-TERM");
    let address = url.strip_prefix("http://").expect("a URL");
    until("nobody new is let in", || TcpStream::connect(address).err());
    assert!(server.0.try_wait().expect("a process").is_none());
    raw.send(second);
    let answer = raw.answer();
    let features = &answer.json["results"][0]["features"];
    assert_eq!(
        (answer.status, features),
        (200, &json!({ "guest.y": 42.0 }))
    );
    assert!(server.0.wait().expect("it ends").success());
    let log = files(&data.path().join("log"), ".parquet");
    assert_eq!(log.len(), 1, "{log:?}");
}

fn counted(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
    line.parse::<f64>().expect("a number") as u64
}

/// A log without room, or without a folder: every request is answered, and what the log lost is counted.
#[test]
fn a_log_that_cannot_be_written_costs_no_answer() {
    let server = Server::start(|config| config.log.settings.queue_bytes = 1);
    server.admit(&guest("good"));
    server.define("/v1/services", &service("next", "good"));
    // Several at one time, of many rows each: a writer that is quick has room for small ones, one after the other.
    let body = json!({ "rows": vec![json!({ "x": 41 }); 1_000] }).to_string();
    let ask_all = || {
        let ask = || {
            for _ in 0..10 {
                let (status, answer) = server.ask("/v1/services/next/features", &body);
                assert_eq!(status, 200, "{answer}");
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(ask);
            }
        });
        40
    };
    let mut asked = 0;
    until("the log has no room", || {
        asked += ask_all();
        (counted(&server, "tidemill_log_dropped") > 0).then_some(())
    });
    let log = server.log();
    let lost = counted(&server, "tidemill_log_dropped");
    let written = counted(&server, "tidemill_log_written");
    assert_eq!(lost + written, asked);

    // A file where its folder was: not even root can write below it.
    fs::remove_dir_all(&log).expect("it goes");
    fs::write(&log, "in the way").expect("it is written");
    ask_all();
    let failed = || counted(&server, "tidemill_log_failed");
    until("what is lost is counted", || (failed() > 0).then_some(()));
}
