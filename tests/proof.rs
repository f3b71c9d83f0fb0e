//! The proof on whole months: the weather written as its hour comes, every flight that departed asked about in the order
//! they left, one request each; then the same computed offline. Not a bit differs.
//!
//! January 2013 runs with the tests. The year, from a folder with nycflights13's `flights.parquet` and `weather.parquet`:
//!
//! ```text
//! TIDEMILL_PROOF=../shared/data/nycflights13 cargo test --release --test end_to_end proof:: -- --nocapture
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use tidemill::view::View;

use super::command_line::{good, tidemill};
use super::flights::{field, read};
use super::support::{Server, file, register_flights, text};

/// A flight as the service is asked about it, and when it left (µs).
struct Flight {
    departed: i64,
    id: String,
    request: String,
}

const MINUTE: i64 = 60_000_000;

fn folder() -> PathBuf {
    match std::env::var_os("TIDEMILL_PROOF") {
        // As seen from where the tests are started, or from the checkout.
        Some(dir) if Path::new(&dir).is_absolute() => dir.into(),
        Some(dir) => file("").join(dir),
        None => file("tests/data/january-2013"),
    }
}

/// Every flight that left the gate, in the order they did.
fn departed(folder: &Path) -> Vec<Flight> {
    let types = [
        ("time_hour", "timestamp"),
        ("minute", "i64"),
        ("dep_delay", "f64"),
        ("year", "i64"),
        ("month", "i64"),
        ("day", "i64"),
        ("carrier", "text"),
        ("flight", "i64"),
        ("tailnum", "text"),
        ("origin", "text"),
        ("dest", "text"),
    ];
    let schema = types.map(|(name, data_type)| field(name, data_type));
    let schema = tidemill::schema::Schema::new(schema.into());
    let rows = read(&folder.join("flights.parquet"), &schema);
    let left = rows.iter().filter(|row| !row["dep_delay"].is_null());
    let mut flights: Vec<Flight> = left.map(flight).collect();
    flights.sort_by(|a, b| (a.departed, &a.id).cmp(&(b.departed, &b.id)));
    flights
}

fn flight(row: &Value) -> Flight {
    let number = |name: &str| row[name].as_i64().expect("a number");
    let word = |name: &str| row[name].as_str().expect("a text");
    let scheduled = micros(word("time_hour")) + number("minute") * MINUTE;
    let delay = row["dep_delay"].as_f64().expect("minutes");
    let departed = scheduled + delay as i64 * MINUTE;
    let id = format!(
        "{}{}/{}-{:02}-{:02}/{}",
        word("carrier"),
        number("flight"),
        number("year"),
        number("month"),
        number("day"),
        word("origin")
    );
    let request = json!({
        "flight_id": id,
        "carrier": row["carrier"],
        "tailnum": row["tailnum"],
        "origin": row["origin"],
        "dest": row["dest"],
        "scheduled": time(scheduled),
        "departed": time(departed),
    });
    Flight {
        departed,
        id,
        request: request.to_string(),
    }
}

fn micros(time: &str) -> i64 {
    tidemill::request::parse_timestamp(time).expect("a time")
}

fn time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros);
    time.expect("a time").to_string()
}

/// Answers each flight with the weather of its hour, and of no later one, in the store.
fn live_through(server: &Server, flights: &[Flight], folder: &Path) {
    let view = View::from_toml(&text("demo/flights/weather.toml")).expect("the view");
    let mut weather = read(&folder.join("weather.parquet"), &view.columns);
    let hour = |row: &Value| micros(row["time_hour"].as_str().expect("a time"));
    weather.sort_by_key(hour);
    let mut left = flights;
    let ask = |flights: &[Flight]| {
        for flight in flights {
            let body = format!("{{\"inputs\":{}}}", flight.request);
            let (status, answer) = server.score("flight-delay", &body);
            assert_eq!(status, 200, "{answer}");
        }
    };
    for rows in weather.chunk_by(|a, b| hour(a) == hour(b)) {
        let begins = hour(&rows[0]);
        let (before, after) = left.split_at(left.partition_point(|one| one.departed < begins));
        ask(before);
        left = after;
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        let answer = server.post_as(
            "/v1/views/weather/rows",
            "application/x-ndjson",
            lines.join("\n"),
        );
        assert_eq!(answer.json["stored"], rows.len());
    }
    ask(left);
}

#[test]
fn a_whole_month_has_no_differing_bit() {
    let started = Instant::now();
    let told = |what: &str| println!("{:>6.1} s  {what}", started.elapsed().as_secs_f64());
    let folder = folder();
    let flights = departed(&folder);
    let server = Server::start(|config| {
        // The running server looks for itself as well, while it answers.
        config.skew.share = 0.05;
        config.skew.queue = 10_000;
    });
    register_flights(&server);
    told(&format!("{} flights left", flights.len()));
    live_through(&server, &flights, &folder);
    let log = server.log();
    told("all answered, one by one");
    let metrics = server.get("/metrics").text;
    for never in [
        "tidemill_log_dropped 0",
        "tidemill_log_failed 0",
        "tidemill_skew_audits_failed_total 0",
    ] {
        assert!(metrics.contains(never), "{never}: {metrics}");
    }
    assert!(!metrics.contains("tidemill_skew_total{"), "{metrics}");

    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let spine = dir.path().join("spine.ndjson");
    let mut lines = std::io::BufWriter::new(std::fs::File::create(&spine).expect("a file"));
    for flight in &flights {
        writeln!(lines, "{}", flight.request).expect("a line");
    }
    lines.into_inner().expect("all lines");
    let set = dir.path().join("set");
    let server_url = ["--server", server.url()];
    good(
        tidemill(&["training-set", "build", "--service", "flight-delay@1"])
            .arg("--spine")
            .arg(&spine)
            .arg("--out")
            .arg(&set)
            .args(server_url),
    );
    told("the training set is built");
    let compared = format!(
        "{} rows on both sides, 0 on the left alone, 0 on the right alone",
        flights.len()
    );
    let said = good(
        tidemill(&["training-set", "diff"])
            .args([&log, &set])
            .args(["--key", "request.flight_id"]),
    );
    assert!(
        said.contains(&compared) && said.ends_with("0 differences\n"),
        "{said}"
    );
    told(&format!("training set and log compared: {}", said.trim()));

    // And the scores, which are no part of a training set: from the log and the service's bundle alone.
    let bundle = dir.path().join("flight-delay.tar");
    good(
        tidemill(&["service", "export", "flight-delay@1", "--out"])
            .arg(&bundle)
            .args(server_url),
    );
    let said = good(tidemill(&["replay"]).arg(&log).arg("--bundle").arg(&bundle));
    let again = format!("{} rows of flight-delay@1 run again", flights.len());
    assert!(
        said.contains(&again) && said.ends_with("0 differences\n"),
        "{said}"
    );
    told(&format!("the log replayed: {}", said.trim()));
}
