//! Rows as NDJSON, answered as they come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Server, cards, flight, flights, guests, serve, until};

/// Posts lines and reads those that come back.
fn lines(server: &Server, path: &str, body: &str) -> Vec<Value> {
    let answer = server.post_as(path, "application/x-ndjson", body);
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (200, "application/x-ndjson"),
        "{}",
        answer.text
    );
    answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// A line without what only a stream says.
fn bare(line: &Value) -> Value {
    let mut line = line.clone();
    let object = line.as_object_mut().expect("an object");
    object.remove("row");
    object.remove("request_id");
    if let Some(error) = object.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("row");
    }
    line
}

fn named(nth: usize) -> Value {
    let mut flight = flight();
    flight["flight_id"] = json!(format!("flight {nth}"));
    if nth.is_multiple_of(3) {
        flight["tailnum"] = Value::Null;
    }
    flight
}

#[test]
fn a_stream_is_answered_as_one_request_would_be() {
    let rows: Vec<Value> = (0..2_500).map(named).collect();
    let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let found = lines(
        flights(),
        "/v1/services/flight-delay/score?features=true",
        &body,
    );
    let direct = flights().post(
        "/v1/services/flight-delay/score",
        json!({ "rows": rows, "features": true }).to_string(),
    );
    let direct = direct.json["results"].as_array().expect("results");
    assert_eq!((found.len(), direct.len()), (2_500, 2_500));
    for (row, (line, expected)) in found.iter().zip(direct).enumerate() {
        assert_eq!(line["row"], row);
        assert_eq!(&bare(line), expected, "row {row}");
    }
    // A chunk is a request, and its results name it.
    let mut ids: Vec<&str> = found
        .iter()
        .filter_map(|line| line["request_id"].as_str())
        .collect();
    assert_eq!(ids.len(), 2_500);
    ids.dedup();
    assert!((3..=50).contains(&ids.len()), "{} requests", ids.len());
}

#[test]
fn a_bad_line_is_answered_and_the_stream_goes_on() {
    let mut far = flight();
    far["departed"] = json!("soon");
    let body = format!("{0}\n\n{far}\n{{\n{0}", flight());
    let found = lines(flights(), "/v1/services/flight-delay/score", &body);
    assert_eq!(found.len(), 4);
    assert_eq!(bare(&found[0]), bare(&found[3]));
    let error = &found[1]["error"];
    assert_eq!(
        (
            &found[1]["row"],
            &error["field"],
            &error["line"],
            &error["status"]
        ),
        (
            &json!(1),
            &json!("rows[1].departed"),
            &json!(3),
            &json!(400)
        )
    );
    let detail = error["detail"].as_str().expect("a sentence");
    assert!(detail.contains("RFC 3339"), "{detail}");
    assert_eq!(
        (&found[2]["row"], &found[2]["error"]["line"]),
        (&json!(2), &json!(4))
    );
}

#[test]
fn what_can_be_refused_at_once_is() {
    let ask = |path: &str| flights().post_as(path, "application/x-ndjson", "{}\n");
    assert_eq!(ask("/v1/services/flight-dely/score").status, 404);
    let answer = ask("/v1/services/flight-delay/score?feature=true");
    assert_eq!(answer.status, 400);
    let detail = answer.json["detail"].as_str().expect("a sentence");
    assert!(
        detail.contains("`feature`") && detail.contains("features=true"),
        "{detail}"
    );
    let answer = cards().post_as(
        "/v1/services/card-features/score",
        "application/x-ndjson",
        "{}\n",
    );
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("it has no model"), "{}", answer.text);
    assert!(lines(flights(), "/v1/services/flight-delay/score", "").is_empty());
    assert!(lines(flights(), "/v1/services/flight-delay/score", "\n\n").is_empty());
}

