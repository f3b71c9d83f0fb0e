//! What is acknowledged is kept: the real program is killed at a random moment while it registers, and started again on
//! the same folder.
//!
//! A few rounds here; `TIDEMILL_CRASH_ROUNDS=50` for as many as you like.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::good;

/// Registrations of a round, if nothing stops it.
const REGISTRATIONS: usize = 200;
/// Every how manieth is a transform: they are dear.
const TRANSFORMS: usize = 20;

struct Process {
    child: Child,
    url: String,
    agent: ureq::Agent,
}

impl Process {
    fn start(data: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("its address")
            .to_owned();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        Process { child, url, agent }
    }

    /// Status and JSON; none where the server is gone.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<(u16, Value)> {
        let url = format!("{}{path}", self.url);
        let response = match method {
            "GET" => self.agent.get(url).call(),
            "PUT" => self.agent.put(url).content_type(kind).send(body),
            _ => self.agent.post(url).content_type(kind).send(body),
        };
        let mut response = response.ok()?;
        let text = response.body_mut().read_to_string().ok()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some((response.status().as_u16(), json))
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let (status, json) = self.send("GET", path, "", b"").expect("the server answers");
        assert_eq!(status, 200, "{path}: {json}");
        json
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server said it has.
#[derive(Default)]
struct Acknowledged {
    /// Address of each version, and what must be there.
    shown: BTreeMap<String, Value>,
    /// Where `stable` points, and where it may point as well: a move that was not answered may have come through.
    stable: Option<(u64, u64)>,
}

/// The `at`-th registration of a round: an address to post or put to, and what; and the alias' version if it is one.
fn registration(round: usize, at: usize) -> (&'static str, String, &'static str, Vec<u8>) {
    let (transform, toml) = ("application/wasm", "application/toml");
    if at.is_multiple_of(TRANSFORMS) {
        let number = round * REGISTRATIONS / TRANSFORMS + at / TRANSFORMS;
        let version = format!("{}.{}.{}", number / 100 % 10, number / 10 % 10, number % 10);
        return (
            "POST",
            "/v1/transforms".to_owned(),
            transform,
            good(&version),
        );
    }
    match at % 4 {
        1 => {
            let text = format!(
                "name = \"view-{round}-{at}\"\nkey = \"id\"\n[columns]\nid = \"i64\"\nx = \"f64\"\n"
            );
            ("POST", "/v1/views".to_owned(), toml, text.into_bytes())
        }
        2 => {
            // The newest transform there is, and the view of a moment ago.
            let text = format!(
                "name = \"scored\"\ndoc = \"{round}.{at}\"\n[request]\nx = \"f64\"\nid = \"i64\"\n\
                 [[lookup]]\nview = \"view-{round}-{}\"\nkey = \"id\"\n[[transform]]\nuse = \"good\"\n",
                at - 1
            );
            ("POST", "/v1/services".to_owned(), toml, text.into_bytes())
        }
        3 => {
            // The view again, a column wider: its next version.
            let text = format!(
                "name = \"view-{round}-{}\"\nkey = \"id\"\n[columns]\nid = \"i64\"\nx = \"f64\"\n\
                 more = {{ type = \"text\", nullable = true }}\n",
                at - 2
            );
            ("POST", "/v1/views".to_owned(), toml, text.into_bytes())
        }
        _ => (
            "PUT",
            "/v1/services/scored/aliases/stable".to_owned(),
            "application/json",
            Vec::new(),
        ),
    }
}

/// Registers until the server is gone or the round is over, and says before each which it is; how many were
/// acknowledged.
fn register(
    server: &Process,
    round: usize,
    known: &mut Acknowledged,
    mut begun: impl FnMut(usize),
) -> usize {
    let mut newest = 0;
    for key in known.shown.keys() {
        if let Some(number) = key.strip_prefix("/v1/services/scored@") {
            newest = newest.max(number.parse().expect("a number"));
        }
    }
    for at in 0..REGISTRATIONS {
        begun(at);
        let (method, path, kind, mut body) = registration(round, at);
        let version = match method {
            "PUT" if newest == 0 => continue,
            "PUT" => {
                let version = at as u64 % newest + 1;
                body = json!({ "version": version }).to_string().into_bytes();
                let (stable, _) = known.stable.unwrap_or((version, version));
                known.stable = Some((stable, version));
                version
            }
            _ => 0,
        };
        let Some((status, answer)) = server.send(method, &path, kind, &body) else {
            return at;
        };
        assert!(matches!(status, 200 | 201), "{path}: {answer}");
        if method == "PUT" {
            known.stable = Some((version, version));
            continue;
        }
        let version = match &answer["version"] {
            Value::String(version) => version.clone(),
            version => version.to_string(),
        };
        let name = answer["name"].as_str().expect("a name");
        let part = ["digest", "pins"].map(|part| answer[part].clone());
        known
            .shown
            .insert(format!("{path}/{name}@{version}"), json!(part));
        if path == "/v1/services" {
            newest = version.parse().expect("a number");
        }
    }
    REGISTRATIONS
}

/// All that was acknowledged is there and whole; all that is there is whole.
fn check(server: &Process, known: &mut Acknowledged) {
    let ready = server.get("/readyz");
    let ready = ready.as_str().expect("text");
    assert!(!ready.contains("trouble"), "{ready}");
    for (path, part) in &known.shown {
        let shown = server.get(path);
        assert_eq!(
            json!(["digest", "pins"].map(|part| shown[part].clone())),
            *part,
            "{path}"
        );
    }
    if let Some((stable, perhaps)) = known.stable {
        let shown = server.get("/v1/services/scored/aliases/stable");
        let found = shown["settings"]["version"].as_u64().expect("a version");
        assert!(
            found == stable || found == perhaps,
            "stable is {found}, not {stable} or {perhaps}"
        );
        let last = shown["history"]
            .as_array()
            .and_then(|all| all.last())
            .expect("a change");
        assert_eq!(last["to"]["version"], json!(found));
        known.stable = Some((found, found));
    }
    // Also what came through without an answer.
    for transform in server.get("/v1/transforms")["transforms"]
        .as_array()
        .expect("a list")
    {
        let (name, version) = (transform["name"].as_str(), transform["version"].as_str());
        let path = format!(
            "/v1/transforms/{}@{}",
            name.expect("a name"),
            version.expect("a version")
        );
        assert_eq!(server.get(&path)["digest"], transform["digest"]);
    }
    for view in server.get("/v1/views")["views"].as_array().expect("a list") {
        for version in view["versions"].as_array().expect("a list") {
            let name = view["name"].as_str().expect("a name");
            server.get(&format!("/v1/views/{name}@{version}"));
        }
    }
    let services = server.get("/v1/services");
    let versions = services["services"][0]["versions"].as_u64().unwrap_or(0);
    for version in (1..=versions).rev().take(20) {
        let path = format!("/v1/services/scored@{version}/features");
        let body = br#"{"inputs": {"x": 41, "id": 1}}"#;
        let (status, answer) = server
            .send("POST", &path, "application/json", body)
            .expect("an answer");
        assert_eq!(
            (status, &answer["results"][0]["features"]),
            (200, &json!({ "good.y": 42.0 })),
            "{path}: {answer}"
        );
    }
}

#[test]
fn what_is_acknowledged_survives_a_kill() {
    let rounds = std::env::var("TIDEMILL_CRASH_ROUNDS")
        .map_or(3, |rounds| rounds.parse().expect("a number"));
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut known = Acknowledged::default();
    let (mut total, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let started = Instant::now();
        let mut server = Process::start(data.path());
        slowest = slowest.max(started.elapsed());
        check(&server, &mut known);
        // Somewhere in the round, and some time into a registration, by the clock's last digits for want of a better die.
        let (die, pid) = (nanos(), server.child.id().to_string());
        let (fatal, wait) = (
            die as usize / 7 % REGISTRATIONS,
            Duration::from_micros(die % 30_011),
        );
        let mut killer = None;
        total += register(&server, round, &mut known, |at| {
            if at == fatal {
                let pid = pid.clone();
                killer = Some(std::thread::spawn(move || {
                    std::thread::sleep(wait);
                    Command::new("kill")
                        .args(["-KILL", &pid])
                        .status()
                        .expect("kill")
                        .success()
                }));
            }
        });
        assert!(killer.expect("a killer").join().expect("it ends"));
        let _ = server.child.wait();
    }
    let server = Process::start(data.path());
    check(&server, &mut known);
    eprintln!(
        "{rounds} rounds: {total} registrations acknowledged, {} versions there and whole, the slowest start {slowest:?}",
        known.shown.len()
    );
}

fn nanos() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::from(now.expect("a clock").subsec_nanos())
}
