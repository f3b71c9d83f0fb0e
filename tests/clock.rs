//! The system's clock set back, and forward, under a running server: the real program, with a clock that the test moves.
//! No row is lost or hidden by an older one, no file is written over, no answer is said to have other bits than it has,
//! and what had expired stays so.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_array::{Array, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::support::{Process, count, file, files, send, serving, started, stop, until};

const DAY: i64 = 86_400;

/// The clock of the programs that are started with it.
struct Clock {
    preload: PathBuf,
    moved: PathBuf,
}

impl Clock {
    /// In a folder. Needs a C compiler, as building this project does.
    fn make(folder: &Path) -> Clock {
        let clock = Clock {
            preload: folder.join("clock.so"),
            moved: folder.join("moved"),
        };
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]);
        compile.arg(&clock.preload).arg(file("tests/clock/moved.c"));
        assert!(compile.status().expect("a C compiler, cc").success());
        fs::write(&clock.moved, 0_i64.to_ne_bytes()).expect("it is written");
        clock
    }

    /// Moves it by so many seconds from the true time.
    fn set(&self, seconds: i64) {
        let file = File::options().write(true).open(&self.moved);
        let written = file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0));
        written.expect("it is written");
    }

    fn serve(&self, data: &Path) -> (Process, String) {
        let mut command = serving(data);
        command
            .arg("--config")
            .arg(data.join("config.toml"))
            .env("LD_PRELOAD", &self.preload)
            .env("TIDEMILL_TEST_CLOCK", &self.moved);
        started(&mut command)
    }
}

const VIEW: &str = "name = \"level\"\nkey = \"id\"\n[columns]\nid = \"text\"\nx = \"f64\"\n";
const SERVICE: &str = "name = \"levels\"\nfeatures = [\"level.x\"]\n[request]\nid = \"text\"\n\
                       [[lookup]]\nview = \"level\"\nkey = \"id\"\nmax_age = \"1h\"\n\
                       [labels]\nkey = \"id\"\n[labels.fields]\nlate = \"bool\"\n";

/// Who asks the server, and the ids of its answers in their order.
struct Client {
    url: String,
    ids: Vec<String>,
}

impl Client {
    #[track_caller]
    fn post(&self, path: &str, kind: &str, body: &str) -> Value {
        let (status, answer) = send(
            "POST",
            &format!("{}{path}", self.url),
            kind,
            body.as_bytes(),
        );
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let (status, answer) = send("GET", &format!("{}{path}", self.url), "", b"");
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Brings a row, which must be the newest of its key.
    #[track_caller]
    fn bring(&self, id: &str, x: f64) {
        let row = json!({ "id": id, "x": x }).to_string();
        let answer = self.post("/v1/views/level/rows", "application/x-ndjson", &row);
        assert_eq!(answer, json!({ "rows": 1, "stored": 1, "outdated": 0 }));
    }

    /// What a look-up finds, and how it went.
    #[track_caller]
    fn ask(&mut self, id: &str) -> (Value, Value) {
        let body = json!({ "inputs": { "id": id } }).to_string();
        let answer = self.post("/v1/services/levels/features", "application/json", &body);
        let id = answer["request_id"].as_str().expect("an id");
        self.ids.push(id.to_owned());
        let result = &answer["results"][0];
        (
            result["features"]["level.x"].clone(),
            result["lookups"]["level"].clone(),
        )
    }

    /// Reports a label, which must be the one that counts, of so many.
    #[track_caller]
    fn label(&self, id: &str, late: bool, of: usize) {
        let body = json!({ "id": id, "late": late }).to_string();
        self.post("/v1/services/levels/labels", "application/json", &body);
        let shown = self.get(&format!("/v1/services/levels/label?id={id}"));
        assert_eq!(shown["label"], json!({ "late": late }), "{shown}");
        assert_eq!(
            shown["history"].as_array().map(Vec::len),
            Some(of),
            "{shown}"
        );
    }

    /// The sum of a metric over its labels.
    fn count(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics");
        count(metrics.as_str().expect("text"), name)
    }

    /// The status of a request with a token.
    fn with(&self, token: &str) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent.get(format!("{}/v1/services", self.url));
        let request = request.header("authorization", format!("Bearer {token}"));
        request.call().expect("an answer").status().as_u16()
    }

    fn token(&self, name: &str, expires_in: &str) -> String {
        let body = json!({ "name": name, "role": "client", "expires_in": expires_in });
        let made = self.post("/v1/tokens", "application/json", &body.to_string());
        made["token"].as_str().expect("a token").to_owned()
    }
}

