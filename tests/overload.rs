//! More than a server can do: what is too much is told so at once, and the rest is answered as ever.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use serde_json::json;
use tidemill::config::Config;
use tidemill::error::Result;
use tidemill::store::{self, AsOf, Fetched, OnlineStore, ViewRows, Written};
use tokio::sync::Semaphore;

use super::support::{Raw, RawAnswer, Server, until};

const SCORE: &str = "/v1/services/things/features";

/// A store whose look-ups of the key "slow" wait until the gate is opened.
struct Gated {
    inner: Arc<dyn OnlineStore>,
    gate: Arc<Gate>,
}

struct GatedRows {
    inner: Arc<dyn ViewRows>,
    gate: Arc<Gate>,
}

struct Gate {
    /// Look-ups that have come to the gate.
    come: AtomicUsize,
    open: Semaphore,
}

impl OnlineStore for Gated {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        Ok(Arc::new(GatedRows {
            inner: self.inner.view(name)?,
            gate: self.gate.clone(),
        }))
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }
}

impl ViewRows for GatedRows {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.get(key, as_of, found)
    }

    fn waits(&self) -> bool {
        true
    }

    fn fetch(self: Arc<Self>, keys: Vec<(Vec<u8>, AsOf)>) -> Fetched {
        Box::pin(async move {
            if keys
                .iter()
                .any(|(key, _)| key.windows(4).any(|part| part == b"slow"))
            {
                self.gate.come.fetch_add(1, SeqCst);
                let _ = self.gate.open.acquire().await;
            }
            self.inner.clone().fetch(keys).await
        })
    }

    fn put(&self, rows: &[store::Write<'_>]) -> Result<Written> {
        self.inner.put(rows)
    }

    fn count(&self) -> Result<u64> {
        self.inner.count()
    }

    fn clear(&self) -> Result<()> {
        self.inner.clear()
    }
}

/// A server whose service looks up a thing by its id.
fn server(change: impl FnOnce(&mut Config)) -> (Arc<Server>, Arc<Gate>) {
    let gate = Arc::new(Gate {
        come: AtomicUsize::new(0),
        open: Semaphore::new(0),
    });
    let around = gate.clone();
    let server = Server::start_with(change, |inner| {
        Arc::new(Gated {
            inner,
            gate: around,
        })
    });
    server.define(
        "/v1/views",
        "name = \"thing\"\nkey = [\"id\"]\n[columns]\nid = \"text\"\nsize = \"f64\"\n",
    );
    server.define(
        "/v1/services",
        "name = \"things\"\nfeatures = [\"thing.size\"]\n[request]\nid = \"text\"\n[[lookup]]\nview = \"thing\"\nkey = \"id\"\n",
    );
    (Arc::new(server), gate)
}

/// Asks for a thing that is kept back at the gate, and returns when it is there.
fn slow(server: &Arc<Server>, gate: &Gate) -> JoinHandle<u16> {
    let (asking, before) = (server.clone(), gate.come.load(SeqCst));
    let asked = spawn(move || asking.post(SCORE, body("slow")).status);
    until("it comes to the gate", || {
        (gate.come.load(SeqCst) > before).then_some(())
    });
    asked
}

fn body(id: &str) -> String {
    json!({ "inputs": { "id": id } }).to_string()
}

#[track_caller]
fn overloaded(answer: &RawAnswer, why: &str) {
    let expected = json!({
        "type": "urn:tidemill:problem:overloaded",
        "title": "The server has more to do than it can",
        "status": 503,
        "detail": format!("{why}; come again after the seconds in Retry-After"),
    });
    assert_eq!(answer.json, expected);
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let seconds: u64 = answer
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("Retry-After");
    assert!((1..=30).contains(&seconds), "{seconds}");
}

