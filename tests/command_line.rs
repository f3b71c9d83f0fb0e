//! The program as a person types it.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::support::{Server, cards, file, flight, flights, guest, serve, signal};

pub fn tidemill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(args);
    command
}

#[track_caller]
pub fn good(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", words(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
pub fn bad(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(!output.status.success(), "{command:?} went well");
    words(&output)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Loads a file's rows into a view, as an admin would.
pub fn load(server: &Server, view: &str, rows: &str) {
    good(
        tidemill(&["view", "load", view])
            .arg(file(rows))
            .args(["--server", server.url()]),
    );
}

#[test]
fn help_is_worth_reading() {
    let help = good(&mut tidemill(&["--help"]));
    for command in [
        "demo",
        "serve",
        "transform",
        "view",
        "model",
        "service",
        "score",
        "apply",
        "token",
        "audit",
        "job",
        "drift",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{help}");
    }
    let transform = good(&mut tidemill(&["transform", "--help"]));
    for command in [
        "new", "build", "check", "test", "register", "list", "show", "diff", "source",
    ] {
        assert!(transform.contains(&format!("  {command} ")), "{transform}");
    }
}

#[test]
fn a_file_of_rows_is_scored() {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = dir.path().join("rows.ndjson");
    std::fs::write(&rows, format!("{0}\n\n{0}\n", flight())).expect("it is written");
    let out = good(
        tidemill(&["score", "flight-delay", "--file"])
            .arg(&rows)
            .args(["--server", flights().url()]),
    );
    let results: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0], results[1]);
    assert!(results[0]["score"].is_number());

    let one = good(
        tidemill(&["score", "flight-delay", &flight().to_string()])
            .args(["--server", flights().url()]),
    );
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one["results"][0], results[0]);
}

#[test]
fn refusals_say_what_to_do() {
    let server = ["--server", flights().url()];
    let message = bad(tidemill(&["score", "flight-dely", "{}"]).args(server));
    assert!(
        message.contains("there is no service \"flight-dely\"; there is flight-delay"),
        "{message}"
    );
    let message = bad(&mut tidemill(&[
        "score",
        "flight-delay",
        "{}",
        "--server",
        "http://127.0.0.1:1",
    ]));
    assert!(
        message.contains("start a server with `tidemill serve`"),
        "{message}"
    );
}

#[test]
fn a_component_is_checked_without_a_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, guest(name)).expect("it is written");
        path
    };
    let out = good(tidemill(&["transform", "check"]).arg(write("good")));
    assert!(
        out.contains("good@1.0.0, sha256:") && out.contains("in   x     f64"),
        "{out}"
    );
    let message = bad(tidemill(&["transform", "check"]).arg(write("imports-clock")));
    assert!(message.contains("imports"), "{message}");
}

#[test]
fn a_new_transform_builds_tests_and_registers_as_it_stands() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let project = dir.path().join("trip-speed");
    good(tidemill(&["transform", "new", "trip-speed", "--dir"]).arg(&project));
    let again = bad(tidemill(&["transform", "new", "trip-speed", "--dir"]).arg(&project));
    assert!(again.contains("is there already, and not empty"), "{again}");
    let name = bad(&mut tidemill(&["transform", "new", "Trip_Speed"]));
    assert!(
        name.contains("lower-case letters, digits and hyphens"),
        "{name}"
    );

    good(tidemill(&["transform", "test"]).arg(&project));
    let server = Server::start(|_| {});
    let out = good(
        tidemill(&["transform", "register"])
            .arg(&project)
            .args(["--server", server.url()]),
    );
    assert!(out.contains("transform trip-speed@"), "{out}");
    let listed = good(&mut tidemill(&[
        "transform",
        "list",
        "--server",
        server.url(),
    ]));
    assert!(listed.contains("trip-speed@"), "{listed}");
    let shown = good(&mut tidemill(&[
        "transform",
        "show",
        "trip-speed",
        "--server",
        server.url(),
    ]));
    assert!(shown.contains("in "), "{shown}");
}

