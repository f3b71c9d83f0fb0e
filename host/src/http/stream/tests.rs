//! Streams without a socket: what is read, counted, and when.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use tempfile::TempDir;

use super::chunk::Scoring;
use super::{CHUNK_BYTES, CHUNK_ROWS, Stream};
use crate::app::App;
use crate::config::Config;
use crate::http::score::guarded;
use crate::service::{Definition, Wanted};

struct Fixture {
    app: Arc<App>,
    _data: TempDir,
}

const SERVICE: &str = "name = \"echo\"\nfeatures = [\"x\", \"note\"]\n[request]\nx = { type = \"f64\", maximum = 1e6 }\n\
                       note = { type = \"text\", nullable = true }\n";

impl Fixture {
    fn new() -> Fixture {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config {
            data_dir: data.path().to_owned(),
            ..Config::default()
        };
        config.log.enabled = false;
        config.server.body_limit = 1 << 20;
        let app = Arc::new(App::open(config).unwrap());
        app.registry
            .register_service(Definition::from_toml(SERVICE).unwrap())
            .unwrap();
        Fixture { app, _data: data }
    }

    fn stream(&self, body: Body, whole: bool) -> Stream {
        let scoring = Scoring {
            app: self.app.clone(),
            service: self
                .app
                .registry
                .catalog()
                .service_by_id("echo")
                .unwrap()
                .clone(),
            wanted: Wanted::Features,
            features: true,
        };
        Stream::new(scoring, body, whole)
    }