#[test]
fn beyond_the_places_a_request_is_turned_away_before_its_body_is_read() {
    let (server, gate) = server(|config| config.server.in_flight = 1);
    let first = slow(&server, &gate);

    // Nothing is sent of the body: the answer does not wait for it.
    let mut second = Raw::connect(&server);
    second.begin(SCORE, 100_000);
    let why = "as many requests are in flight as may be (server.in_flight)";
    overloaded(&second.answer(), why);

    for path in ["/healthz", "/readyz", "/metrics", "/v1/services"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let metrics = server.get("/metrics").text;
    let count = "tidemill_overloaded_total{limit=\"in_flight\"} 1\n";
    assert!(metrics.contains(count), "{metrics}");

    gate.open.add_permits(1000);
    assert_eq!(first.join().expect("it ends"), 200);
    // What was left of the body is thrown away, and the connection can be used again.
    second.send(vec![b' '; 100_000]);
    assert_eq!(second.ask(SCORE, &body("a")).status, 200);
}

#[test]
fn large_requests_have_fewer_places_and_leave_the_others_to_small_ones() {
    let (server, gate) = server(|config| {
        config.server.in_flight = 4;
        config.server.inline_bytes = 100;
    });
    let large = format!("{}{}", body("slow"), " ".repeat(100));
    let (asking, sent) = (server.clone(), large.clone());
    let first = spawn(move || asking.post(SCORE, sent).status);
    until("it comes to the gate", || {
        (gate.come.load(SeqCst) == 1).then_some(())
    });

    let mut second = Raw::connect(&server);
    let why = "as many large requests are in flight as may be (a quarter of server.in_flight)";
    overloaded(&second.ask(SCORE, &large), why);
    assert_eq!(second.ask(SCORE, &body("a")).status, 200);

    gate.open.add_permits(1000);
    assert_eq!(first.join().expect("it ends"), 200);
    assert_eq!(second.ask(SCORE, &large).status, 200);
}

#[test]
fn bodies_take_up_no_more_memory_than_they_may() {
    let (server, _) = server(|config| {
        config.server.body_limit = 1000;
        config.server.in_flight_bytes = 1000;
    });
    let mut other = Raw::connect(&server);
    let sent = format!("{}{}", body("a"), " ".repeat(100));
    let (slow, last) = until("there is no room", || {
        let mut slow = Raw::connect(&server);
        slow.begin(SCORE, 1000);
        slow.send([b' '; 950]);
        // Once those 950 bytes are there. Where they come while the other body is, they are what finds no room.
        let refused = (0..200)
            .find_map(|_| Some(other.ask(SCORE, &sent)).filter(|answer| answer.status != 200));
        Some((slow, refused?))
    });
    let why = "the bodies of requests take up what they may (server.in_flight_bytes)";
    overloaded(&last, why);

    drop(slow);
    until("there is room again", || {
        (other.ask(SCORE, &sent).status == 200).then_some(())
    });
}

#[test]
fn beyond_the_connections_one_is_told_so_and_closed() {
    let (server, _) = server(|config| {
        config.server.connections = 2;
    });
    // The connection that registered things is one; this is the other.
    let mut held = Raw::connect(&server);
    assert_eq!(held.ask(SCORE, &body("a")).status, 200);

    let mut over = Raw::connect(&server);
    let answer = over.ask(SCORE, &body("a"));
    overloaded(
        &answer,
        "as many connections are open as may be (server.connections)",
    );
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(over.closed());

    let mut health = Raw::connect(&server);
    health.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(health.answer().status, 200);
    assert!(health.closed());

    drop(held);
    until("there is a place again", || {
        let answer = Raw::connect(&server).ask(SCORE, &body("a"));
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_body_that_never_ends_is_cut_and_holds_no_place() {
    let (server, _) = server(|config| {
        // One for the request between, one to spare for a head that comes while it is answered: had the slow bodies
        // places, there would be none.
        config.server.in_flight = 2;
        config.server.body_seconds = 1;
    });
    let mut silent = Raw::connect(&server);
    silent.begin(SCORE, 100);
    silent.send("{");
    let mut dripping = Raw::connect(&server);
    dripping.begin(SCORE, 1_000_000);
    assert_eq!(Raw::connect(&server).ask(SCORE, &body("a")).status, 200);

    // A byte now and then does not help.
    let pause = Duration::from_millis(10);
    dripping.0.set_read_timeout(Some(pause)).expect("a pause");
    until("it is answered", || {
        let _ = dripping.0.write_all(b" ");
        dripping.0.peek(&mut [0]).ok()
    });
    dripping.0.set_read_timeout(None).expect("no pause");
    for connection in [&mut silent, &mut dripping] {
        let answer = connection.answer();
        let expected = json!({
            "type": "urn:tidemill:problem:slow-body",
            "title": "The body did not come in time",
            "status": 408,
            "detail": "body: it did not come in time: a body may keep the server waiting 1 seconds (server.body_seconds)",
            "field": "body",
        });
        assert_eq!(answer.json, expected);
        assert_eq!(answer.status, 408);
        assert!(connection.closed());
    }
}

#[test]
fn idle_connections_and_heads_that_never_end_are_closed() {
    let (server, _) = server(|config| config.server.idle_seconds = 1);
    let mut idle = Raw::connect(&server);
    assert_eq!(idle.ask(SCORE, &body("a")).status, 200);
    let mut silent = Raw::connect(&server);
    let mut half = Raw::connect(&server);
    half.send("POST /v1/services HTTP/1.1\r\nhost: loc");
    for connection in [&mut idle, &mut silent, &mut half] {
        assert!(connection.closed());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_does_not_read_its_answer_is_let_go() {
    let (server, _) = server(|config| config.server.idle_seconds = 1);
    let rows = vec![json!({ "id": "a" }); 100_000];
    let body = json!({ "rows": rows }).to_string();
    let mut deaf = Raw::connect(&server);
    deaf.begin(SCORE, body.len());
    deaf.send(body);
    let pause = Duration::from_millis(10);
    deaf.0.set_write_timeout(Some(pause)).expect("a pause");
    // What is not an answer to a full pipe is the end of the connection.
    until("the connection ends", || {
        let refused = deaf.0.write(b" ").err()?;
        (refused.kind() != std::io::ErrorKind::WouldBlock).then_some(())
    });
}
