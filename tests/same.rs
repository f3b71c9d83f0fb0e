//! The proof: what was answered online and what is computed offline from the same events have the same bits.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::command_line::{bad, good, tidemill};
use super::flights::{in_order, sample};
use super::support::{Server, count, file, register_flights, until};
use tidemill::store::{AsOf, OnlineStore, ViewRows, Write, Written};

/// Posts the sample in the order the flights left, an hour's weather first.
fn post(server: &Server, sample: &[(Value, Value)]) {
    in_order(server, sample, |server, hour| {
        if hour.is_empty() {
            return;
        }
        let rows: Vec<&Value> = hour.iter().map(|(request, _)| request).collect();
        let answer = server.post(
            "/v1/services/flight-delay/score",
            json!({ "rows": rows }).to_string(),
        );
        assert_eq!(answer.status, 200, "{}", answer.text);
    });
}

fn build(server: &Server, out: &Path) -> String {
    good(
        tidemill(&[
            "training-set",
            "build",
            "--service",
            "flight-delay@1",
            "--spine",
        ])
        .arg(file("demo/flights/flights.parquet"))
        .arg("--out")
        .arg(out)
        .args(["--server", server.url()]),
    )
}

#[test]
fn a_training_set_has_the_bits_of_the_answers() {
    let server = Server::start(|config| {
        config.skew.share = 1.0;
        config.skew.queue = 10_000;
    });
    register_flights(&server);
    let sample = sample();
    post(&server, &sample);
    // All of it is computed again in the running server, on fresh instances and from the views' history.
    let audited = |metrics: &str| count(metrics, "tidemill_skew_audited_rows_total");
    let metrics = wait_for(&server, "all is computed again", |metrics| {
        audited(metrics) == sample.len() as u64
    });
    assert_eq!(count(&metrics, "tidemill_skew_total"), 0, "{metrics}");
    assert_eq!(count(&metrics, "tidemill_skew_audits_failed_total"), 0);
    let dir = tempfile::tempdir().expect("a folder");
    let set = dir.path().join("set");
    let said = build(&server, &set);
    assert!(
        said.contains(&format!("{} rows of flight-delay@1", sample.len())),
        "{said}"
    );
    let key = ["--key", "request.flight_id"];
    let log = server.log();
    let said = good(
        tidemill(&["training-set", "diff"])
            .args([&log, &set])
            .args(key),
    );
    let expected = format!(
        "{} rows on both sides, 0 on the left alone, 0 on the right alone",
        sample.len()
    );
    assert!(
        said.contains(&expected) && said.ends_with("0 differences\n"),
        "{said}"
    );

    // The log alone, with the service's bundle, gives the same bits again.
    let bundle = dir.path().join("flight-delay.tar");
    good(
        tidemill(&["service", "export", "flight-delay@1", "--out"])
            .arg(&bundle)
            .args(["--server", server.url()]),
    );
    let replay = |log: &Path| {
        let mut command = tidemill(&["replay"]);
        command.arg(log).arg("--bundle").arg(&bundle);
        command
    };
    let said = good(&mut replay(&log));
    let expected = format!("{} rows of flight-delay@1 run again", sample.len());
    assert!(
        said.contains(&expected) && said.ends_with("0 differences\n"),
        "{said}"
    );

    // A row of the weather that comes late: the answers did not know it, and a set made now does.
    let (flight, _) = sample[sample.len() / 2..]
        .iter()
        .find(|(flight, _)| !flight["departed"].to_string().contains(":00:00"))
        .expect("a flight that left within an hour");
    let late =
        json!({ "origin": flight["origin"], "time_hour": flight["departed"], "temp": -40.0 });
    let answer = server.post_as(
        "/v1/views/weather/rows",
        "application/x-ndjson",
        late.to_string(),
    );
    assert_eq!(
        answer.json,
        json!({ "rows": 1, "stored": 0, "outdated": 1 })
    );
    let later = dir.path().join("later");
    build(&server, &later);
    let said = bad(tidemill(&["training-set", "diff"])
        .args([&log, &later])
        .args(key));
    assert!(said.contains("differences"), "{said}");
    let found = tidemill(&["training-set", "diff", "--json"])
        .args([&log, &later])
        .args(key)
        .output()
        .expect("the program starts");
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    let different: Vec<&str> = found["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .filter(|column| column["different"] != 0)
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert!(
        different.contains(&"weather.temp") && different.contains(&"weather.event_time"),
        "{different:?}"
    );
    for name in different {
        assert!(
            name.starts_with("weather.") || name.starts_with("risk."),
            "{name}"
        );
    }
}

/// The metrics, once they are as they should be.
fn wait_for(server: &Server, what: &str, good: impl Fn(&str) -> bool) -> String {
    until(what, || {
        Some(server.get("/metrics").text).filter(|metrics| good(metrics))
    })
}

/// A store whose history is not what it gave when it was asked: what a defect of a store would look like.
struct Forgetful(Arc<dyn OnlineStore>);

struct ForgetfulRows(Arc<dyn ViewRows>);

impl OnlineStore for Forgetful {
    fn view(&self, name: &str) -> tidemill::error::Result<Arc<dyn ViewRows>> {
        let rows = self.0.view(name)?;
        Ok(match name {
            "plane" => Arc::new(ForgetfulRows(rows)),
            _ => rows,
        })
    }

    fn flush(&self) -> tidemill::error::Result<()> {
        self.0.flush()
    }
}

impl ViewRows for ForgetfulRows {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn get(
        &self,
        key: &[u8],
        as_of: AsOf,
        found: &mut dyn FnMut(&[u8]),
    ) -> tidemill::error::Result<bool> {
        match as_of.arrival {
            i64::MAX => self.0.get(key, as_of, found),
            _ => Ok(false),
        }
    }

    fn put(&self, rows: &[Write<'_>]) -> tidemill::error::Result<Written> {
        self.0.put(rows)
    }

    fn count(&self) -> tidemill::error::Result<u64> {
        self.0.count()
    }

    fn clear(&self) -> tidemill::error::Result<()> {
        self.0.clear()
    }
}

#[test]
fn the_running_server_sees_an_answer_that_cannot_be_had_again() {
    let server = Server::start_with(
        |config| config.skew.share = 1.0,
        |store| Arc::new(Forgetful(store)),
    );
    register_flights(&server);
    let (flight, _) = &sample()[0];
    let answer = server.post(
        "/v1/services/flight-delay/score",
        json!({ "inputs": flight }).to_string(),
    );
    assert_eq!(answer.json["results"][0]["lookups"]["plane"], "present");
    let metrics = wait_for(&server, "the skew is seen", |metrics| {
        count(metrics, "tidemill_skew_total") > 0
    });
    assert!(
        metrics.contains(
            "tidemill_skew_total{column=\"plane.status\",service=\"flight-delay\",version=\"1\"} 1"
        ),
        "{metrics}"
    );
    let evidence = server.data().join("skew");
    let id = answer.json["request_id"].as_str().expect("an id");
    let evidence = std::fs::read_to_string(evidence.join(format!("{id}.json"))).expect("evidence");
    let evidence: Value = serde_json::from_str(&evidence).expect("JSON");
    let status = evidence
        .as_array()
        .and_then(|all| all.iter().find(|one| one["column"] == "plane.status"));
    let status = status.expect("the status differs");
    assert_eq!(
        (
            &status["answered"],
            &status["again"],
            &status["request"]["tailnum"]
        ),
        (&json!("present"), &json!("not_found"), &flight["tailnum"])
    );
}