/// The request ids in the log's files; each file must be whole.
fn logged(folder: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for path in files(folder, ".parquet") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file"))
            .and_then(|reader| reader.build())
            .expect("a whole file");
        for batch in reader {
            let batch = batch.expect("rows");
            let column = batch.column_by_name("request_id").expect("the column");
            let column = column.as_any().downcast_ref::<StringArray>().expect("text");
            for id in column.iter().flatten() {
                assert!(ids.insert(id.to_owned()), "{id} is there twice");
            }
        }
    }
    ids
}

/// The millisecond in which an id of version 7 says it was made.
fn made(id: &str) -> u64 {
    let digits = id[..13].replace('-', "");
    u64::from_str_radix(&digits, 16).expect("an id")
}

#[test]
fn a_clock_set_back_loses_hides_and_revives_nothing() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let clock = Clock::make(data.path());
    // Each answer is computed again from the history, and a file of the log holds few.
    let config = "[log]\nfile_rows = 3\n[skew]\nshare = 1.0\nqueue = 10000\n";
    fs::write(data.path().join("config.toml"), config).expect("it is written");
    let (server, url) = clock.serve(data.path());
    let mut client = Client {
        url,
        ids: Vec::new(),
    };
    client.post("/v1/views", "application/toml", VIEW);
    client.post("/v1/services", "application/toml", SERVICE);
    let present = || json!("present");

    // As ever.
    client.bring("a", 1.0);
    client.label("a", true, 1);
    assert_eq!(client.ask("a"), (json!(1.0), present()));
    let brief = client.token("brief", "1ms");
    until("the token expires", || {
        (client.with(&brief) == 401).then_some(())
    });

    for (round, moved) in [-2 * DAY, -400 * DAY, -20_000 * DAY]
        .into_iter()
        .enumerate()
    {
        clock.set(moved);
        let x = round as f64 + 2.0;
        // Another row of the key is the newer one, and a new key is found at once.
        client.bring("a", x);
        assert_eq!(client.ask("a"), (json!(x), present()));
        let new = format!("new-{round}");
        client.bring(&new, 0.5);
        assert_eq!(client.ask(&new), (json!(0.5), present()));
        client.label("a", round % 2 == 0, round + 2);
        // What had expired is not good again, and what is made now lasts its time.
        assert_eq!(client.with(&brief), 401, "moved by {moved}");
        let token = client.token(&format!("round-{round}"), "1h");
        assert_eq!(client.with(&token), 200, "moved by {moved}");
        let version = json!({ "version": 1 }).to_string();
        let alias = format!("{}/v1/services/levels/aliases/round-{round}", client.url);
        let (status, answer) = send("PUT", &alias, "application/json", version.as_bytes());
        assert_eq!(status, 201, "{answer}");
        let shown = client.get("/v1/audit/verify");
        assert_eq!(shown["bad"], Value::Null, "{shown}");
    }
    for _ in 0..20 {
        assert_eq!(client.ask("a"), (json!(4.0), present()));
    }
    // Set right again, and ahead: rows grow old.
    clock.set(0);
    assert_eq!(client.ask("a"), (json!(4.0), present()));
    clock.set(2 * 3_600);
    assert_eq!(client.ask("a"), (Value::Null, json!("outside_max_age")));
    client.bring("a", 5.0);
    assert_eq!(client.ask("a"), (json!(5.0), present()));
    clock.set(0);
    assert_eq!(client.ask("a"), (json!(5.0), present()));

    // Each of these answers had the bits it has from the history, at its own time.
    let asked = client.ids.len();
    until("each answer is computed again", || {
        (client.count("tidemill_skew_audited_rows_total") == asked as u64).then_some(())
    });
    assert_eq!(client.count("tidemill_skew_total"), 0);
    assert_eq!(client.count("tidemill_skew_audits_failed_total"), 0);
    assert!(
        client.ids.is_sorted_by_key(|id| made(id)),
        "{:?}",
        client.ids
    );
    stop(server);

    let ids = logged(&data.path().join("log"));
    assert_eq!(ids, client.ids.iter().cloned().collect());

    // And a start in the past.
    clock.set(-2 * DAY);
    let (server, url) = clock.serve(data.path());
    client.url = url;
    assert_eq!(client.ask("a"), (json!(5.0), present()));
    assert_eq!(
        client.get("/v1/services/levels/label?id=a")["label"],
        json!({ "late": true })
    );
    let ready = client.get("/readyz");
    assert_eq!(ready, json!("ready: 1 services\n"));
    stop(server);
}
