//! What is acknowledged is kept: the real program is killed at a random moment while it registers, takes rows and labels,
//! and scores, and started again on the same folder.
//!
//! A few rounds here; `TIDEMILL_CRASH_ROUNDS=50` for as many as you like.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrow_array::{Array, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::support::{Process, files, good, serving, started};

/// Registrations of a round, if nothing stops it.
const REGISTRATIONS: usize = 200;
/// Every how manieth is a transform: they are dear.
const TRANSFORMS: usize = 20;

/// A server in a process of its own, and who asks it.
struct Running {
    process: Process,
    url: String,
    agent: ureq::Agent,
}

impl Running {
    fn start(data: &Path) -> Running {
        let config = data.join("config.toml");
        let (process, url) = started(serving(data).arg("--config").arg(config));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        Running {
            process,
            url,
            agent,
        }
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

/// Kills a server when it is dropped, also by a failed check: those who ask until it is gone would else ask for ever.
struct Kill(u32);

impl Kill {
    fn now(&self) -> bool {
        let mut kill = Command::new("kill");
        kill.args(["-KILL", &self.0.to_string()]);
        kill.stderr(Stdio::null()).status().expect("kill").success()
    }
}

impl Drop for Kill {
    fn drop(&mut self) {
        self.now();
    }
}

/// What the server said it has.
#[derive(Default)]
struct Acknowledged {
    /// Address of each version, and what must be there.
    shown: BTreeMap<String, Value>,
    /// Where `stable` points, and where it may point as well: a move that was not answered may have come through.
    stable: Option<(u64, u64)>,
    /// The ids that have a row in the view `kept`, each with the x it was given last; and those that have a label.
    rows: BTreeMap<u64, f64>,
    labels: Vec<u64>,
    /// How many rows were asked for.
    asked: usize,
}

const KEPT: &str = "name = \"kept\"\nkey = \"id\"\n[columns]\nid = \"i64\"\nx = \"f64\"\n";
const STEADY: &str = "name = \"steady\"\nfeatures = [\"kept.x\"]\n[request]\nid = \"i64\"\n[[lookup]]\nview = \"kept\"\n\
                      key = \"id\"\n[labels]\nkey = \"id\"\n[labels.fields]\nlate = \"bool\"\n";

/// Rows of a request that brings some.
const ROWS: u64 = 100;

/// Brings rows until the server is gone: each time a hundred new ids, and the hundred before with another x.
fn bring(server: &Running, first: u64) -> BTreeMap<u64, f64> {
    let mut acknowledged = BTreeMap::new();
    for at in (first..).step_by(ROWS as usize) {
        let before = at.saturating_sub(ROWS).max(first);
        let rows: BTreeMap<u64, f64> = (before..at + ROWS)
            .map(|id| (id, at as f64 + id as f64 / 2.0))
            .collect();
        let lines = rows
            .iter()
            .map(|(id, x)| format!("{{\"id\":{id},\"x\":{x:?}}}\n"));
        let lines: String = lines.collect();
        let path = "/v1/views/kept/rows";
        let sent = server.send("POST", path, "application/x-ndjson", lines.as_bytes());
        match sent {
            Some((200, answer)) => {
                assert_eq!(answer["stored"], json!(rows.len()), "{answer}");
                acknowledged.extend(rows);
            }
            Some((status, answer)) => panic!("{path}: {status} {answer}"),
            None => break,
        }
    }
    acknowledged
}

/// Reports labels until the server is gone.
fn label(server: &Running, first: u64) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for id in first.. {
        let body = json!({ "id": id, "late": id.is_multiple_of(2) }).to_string();
        let path = "/v1/services/steady/labels";
        match server.send("POST", path, "application/json", body.as_bytes()) {
            Some((200, _)) => acknowledged.push(id),
            Some((status, answer)) => panic!("{path}: {status} {answer}"),
            None => break,
        }
    }
    acknowledged
}

/// Scores until the server is gone; how often it asked.
fn score(server: &Running) -> usize {
    for at in 0.. {
        let body = json!({ "inputs": { "id": at } }).to_string();
        let path = "/v1/services/steady/features";
        match server.send("POST", path, "application/json", body.as_bytes()) {
            Some((200, _)) => {}
            Some((status, answer)) => panic!("{path}: {status} {answer}"),
            None => return at + 1,
        }
    }
    0
}

/// Every row and every label that was acknowledged is there, or what came after it without an answer.
fn check_rows(server: &Running, known: &mut Acknowledged) {
    let ids: Vec<u64> = known.rows.keys().copied().collect();
    for ids in ids.chunks(1_000) {
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        known.asked += rows.len();
        let body = json!({ "rows": rows }).to_string();
        let path = "/v1/services/steady/features";
        let sent = server.send("POST", path, "application/json", body.as_bytes());
        let (status, answer) = sent.expect("an answer");
        assert_eq!(status, 200, "{answer}");
        for (at, id) in ids.iter().enumerate() {
            let result = &answer["results"][at];
            assert_eq!(result["lookups"]["kept"], "present", "row {id}: {result}");
            let found = result["features"]["kept.x"].as_f64().expect("a number");
            let (last, later) = (known.rows[id], known.rows[id] + ROWS as f64);
            assert!(
                found == last || found == later,
                "row {id} is {found}, not {last}"
            );
        }
    }
    for id in &known.labels {
        let shown = server.get(&format!("/v1/services/steady/label?id={id}"));
        let late = json!(id.is_multiple_of(2));
        assert_eq!(shown["label"], json!({ "late": late }), "{id}: {shown}");
        assert_eq!(shown["history"].as_array().map(Vec::len), Some(1), "{id}");
    }
}

/// The files of the log: all of them whole, no answer in them twice, and none that was never asked for.
fn check_log(data: &Path, known: &Acknowledged) -> usize {
    let mut ids = HashSet::new();
    for path in files(&data.join("log/service=steady"), ".parquet") {
        let file = File::open(&path).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|reader| reader.build())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for batch in reader {
            let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let column = batch.column_by_name("request_id").expect("the column");
            let column = column.as_any().downcast_ref::<StringArray>().expect("text");
            let row = batch.column_by_name("row").expect("the column");
            let rows =
                arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int32Type>(row);
            for at in 0..batch.num_rows() {
                let id = (column.value(at).to_owned(), rows.value(at));
                assert!(ids.insert(id), "{} is there twice", column.value(at));
            }
        }
    }
    assert!(ids.len() <= known.asked, "{} of {}", ids.len(), known.asked);
    ids.len()
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
    server: &Running,
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
fn check(server: &Running, known: &mut Acknowledged) {
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
    let services = services["services"].as_array().expect("a list");
    let scored = services.iter().find(|service| service["name"] == "scored");
    let versions = scored.map_or(0, |service| service["versions"].as_u64().unwrap_or(0));
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
    // Files of the log are closed often, so that a kill comes between two, and into one.
    std::fs::write(data.path().join("config.toml"), "[log]\nfile_rows = 50\n")
        .expect("it is written");
    let mut known = Acknowledged::default();
    let (mut total, mut slowest, mut logged) = (0, Duration::ZERO, 0);
    for round in 0..rounds {
        let started = Instant::now();
        let mut server = Running::start(data.path());
        slowest = slowest.max(started.elapsed());
        check(&server, &mut known);
        for (path, definition) in [("/v1/views", KEPT), ("/v1/services", STEADY)] {
            let sent = server.send("POST", path, "application/toml", definition.as_bytes());
            let (status, answer) = sent.expect("an answer");
            assert!(matches!(status, 200 | 201), "{answer}");
        }
        check_rows(&server, &mut known);
        // Somewhere in the round, and some time into a registration, by the clock's last digits for want of a better die.
        let die = nanos();
        let (fatal, wait) = (
            die as usize / 7 % REGISTRATIONS,
            Duration::from_micros(die % 30_011),
        );
        let first = round as u64 * 10_000_000;
        std::thread::scope(|scope| {
            let kill = Kill(server.process.id());
            let rows = scope.spawn(|| bring(&server, first));
            let labels = scope.spawn(|| label(&server, first));
            let answers = scope.spawn(|| score(&server));
            let mut killer = None;
            total += register(&server, round, &mut known, |at| {
                if at == fatal {
                    let kill = Kill(server.process.id());
                    killer = Some(std::thread::spawn(move || {
                        std::thread::sleep(wait);
                        kill.now()
                    }));
                }
            });
            assert!(killer.expect("a killer").join().expect("it ends"));
            known.rows.extend(rows.join().expect("it ends"));
            known.labels.extend(labels.join().expect("it ends"));
            known.asked += answers.join().expect("it ends");
            drop(kill);
        });
        let _ = server.process.0.wait();
        logged = check_log(data.path(), &known);
    }
    let server = Running::start(data.path());
    check(&server, &mut known);
    check_rows(&server, &mut known);
    assert!(!known.rows.is_empty() && !known.labels.is_empty() && logged > 0);
    eprintln!(
        "{rounds} rounds: {total} registrations acknowledged, {} versions there and whole, {} rows, {} labels; {} rows asked for, \
         {logged} rows of the log; the slowest start {slowest:?}",
        known.shown.len(),
        known.rows.len(),
        known.labels.len(),
        known.asked,
    );
}

/// Nothing else is written that would take the rows to the disk with it.
#[test]
fn rows_survive_a_kill_the_moment_after() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    std::fs::write(data.path().join("config.toml"), "").expect("it is written");
    for round in 0..3_u64 {
        let server = Running::start(data.path());
        let sent = server.send("POST", "/v1/views", "application/toml", KEPT.as_bytes());
        assert!(matches!(sent, Some((200 | 201, _))), "{sent:?}");
        for id in 0..round * 10 {
            let path = format!("/v1/views/kept/row?id={id}");
            assert_eq!(
                server.get(&path)["status"],
                "present",
                "round {round}, {id}"
            );
        }
        let lines: String = (0..10)
            .map(|at| format!("{{\"id\":{},\"x\":0.5}}\n", round * 10 + at))
            .collect();
        let path = "/v1/views/kept/rows";
        let sent = server.send("POST", path, "application/x-ndjson", lines.as_bytes());
        // SIGKILL, before anything else.
        drop(server);
        assert!(matches!(sent, Some((200, _))), "{sent:?}");
    }
}

fn nanos() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::from(now.expect("a clock").subsec_nanos())
}