    async fn all(&self, body: impl Into<Body>) -> Vec<Value> {
        let chunks: Vec<_> = self.stream(body.into(), false).answers().collect().await;
        let text: Vec<u8> = chunks.into_iter().flat_map(Result::unwrap).collect();
        text.split_inclusive(|&byte| byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

/// A body of as many pieces as are asked for, which counts the bytes it gave.
fn counted(piece: Vec<u8>, pieces: usize) -> (Body, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let piece = Bytes::from(piece);
    let stream = futures_util::stream::iter(0..pieces).map(move |_| {
        count.fetch_add(piece.len(), Ordering::SeqCst);
        Ok::<_, std::io::Error>(piece.clone())
    });
    (Body::from_stream(stream), given)
}

#[tokio::test]
async fn each_line_is_answered_as_it_would_be_in_an_array() {
    let fixture = Fixture::new();
    let lines = [
        "{\"x\":1}",
        "{\"x\":0.1,\"note\":\"a\\nb\"}",
        "",
        "{\"y\":1}",
        "  ",
        "{\"x\":1e300}",
        "{\"x\":2},{\"x\":3}",
        "{\"x\":4}\r",
        "{\"x\":5",
        "{\"note\":null,\"x\":6}",
    ];
    let found = fixture.all(lines.join("\n")).await;
    let body = "{\"rows\":[{\"x\":1},{\"x\":0.1,\"note\":\"a\\nb\"},{\"x\":4},{\"x\":6}]}";
    let catalog = fixture.app.registry.catalog();
    let direct = guarded(
        &fixture.app,
        catalog.service_by_id("echo").unwrap(),
        Wanted::Features,
        body.as_bytes(),
    )
    .await;
    let direct: Value = serde_json::from_slice(&direct.unwrap()).unwrap();

    assert_eq!(found.len(), 8);
    let mut good = direct["results"].as_array().unwrap().iter();
    for (row, mut line) in found.into_iter().enumerate() {
        let place = [0, 1, 3, 5, 6, 7, 8, 9][row] + 1;
        assert_eq!(line["row"], row);
        if line.get("error").is_some() {
            assert_eq!(line["error"]["line"], place);
            let field = line["error"]["field"].as_str().unwrap();
            assert!(field.starts_with(&format!("rows[{row}]")), "{field}");
            continue;
        }
        let object = line.as_object_mut().unwrap();
        object.shift_remove("row");
        assert!(object.shift_remove("request_id").is_some());
        assert_eq!(Some(&line), good.next());
    }
    assert_eq!(good.next(), None);
}

#[tokio::test]
async fn no_more_is_read_than_is_answered() {
    let fixture = Fixture::new();
    // 50 MB, in the pieces a socket would give.
    let line = format!("{{\"x\":1,\"note\":\"{}\"}}\n", "n".repeat(230));
    let piece = line.repeat(64);
    let pieces = 50_000_000 / piece.len();
    let (body, given) = counted(piece.clone().into_bytes(), pieces);
    let mut answers = pin!(fixture.stream(body, false).answers());
    assert_eq!(given.load(Ordering::SeqCst), 0, "nobody has asked yet");
    let (mut rows, mut most) = (0, 0);
    while let Some(answer) = answers.next().await {
        rows += answer
            .unwrap()
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        most = most.max(given.load(Ordering::SeqCst) - rows * line.len());
        // However long the client takes over this answer, nothing moves until it asks for the next.
        tokio::task::yield_now().await;
    }
    assert_eq!(rows, pieces * 64);
    assert!(
        most <= CHUNK_BYTES + piece.len(),
        "{most} bytes were waiting"
    );
}

#[tokio::test]
async fn a_lone_line_is_answered_before_the_next_comes() {
    let fixture = Fixture::new();
    let (send, receive) = tokio::sync::mpsc::channel::<&str>(1);
    let body = futures_util::stream::unfold(receive, |mut receive| async {
        let line = receive.recv().await?;
        Some((Ok::<_, std::io::Error>(line), receive))
    });
    let mut answers = pin!(fixture.stream(Body::from_stream(body), false).answers());
    for row in 0..3 {
        send.send("{\"x\":1}\n").await.unwrap();
        let answer: Value =
            serde_json::from_slice(&answers.next().await.unwrap().unwrap()).unwrap();
        assert_eq!(answer["row"], row);
    }
    drop(send);
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_body_along() {
    let fixture = Fixture::new();
    let (body, given) = counted(b"{\"x\":1}\n".repeat(10_000), 1_000);
    let weak = Arc::downgrade(&given);
    drop(given);
    {
        let mut answers = pin!(fixture.stream(body, false).answers());
        answers.next().await.unwrap().unwrap();
        assert_eq!(fixture.app.metrics.in_flight.get(), 1);
        assert!(weak.upgrade().is_some());
    }
    assert!(weak.upgrade().is_none(), "the body is gone");
    assert_eq!(fixture.app.metrics.in_flight.get(), 0);
}

#[tokio::test]
async fn a_line_without_an_end_ends_the_stream() {
    let fixture = Fixture::new();
    let long = format!("{{\"x\":1,\"note\":\"{}\"}}", "n".repeat(1 << 20));
    let found = fixture
        .all(format!("{{\"x\":1}}\n\n{long}\n{{\"x\":2}}\n"))
        .await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["features"]["x"], 1.0);
    assert_eq!(found[1]["row"], 1);
    let error = &found[1]["error"];
    assert_eq!((&error["status"], &error["line"]), (&413.into(), &3.into()));
    assert_eq!(error["detail"], "line 3 is over the limit of 1048576 bytes");

    // The same where it never ends: it is not collected.
    let (body, given) = counted(vec![b' '; 1 << 16], 1_000_000);
    let found = fixture.all(body).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["error"]["type"], "urn:tidemill:problem:too-large");
    assert!(given.load(Ordering::SeqCst) <= 2 << 20);
}

#[tokio::test]
async fn a_body_that_breaks_off_says_so() {
    let fixture = Fixture::new();
    let pieces = [
        Ok("{\"x\":1}\n{\"x\":"),
        Err(std::io::Error::other("the cable was cut")),
    ];
    let found = fixture
        .all(Body::from_stream(futures_util::stream::iter(pieces)))
        .await;
    let last = &found[found.len() - 1]["error"];
    let detail = last["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("body: it broke off") && detail.contains("the cable was cut"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_chunk_is_bounded_in_rows() {
    let fixture = Fixture::new();
    let body = "{\"x\":1}\n".repeat(CHUNK_ROWS * 2 + 1);
    let stream = fixture.stream(Body::from(body), true);
    let sizes: Vec<usize> = stream
        .answers()
        .map(|answer| {
            answer
                .unwrap()
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
        })
        .collect()
        .await;
    assert_eq!(sizes, [CHUNK_ROWS, CHUNK_ROWS, 1]);
}