/// A row alone in its chunk is answered as one among a thousand is: how rows arrive must not show.
#[test]
fn a_refused_row_looks_the_same_alone() {
    let path = "/v1/services/refuses/features";
    let alone = lines(guests(), path, "{\"x\":13}\n");
    let among = lines(guests(), path, "{\"x\":1}\n{\"x\":13}\n{\"x\":2}\n");
    assert_eq!(bare(&alone[0]), bare(&among[1]));
    assert_eq!(
        (&alone[0]["error"]["row"], &among[1]["error"]["row"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        alone[0]["error"]["type"],
        "urn:tidemill:problem:row-refused"
    );
    assert_eq!(among[2]["features"], json!({ "guest.y": 3.0 }));
}

/// A transform that fails on a row fails in each call that holds it: the neighbours are tried without it.
#[test]
fn a_row_that_a_transform_fails_on_fails_alone() {
    let unlucky = |row: usize| matches!(row, 0 | 400 | 401 | 1_700);
    let body: String = (0..2_000)
        .map(|row| format!("{{\"x\":{}}}\n", if unlucky(row) { 13 } else { 1 }))
        .collect();
    for (service, cause) in [("panics", "trap"), ("endless-loop", "out_of_fuel")] {
        let found = lines(guests(), &format!("/v1/services/{service}/features"), &body);
        assert_eq!(found.len(), 2_000);
        for (row, line) in found.iter().enumerate() {
            assert_eq!(line["row"], row);
            match unlucky(row) {
                true => assert_eq!(line["error"]["cause"], cause, "{line}"),
                false => assert_eq!(line["features"], json!({ "guest.y": 2.0 }), "{line}"),
            }
        }
    }
}

/// A service's deadline is for those who wait; of a thousand rows at one time it would be a lottery.
#[test]
fn a_stream_is_not_held_to_the_deadline() {
    guests().define(
        "/v1/services",
        "name = \"hurried\"\ndeadline = \"1ms\"\n[request]\nx = \"f64\"\n\
         [[transform]]\nuse = \"endless-loop@1\"\nas = \"first\"\ndefault = { y = 0 }\n\
         [[transform]]\nuse = \"panics@1\"\nas = \"second\"\nbind = { x = \"first.y\" }\n",
    );
    let path = "/v1/services/hurried/features";
    // It takes all of its fuel, which is more than a millisecond of it.
    let direct = guests().post(path, "{\"inputs\":{\"x\":13}}");
    assert_eq!(direct.status, 504, "{}", direct.text);
    let found = lines(guests(), path, "{\"x\":13}\n");
    assert_eq!(
        found[0]["features"],
        json!({ "first.y": 0.0, "second.y": 1.0 })
    );
}

/// Writes chunked, as a client does that does not know how much will come.
fn open(url: &str, path: &str) -> (TcpStream, BufReader<TcpStream>) {
    let address = url.strip_prefix("http://").expect("a url");
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    .expect("it is sent");
    let reader = BufReader::new(stream.try_clone().expect("both ways"));
    (stream, reader)
}

fn send(stream: &mut TcpStream, lines: &str) {
    write!(stream, "{:x}\r\n{lines}\r\n", lines.len()).expect("it is sent");
}

/// The next line of a chunked answer that is JSON: what stands between are heads and sizes.
fn next(reader: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut line = String::new();
    while reader.read_line(&mut line).expect("an answer") > 0 {
        if line.starts_with('{') {
            return Some(serde_json::from_str(&line).expect("JSON"));
        }
        line.clear();
    }
    None
}

#[test]
fn a_client_that_waits_for_each_answer_gets_it() {
    let (mut stream, mut reader) = open(guests().url(), "/v1/services/refuses/features");
    for row in 0..5 {
        send(&mut stream, &format!("{{\"x\":{row}}}\n"));
        let line = next(&mut reader).expect("an answer");
        assert_eq!(line["row"], row);
        assert_eq!(line["features"]["guest.y"], f64::from(row) + 1.0);
    }
    stream.write_all(b"0\r\n\r\n").expect("the end is sent");
    assert_eq!(next(&mut reader), None);
}

/// 50 MB are to be written by a client that reads nothing: most of them wait at the client, and none is lost.
#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let row = format!("{{\"x\":1,\"{}\":0}}\n", "n".repeat(1_000));
    let piece = row.repeat(50);
    let pieces = 50_000_000 / piece.len();
    let (mut stream, mut reader) = open(guests().url(), "/v1/services/refuses/features");
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let length = piece.len();
    let writer = std::thread::spawn(move || {
        for _ in 0..pieces {
            send(&mut stream, &piece);
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
        stream.write_all(b"0\r\n\r\n").expect("the end is sent");
    });
    // Until it stands still. Where a busy machine makes it seem so too early, less has been written, not more.
    let (mut seen, mut since) = (0, Instant::now());
    until("it stands still", || {
        let now = written.load(Ordering::SeqCst);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        (since.elapsed() >= Duration::from_secs(1) || seen == pieces * length).then_some(())
    });
    // The buffers of two sockets, each way, of some megabytes at most; and what the server holds, which is a chunk.
    assert!(seen < 30_000_000, "{seen} bytes were taken from it");
    let mut rows = 0;
    while let Some(line) = next(&mut reader) {
        assert_eq!(line["row"], rows);
        rows += 1;
    }
    writer.join().expect("it wrote");
    assert_eq!(rows, pieces * length / row.len());
}

#[test]
fn a_client_that_goes_away_is_no_longer_worked_for() {
    let in_flight = || {
        let text = guests().get("/metrics").text;
        let line = text
            .lines()
            .find(|line| line.starts_with("tidemill_requests_in_flight "));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .expect("a gauge")
    };
    let (mut stream, mut reader) = open(guests().url(), "/v1/services/leaks/features");
    send(&mut stream, "{\"x\":1}\n");
    assert!(next(&mut reader).is_some());
    assert!(in_flight() >= 1);
    drop((stream, reader));
    // Other tests ask the same server now and then; at some moment nobody does.
    until("it is in flight no more", || {
        (in_flight() == 0).then_some(())
    });
}

/// 1,000,000 flights through the real program, and the memory that took. Run it alone:
/// `TIDEMILL_MILLION=1 cargo test --release -p tidemill --test end_to_end a_million_rows -- --nocapture`
#[test]
fn a_million_rows_in_bounded_memory() {
    if std::env::var_os("TIDEMILL_MILLION").is_none() {
        return;
    }
    const ROWS: usize = 1_000_000;
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // To admit transforms and models takes memory too, and is another matter: that is done by another process.
    let first = Server::start(|_| {});
    super::support::register_flights(&first);
    first.copy(data.path());
    drop(first);
    let (process, url) = serve(data.path());
    let status = format!("/proc/{}/status", process.id());
    let peak = || -> u64 {
        let text = std::fs::read_to_string(&status).expect("the process");
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        kib.expect("a size")
    };
    let before = peak();
    let (mut stream, mut reader) = open(&url, "/v1/services/flight-delay/score?features=true");
    let started = Instant::now();
    let writer = std::thread::spawn(move || {
        let piece: String = (0..100).map(|nth| format!("{}\n", named(nth))).collect();
        for _ in 0..ROWS / 100 {
            send(&mut stream, &piece);
        }
        stream.write_all(b"0\r\n\r\n").expect("the end is sent");
    });
    let mut answer = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    loop {
        answer.clear();
        if reader
            .by_ref()
            .take(1 << 20)
            .read_until(b'\n', &mut answer)
            .expect("an answer")
            == 0
        {
            break;
        }
        if answer.starts_with(b"{\"row\":") {
            let head = format!("{{\"row\":{rows},\"request_id\"");
            assert!(
                answer.starts_with(head.as_bytes()),
                "{}",
                String::from_utf8_lossy(&answer)
            );
            rows += 1;
        }
        bytes += answer.len();
    }
    writer.join().expect("it wrote");
    let (seconds, peak) = (started.elapsed().as_secs_f64(), peak());
    println!(
        "{rows} rows in {seconds:.1} s ({:.0} a second), {} MB of answers; the server's VmHWM {} MiB, {} MiB before",
        rows as f64 / seconds,
        bytes / 1_000_000,
        peak / 1024,
        before / 1024
    );
    assert_eq!(rows, ROWS);
    assert!(peak < 300 * 1024, "{} MiB", peak / 1024);
}