#[test]
fn views_models_and_services_are_shown() {
    let (flights, cards) = (flights().url(), cards().url());
    let views = good(&mut tidemill(&["view", "list", "--server", flights]));
    assert!(views.contains("plane") && views.contains("3322"), "{views}");
    let row: Value = serde_json::from_str(&good(&mut tidemill(&[
        "view", "get", "plane", "N14228", "--server", flights,
    ])))
    .expect("JSON");
    assert_eq!(
        (&row["row"]["seats"], &row["row"]["manufacturer"]),
        (&json!(149), &json!("BOEING"))
    );
    let model = good(&mut tidemill(&[
        "model",
        "show",
        "flight-delay",
        "--server",
        flights,
    ]));
    assert!(
        model.contains("classes of probabilities: 0, 1")
            && model.contains("100 trees of 6100 nodes")
            && model.contains("TreeEnsembleClassifier")
            && model.contains("leg.km"),
        "{model}"
    );
    let service = good(&mut tidemill(&[
        "service",
        "show",
        "card-features",
        "--server",
        cards,
    ]));
    assert!(
        service.contains("pins card-payment@1.0.0") && service.contains("payment.km_from_home"),
        "{service}"
    );
}

#[test]
fn sigterm_drains_and_what_was_answered_is_in_the_log() {
    let data = tempfile::tempdir().expect("a folder");
    let (mut server, url) = serve(data.path());
    let component = data.path().join("good.wasm");
    std::fs::write(&component, guest("good")).expect("it is written");
    good(
        tidemill(&["transform", "register"])
            .arg(&component)
            .args(["--server", &url]),
    );
    let service = data.path().join("service.toml");
    std::fs::write(
        &service,
        "name = \"plus-one\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"good\"\n",
    )
    .expect("it is written");
    good(
        tidemill(&["service", "register"])
            .arg(&service)
            .args(["--server", &url]),
    );
    let out = good(&mut tidemill(&[
        "score",
        "plus-one",
        "{\"x\": 41}",
        "--features-only",
        "--server",
        &url,
    ]));
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(answer["results"][0]["features"], json!({ "good.y": 42.0 }));

    signal(&server, "-TERM");
    assert!(server.0.wait().expect("it ends").success());
    let log = data.path().join("log/service=plus-one");
    let day = std::fs::read_dir(&log)
        .expect("the log")
        .next()
        .expect("a day")
        .expect("a day")
        .path();
    let files: Vec<_> = std::fs::read_dir(day)
        .expect("a day")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert_eq!(files.len(), 1);
    assert_eq!(
        files[0]
            .extension()
            .and_then(|extension| extension.to_str()),
        Some("parquet")
    );
    let schema = tidemill::schema::Schema::new(
        [
            ("request_id", "text"),
            ("request.x", "f64"),
            ("good.y", "f64"),
        ]
        .map(|(name, data_type)| {
            tidemill::schema::Field::new(
                name,
                tidemill::schema::DataType::parse(data_type).expect("a type"),
                true,
            )
        })
        .into(),
    );
    let rows: Vec<_> = tidemill::offline::open(&files[0], &schema)
        .expect("a log")
        .map(|block| block.expect("rows"))
        .collect();
    assert_eq!(
        rows.iter().map(tidemill::block::Block::rows).sum::<usize>(),
        1
    );
    assert_eq!(
        rows[0].text(schema.slot(0), 0),
        answer["request_id"].as_str().expect("an id")
    );
    assert_eq!(
        (
            rows[0].float(schema.slot(1), 0),
            rows[0].float(schema.slot(2), 0)
        ),
        (41.0, 42.0)
    );
}

#[test]
fn who_stops_reading_is_no_failure() {
    let mut child = tidemill(&["serve", "--print-config"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Closed before anything is printed.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(words(&output), "");
}
