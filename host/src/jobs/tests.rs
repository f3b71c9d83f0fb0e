//! Jobs from end to end, with answers made here and a receiver that answers as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::callback::signature;
use super::{Asked, Callback, Delivery, Jobs, Kind, Record, Run, Settings, State};
use crate::metrics::Metrics;
use crate::span::Span;

const SECRET: &str = "a secret of this test";
const PATIENCE: Duration = Duration::from_secs(30);

struct Fixture {
    jobs: Arc<Jobs>,
    metrics: Metrics,
    folder: TempDir,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut Settings)) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        Fixture::open(folder, change)
    }

    fn open(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Fixture {
        let mut settings = Settings {
            callback_secret_file: Some(folder.path().join("secret")),
            callback_backoff: Span(Duration::from_millis(2)),
            ..Settings::default()
        };
        change(&mut settings);
        let metrics = Metrics::new().unwrap();
        let jobs = Arc::new(Jobs::open(&db(folder.path()), settings, &metrics).unwrap());
        Fixture {
            jobs,
            metrics,
            folder,
        }
    }

    /// The same folder, as a server that starts again finds it.
    fn again(self, change: impl FnOnce(&mut Settings)) -> Fixture {
        let Fixture { jobs, folder, .. } = self;
        assert_eq!(Arc::strong_count(&jobs), 1, "its threads have ended");
        drop(jobs);
        Fixture::open(folder, change)
    }

    fn accept(&self, body: &str) -> Record {
        self.accept_with(body, None)
    }

    fn accept_with(&self, body: &str, callback: Option<Callback>) -> Record {
        self.jobs.accept(asked(body, callback)).unwrap().unwrap()
    }

    fn get(&self, record: &Record) -> Record {
        self.jobs.get(&record.id.to_string(), None).unwrap()
    }

    /// Waits until the job is as `condition` says.
    #[track_caller]
    fn until(&self, record: &Record, condition: impl Fn(&Record) -> bool) -> Record {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.get(record);
            if condition(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "still {found:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn db(folder: &Path) -> sled::Db {
    sled::Config::new()
        .path(folder.join("store"))
        .open()
        .unwrap()
}

fn asked(body: &str, callback: Option<Callback>) -> Asked {
    Asked {
        service: "echo".to_owned(),
        service_version: 3,
        kind: Kind::Score,
        by: "loopback".to_owned(),
        body: body.as_bytes().to_vec(),
        callback,
    }
}

/// The body is the answer; one that says so is a problem, or a panic.
fn echo() -> Run {
    Arc::new(|record, body| {
        assert_eq!(
            (record.service.as_str(), record.service_version),
            ("echo", 3)
        );
        match body {
            b"fail" => Err(json!({ "status": 422, "detail": "as asked" })),
            b"panic" => panic!("as asked"),
            body => Ok(body.to_vec()),
        }
    })
}

fn ended(record: &Record) -> bool {
    record.finished_at.is_some()
}

fn delivery(record: &Record) -> Delivery {
    record.callback.as_ref().unwrap().state
}

#[test]
fn jobs_run_in_order_and_say_how_they_ended() {
    let fixture = Fixture::new(|_| {});
    let records = ["one", "fail", "panic", "two"].map(|body| fixture.accept(body));
    assert!(records.iter().all(|record| record.state == State::Queued));
    assert!(fixture.metrics.text().contains("tidemill_jobs_queued 4"));
    assert_eq!(fixture.jobs.answer(records[0].id).unwrap(), None);

    let workers = fixture.jobs.start(echo()).unwrap();
    let last = fixture.until(&records[3], ended);
    let [one, fail, panic, _] = records.map(|record| fixture.get(&record));
    assert_eq!(
        [&one, &fail, &panic, &last].map(|record| (record.state, record.attempts)),
        [
            (State::Done, 1),
            (State::Failed, 1),
            (State::Failed, 1),
            (State::Done, 1)
        ]
    );
    assert_eq!(
        fail.problem,
        Some(json!({ "status": 422, "detail": "as asked" }))
    );
    assert_eq!(panic.problem.unwrap()["status"], 500);
    assert_eq!(fixture.jobs.answer(last.id).unwrap().unwrap(), b"two");
    assert_eq!(
        fixture.jobs.kept.body(last.id).unwrap(),
        None,
        "it is not needed any more"
    );
    assert!(one.created_at <= one.started_at.unwrap() && one.started_at <= one.finished_at);

    let newest: Vec<_> = fixture.jobs.newest(3, None).unwrap();
    assert_eq!(
        newest.iter().map(|r| r.id).collect::<Vec<_>>(),
        [last.id, panic.id, fail.id]
    );
    assert!(fixture.jobs.newest(9, Some("other")).unwrap().is_empty());
    let other = fixture
        .jobs
        .get(&one.id.to_string(), Some("other"))
        .unwrap_err();
    assert!(other.to_string().starts_with("there is no job"), "{other}");
    let unknown = fixture.jobs.get("none", None).unwrap_err().to_string();
    assert!(unknown.contains(&last.id.to_string()), "{unknown}");

    let text = fixture.metrics.text();
    for line in [
        "tidemill_jobs_queued 0",
        "tidemill_jobs_running 0",
        "tidemill_jobs_total{outcome=\"done\"} 2",
        "tidemill_jobs_total{outcome=\"failed\"} 2",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(workers.stop(PATIENCE));
}

#[test]
fn a_queue_is_as_long_as_it_may_be() {
    let fixture = Fixture::new(|settings| settings.queue = 2);
    fixture.accept("one");
    let two = fixture.accept("two");
    assert!(fixture.jobs.accept(asked("three", None)).unwrap().is_none());
    assert!(
        fixture
            .metrics
            .text()
            .contains("tidemill_jobs_total{outcome=\"turned_away\"} 1")
    );
    fixture.jobs.remove(&two).unwrap();
    fixture.jobs.get(&two.id.to_string(), None).unwrap_err();
    let three = fixture.accept("three");
    let workers = fixture.jobs.start(echo()).unwrap();
    fixture.until(&three, ended);
    assert_eq!(fixture.jobs.newest(9, None).unwrap().len(), 2);
    assert!(workers.stop(PATIENCE));
}

/// A server that dies leaves what it had on disk: a job that was running runs again, one that waited still waits.
#[test]
fn what_was_running_when_the_server_died_runs_again() {
    let fixture = Fixture::new(|_| {});
    let (first, second) = (fixture.accept("one"), fixture.accept("two"));
    let mut begun = fixture.get(&first);
    begun.begin();
    fixture.jobs.kept.put(&begun).unwrap();

    let fixture = fixture.again(|_| {});
    assert_eq!(
        (fixture.get(&first).state, fixture.get(&first).attempts),
        (State::Queued, 1)
    );
    let workers = fixture.jobs.start(echo()).unwrap();
    let (second, first) = (fixture.until(&second, ended), fixture.until(&first, ended));
    assert_eq!((first.state, first.attempts), (State::Done, 2));
    assert_eq!((second.state, second.attempts), (State::Done, 1));
    assert!(workers.stop(PATIENCE));
    // And what is done stays done.
    let fixture = fixture.again(|_| {});
    assert_eq!(fixture.jobs.answer(first.id).unwrap().unwrap(), b"one");
    assert_eq!(fixture.get(&second), second);
}

#[test]
fn a_job_that_kills_the_server_is_not_begun_for_ever() {
    let mut fixture = Fixture::new(|_| {});
    let record = fixture.accept("deadly");
    for attempt in 1..=3 {
        let mut begun = fixture.get(&record);
        assert_eq!(begun.state, State::Queued);
        begun.begin();
        assert_eq!(begun.attempts, attempt);
        fixture.jobs.kept.put(&begun).unwrap();
        fixture = fixture.again(|_| {});
    }
    let failed = fixture.get(&record);
    assert_eq!(failed.state, State::Failed);
    assert_eq!(
        failed.problem.unwrap()["detail"],
        "the server stopped 3 times while it ran this job"
    );
}

#[test]
fn a_running_job_can_be_forgotten() {
    let fixture = Fixture::new(|_| {});
    let record = fixture.accept("one");
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = parking_lot::Mutex::new(may_go_on);
    let workers = fixture
        .jobs
        .start(Arc::new(move |_, body| {
            begun.send(()).unwrap();
            may_go_on.lock().recv().unwrap();
            Ok(body.to_vec())
        }))
        .unwrap();
    has_begun.recv().unwrap();
    assert_eq!(fixture.get(&record).state, State::Running);
    fixture.jobs.remove(&record).unwrap();
    go_on.send(()).unwrap();
    assert!(workers.stop(PATIENCE));
    assert!(fixture.jobs.newest(9, None).unwrap().is_empty());
    assert_eq!(fixture.jobs.answer(record.id).unwrap(), None);
    assert_eq!(fixture.jobs.kept.body(record.id).unwrap(), None);
}

#[test]
fn answers_are_kept_as_long_as_they_are_said_to_be() {
    let fixture = Fixture::new(|settings| settings.keep = Span(Duration::from_secs(60)));
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.until(&fixture.accept("one"), ended);
    assert!(workers.stop(PATIENCE));
    let waiting = fixture.accept("two");
    let finished = record.finished_at.unwrap();
    let after = |seconds| finished.checked_add(Duration::from_secs(seconds)).unwrap();
    assert_eq!(fixture.jobs.sweep(after(59)).unwrap(), 0);
    assert_eq!(fixture.jobs.sweep(after(61)).unwrap(), 1);
    assert_eq!(fixture.jobs.answer(record.id).unwrap(), None);
    assert_eq!(
        fixture.get(&waiting).state,
        State::Queued,
        "it is not finished"
    );
}

/// What a receiver got.
struct Got {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }
}

/// Answers each request with the next of `answers`, the last for ever.
fn receiver(answers: Vec<String>) -> (SocketAddr, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (got, gets) = channel();
    std::thread::spawn(move || {
        for (nth, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut headers = Vec::new();
            loop {
                line.clear();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim_end().split_once(": ") else {
                    break;
                };
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
            let mut found = Got {
                target,
                headers,
                body: Vec::new(),
            };
            found.body = vec![0; found.header("content-length").parse().unwrap()];
            reader.read_exact(&mut found.body).unwrap();
            let answer = &answers[nth.min(answers.len() - 1)];
            let _ = stream.write_all(answer.as_bytes());
            if got.send(found).is_err() {
                return;
            }
        }
    });
    (address, gets)
}

fn says(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn with_receiver(address: SocketAddr) -> Fixture {
    Fixture::new(|settings| settings.callback_hosts = vec![format!("http://{address}")])
}

#[test]
fn an_answer_is_sent_signed_and_again_until_it_is_taken() {
    let (address, gets) = receiver(vec![
        says("500 No"),
        says("503 Not yet"),
        says("204 Thanks"),
    ]);
    let fixture = with_receiver(address);
    let callback = fixture
        .jobs
        .callback(&format!("http://{address}/scored?x=1"))
        .unwrap();
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.accept_with("{\"the\":\"answer\"}", Some(callback));
    let record = fixture.until(&record, |record| delivery(record) == Delivery::Delivered);
    let callback = record.callback.as_ref().unwrap();
    assert_eq!(
        (callback.attempts, &callback.error, callback.next_at),
        (3, &None, None)
    );
    for _ in 0..3 {
        let got = gets.recv().unwrap();
        assert_eq!(got.target, "/scored?x=1");
        assert_eq!(got.body, b"{\"the\":\"answer\"}");
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.header("tidemill-job"), record.id.to_string());
        let timestamp: i64 = got.header("tidemill-timestamp").parse().unwrap();
        assert!((Timestamp::now().as_second() - timestamp).abs() < 300);
        assert_eq!(
            got.header("tidemill-signature"),
            signature(SECRET.as_bytes(), timestamp, &got.body)
        );
    }
    let text = fixture.metrics.text();
    assert!(
        text.contains("tidemill_job_callbacks_total{outcome=\"to_repeat\"} 2"),
        "{text}"
    );
    assert!(
        text.contains("tidemill_job_callbacks_total{outcome=\"delivered\"} 1"),
        "{text}"
    );
    assert!(workers.stop(PATIENCE));
}

#[test]
fn a_problem_is_sent_too() {
    let (address, gets) = receiver(vec![says("200 OK")]);
    let fixture = with_receiver(address);
    let callback = fixture
        .jobs
        .callback(&format!("http://{address}/"))
        .unwrap();
    let workers = fixture.jobs.start(echo()).unwrap();
    fixture.accept_with("fail", Some(callback));
    let got = gets.recv().unwrap();
    assert_eq!(got.header("content-type"), "application/problem+json");
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body, json!({ "status": 422, "detail": "as asked" }));
    assert!(workers.stop(PATIENCE));
}

/// A receiver that is trusted must not be able to pass the answer on to one that is not.
#[test]
fn redirects_are_not_followed() {
    let (elsewhere, nothing) = receiver(vec![says("200 OK")]);
    let redirect = format!(
        "HTTP/1.1 307 There\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (address, _gets) = receiver(vec![redirect]);
    let fixture = with_receiver(address);
    let callback = fixture
        .jobs
        .callback(&format!("http://{address}/"))
        .unwrap();
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.accept_with("one", Some(callback));
    let record = fixture.until(&record, |record| delivery(record) == Delivery::Failed);
    let callback = record.callback.unwrap();
    assert_eq!(callback.attempts, 8);
    let error = callback.error.unwrap();
    assert!(
        error.contains("307") && error.contains("redirects are not followed"),
        "{error}"
    );
    assert!(nothing.try_recv().is_err());
    assert_eq!(record.state, State::Done, "the answer can be fetched");
    assert!(workers.stop(PATIENCE));
}

#[test]
fn who_says_gone_is_not_asked_again() {
    let (address, gets) = receiver(vec![says("410 Gone")]);
    let fixture = with_receiver(address);
    let callback = fixture
        .jobs
        .callback(&format!("http://{address}/"))
        .unwrap();
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.accept_with("one", Some(callback));
    let record = fixture.until(&record, |record| delivery(record) == Delivery::Failed);
    assert_eq!(record.callback.unwrap().attempts, 1);
    assert!(workers.stop(PATIENCE));
    assert_eq!(gets.try_iter().count(), 1);
}

/// `localhost` is a name that leads to loopback, as any name may that somebody else's DNS server answers for.
#[test]
fn a_name_that_leads_inside_is_not_connected_to() {
    let (address, gets) = receiver(vec![says("200 OK")]);
    let host = format!("http://localhost:{}", address.port());
    let fixture = Fixture::new(|settings| settings.callback_hosts = vec![host.clone()]);
    let callback = fixture.jobs.callback(&host).unwrap();
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.accept_with("one", Some(callback));
    let record = fixture.until(&record, |record| delivery(record) == Delivery::Failed);
    let callback = record.callback.unwrap();
    assert_eq!(callback.attempts, 1, "it would lead there again");
    let error = callback.error.unwrap();
    assert!(
        error.contains("no public address") && error.contains("jobs.callback_hosts"),
        "{error}"
    );
    assert!(gets.try_recv().is_err(), "nobody connected");
    assert!(workers.stop(PATIENCE));
}

#[test]
fn what_is_to_be_sent_survives_a_restart_and_the_list_is_asked_again() {
    let (address, gets) = receiver(vec![says("500 No")]);
    let hosts = |settings: &mut Settings| {
        settings.callback_hosts = vec![format!("http://{address}")];
        // Long enough for nothing to happen within the test.
        settings.callback_backoff = Span(Duration::from_secs(3000));
    };
    let fixture = Fixture::new(hosts);
    let callback = fixture
        .jobs
        .callback(&format!("http://{address}/"))
        .unwrap();
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.accept_with("one", Some(callback));
    let tried = fixture.until(&record, |record| {
        record.callback.as_ref().unwrap().attempts == 1
    });
    gets.recv().unwrap();
    assert!(workers.stop(PATIENCE));

    let fixture = fixture.again(hosts);
    assert_eq!(fixture.get(&record), tried);
    assert_eq!(
        fixture.jobs.line.lock().sending.first().copied(),
        tried.due()
    );
    assert_eq!(
        fixture.jobs.sweep(Timestamp::MAX).unwrap(),
        0,
        "it is still to be sent"
    );

    // The host is taken off the list; the time comes.
    let mut due = tried;
    due.callback.as_mut().unwrap().next_at = Some(Timestamp::now());
    fixture.jobs.kept.put(&due).unwrap();
    let fixture = fixture.again(|_| {});
    let workers = fixture.jobs.start(echo()).unwrap();
    let record = fixture.until(&record, |record| delivery(record) == Delivery::Failed);
    let error = record.callback.unwrap().error.unwrap();
    assert!(error.contains("is not in jobs.callback_hosts"), "{error}");
    assert!(gets.try_recv().is_err());
    assert!(workers.stop(PATIENCE));
}

#[cfg(target_os = "linux")]
#[test]
fn jobs_give_way() {
    let fixture = Fixture::new(|_| {});
    let workers = fixture
        .jobs
        .start(Arc::new(|_, _| {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            Ok(stat.into_bytes())
        }))
        .unwrap();
    let record = fixture.until(&fixture.accept("nice?"), ended);
    let stat = String::from_utf8(fixture.jobs.answer(record.id).unwrap().unwrap()).unwrap();
    // The 19th field (proc_pid_stat(5)); the second one, a name, is in parentheses.
    let nice: i32 = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(16)
        .unwrap()
        .parse()
        .unwrap();
    assert!((5..=15).contains(&nice), "{nice}");
    assert!(workers.stop(PATIENCE));
}
