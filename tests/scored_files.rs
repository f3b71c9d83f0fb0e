//! `tidemill score --file … --out …`: what a file is scored to, bit by bit.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

use arrow_schema::{DataType as ArrowType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidemill::offline;
use tidemill::schema::{DataType, Field, Schema};
use tidemill::service::Definition;

use super::command_line::tidemill;
use super::support::{Server, cards, file, flights, guests, text};

fn field(name: &str, data_type: &str) -> Field {
    Field::new(name, DataType::parse(data_type).expect("a type"), true)
}

/// The rows of a file, as JSON.
fn rows(path: &Path, schema: &Schema) -> Vec<Value> {
    let mut rows = Vec::new();
    for block in offline::open(path, schema).expect("a file") {
        let block = block.expect("rows");
        for row in 0..block.rows() {
            let mut json = Vec::new();
            offline::json::write_row(&block, schema, row, &mut json);
            rows.push(serde_json::from_slice(&json).expect("a row"));
        }
    }
    rows
}

fn score(server: &Server, service: &str, from: &Path, to: &Path, more: &[&str]) -> Output {
    tidemill(&["score", service, "--server", server.url(), "--file"])
        .arg(from)
        .arg("--out")
        .arg(to)
        .args(more)
        .output()
        .expect("the program starts")
}

#[track_caller]
fn scored(
    server: &Server,
    service: &str,
    from: &Path,
    to: &Path,
    more: &[&str],
) -> (String, String) {
    let output = score(server, service, from, to, more);
    let [out, words] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{words}");
    (out, words)
}

fn request() -> Schema {
    Definition::from_toml(&text("demo/flights/flight-delay.toml"))
        .expect("the service")
        .request
}

const OUTPUTS: [&str; 3] = [
    "outputs.label",
    "outputs.probabilities[0]",
    "outputs.probabilities[1]",
];

/// The flights in a file of each kind, and what the server answers when it is asked directly.
fn three_kinds(folder: &Path, count: usize) -> ([PathBuf; 3], Vec<Value>, Vec<Value>) {
    let parquet = file("demo/flights/flights.parquet");
    let mut flights_read = rows(&parquet, &request());
    flights_read.truncate(count);
    let ndjson = folder.join("flights.ndjson");
    let lines: String = flights_read.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&ndjson, lines).expect("it is written");
    let csv = folder.join("flights.csv");
    let mut writer = csv::Writer::from_path(&csv).expect("a file");
    let names = request().names();
    writer.write_record(&names).expect("a line");
    for row in &flights_read {
        let cells = names
            .iter()
            .map(|name| row[name].as_str().unwrap_or_default());
        writer.write_record(cells).expect("a line");
    }
    writer.flush().expect("it is written");
    let mut direct = Vec::new();
    for rows in flights_read.chunks(1_000) {
        let body = json!({ "rows": rows, "features": true }).to_string();
        let answer = flights().post("/v1/services/flight-delay/score", body);
        direct.extend(answer.json["results"].as_array().expect("results").clone());
    }
    ([parquet, csv, ndjson], flights_read, direct)
}

#[test]
fn every_kind_of_file_is_scored_as_requests_are() {
    const COUNT: usize = 2_300;
    let folder = TempDir::new().expect("a folder");
    let (files, inputs, direct) = three_kinds(folder.path(), COUNT);
    let features: Vec<Field> = direct[0]["features"]
        .as_object()
        .expect("features")
        .iter()
        .map(|(name, value)| {
            let data_type = if value.is_boolean() { "bool" } else { "f64" };
            field(&format!("features.{name}"), data_type)
        })
        .collect();
    let values = [
        field("score", "f64"),
        field(OUTPUTS[0], "i64"),
        field(OUTPUTS[1], "f64"),
    ]
    .into_iter()
    .chain([field(OUTPUTS[2], "f64"), field("error", "text")]);
    let request = request();
    let fields = request
        .fields()
        .iter()
        .cloned()
        .chain(values)
        .chain(features);
    let schema = Schema::new(fields.collect());

    let limit = COUNT.to_string();
    for (from, to) in [
        (0, "parquet"),
        (1, "csv"),
        (2, "ndjson"),
        (0, "csv"),
        (1, "parquet"),
    ] {
        let out = folder.path().join(format!("scored-{from}.{to}"));
        let (said, words) = scored(
            flights(),
            "flight-delay",
            &files[from],
            &out,
            &["--features", "--limit", &limit, "--strict"],
        );
        assert!(
            said.starts_with("2,300 rows of ") && !said.contains("could not"),
            "{said}"
        );
        assert_eq!(words.contains("arr_delay"), from == 0, "{words}");
        let found = rows(&out, &schema);
        assert_eq!(found.len(), COUNT);
        for ((found, input), direct) in found.iter().zip(&inputs).zip(&direct) {
            for name in request.names() {
                assert_eq!(found[&name], input[&name], "{name}");
            }
            // Equal as doubles: JSON's shortest text of one is read back as itself.
            assert_eq!(found["score"], direct["score"], "{input}");
            assert_eq!(found[OUTPUTS[0]], direct["outputs"]["label"]);
            assert_eq!(found[OUTPUTS[1]], direct["outputs"]["probabilities"][0]);
            assert_eq!(found[OUTPUTS[2]], direct["outputs"]["probabilities"][1]);
            for (name, value) in direct["features"].as_object().expect("features") {
                let found = &found[format!("features.{name}")];
                match value.as_f64() {
                    Some(value) => assert_eq!(found.as_f64(), Some(value), "{name} of {input}"),
                    None => assert_eq!(found, value, "{name} of {input}"),
                }
            }
            assert_eq!(found["error"], Value::Null);
        }
    }
    assert!(!folder.path().join("scored-0.parquet.inprogress").exists());

    let written = File::open(folder.path().join("scored-0.parquet")).expect("a file");
    let builder = ParquetRecordBatchReaderBuilder::try_new(written).expect("Parquet");
    let type_of = |name: &str| {
        let field = builder.schema().field_with_name(name).expect(name);
        assert!(field.is_nullable());
        field.data_type().clone()
    };
    let time = ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(type_of("scheduled"), time);
    assert_eq!(type_of("tailnum"), ArrowType::Utf8);
    assert_eq!(type_of("score"), ArrowType::Float64);
    assert_eq!(type_of("outputs.label"), ArrowType::Int64);
    assert_eq!(type_of("error"), ArrowType::Utf8);
    let names: Vec<&str> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names[..7], request.names());
    assert_eq!(names[7], "score");
    assert_eq!(names.last(), Some(&"error"));
}

#[test]
fn ill_rows_are_counted_and_cost_their_neighbours_nothing() {
    let folder = TempDir::new().expect("a folder");
    let from = folder.path().join("payments.csv");
    let payment =
        |at: &str, amount: &str, currency: &str| format!("p,,{amount},{currency},fuel,{at},,,x\n");
    let good = payment("2025-04-01T12:00:00Z", "5", "EUR");
    let content = [
        "payment_id,customer_id,amount,currency,category,at,lat,lon,extra\n",
        &good,
        &payment("soon", "5", "EUR"),
        &good,
        &payment("2025-04-01T12:00:00Z", "-5", "EUR"),
        &payment("2025-04-01T12:00:00Z", "", "EUR"),
        &payment("2025-04-01T12:00:00Z", "5", "XXX"),
        &good,
        "p,\n",
    ];
    std::fs::write(&from, content.concat()).expect("it is written");
    let out = folder.path().join("scored.ndjson");
    let (said, words) = scored(cards(), "card-features", &from, &out, &["--features-only"]);
    assert!(
        said.starts_with("8 rows of ") && said.contains("5 of them could not be scored"),
        "{said}"
    );
    let note = "that card-features@1 does not ask for are left out: extra\n";
    assert!(
        words.ends_with(note) && words.lines().count() == 1,
        "{words}"
    );
    let lines: Vec<Value> = std::fs::read_to_string(&out)
        .expect("a file")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let errors: Vec<Option<&str>> = lines.iter().map(|line| line["error"].as_str()).collect();
    for (row, expected) in [
        None,
        Some("line 3, column \"at\": \"soon\" is no RFC 3339"),
        None,
        Some("amount: -5 is under the minimum of 0"),
        Some("amount: "),
        Some("refused the row"),
        None,
        Some("line 9: it has 2 cells, where the first line has 9"),
    ]
    .into_iter()
    .enumerate()
    {
        match (errors[row], expected) {
            (None, None) => {
                assert_eq!(lines[row]["features.payment.amount_eur"], 5.0);
                assert_eq!(lines[row]["at"], "2025-04-01T12:00:00Z");
            }
            (Some(found), Some(expected)) => {
                assert!(
                    found.contains(expected) && !found.contains("rows["),
                    "{found}"
                );
                assert_eq!(lines[row]["features.payment.amount_eur"], Value::Null);
            }
            other => panic!("row {row}: {other:?}"),
        }
    }
    assert_eq!(lines[5]["currency"], "XXX", "what was sent is kept");
    assert!(lines[0].get("score").is_none() && lines[0].get("extra").is_none());

    let strict = score(
        cards(),
        "card-features",
        &from,
        &out,
        &["--features-only", "--strict"],
    );
    assert_eq!(strict.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&strict.stderr).contains("error: 5 rows could not be scored"));
    assert_eq!(
        std::fs::read_to_string(&out)
            .expect("it is there")
            .lines()
            .count(),
        8
    );
    let limited = score(
        cards(),
        "card-features",
        &from,
        &out,
        &["--features-only", "--strict", "--limit", "1"],
    );
    assert!(limited.status.success());
    assert_eq!(
        std::fs::read_to_string(&out)
            .expect("it is there")
            .lines()
            .count(),
        1
    );
}

#[test]
fn a_file_that_does_not_fit_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let (from, out) = (
        folder.path().join("rows.csv"),
        folder.path().join("scored.csv"),
    );
    let fails = |server: &Server, service: &str, out: &Path, more: &[&str], expected: &str| {
        let output = score(server, service, &from, out, more);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && words.contains(expected),
            "{words}"
        );
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .collect();
        assert_eq!(left.len(), 1, "only what was there");
    };
    std::fs::write(&from, "carrier,origin\nUA,EWR\n").expect("it is written");
    fails(
        flights(),
        "flight-delay",
        &out,
        &[],
        "it has no column \"flight_id\", which may not be null; there are carrier and origin",
    );
    fails(
        flights(),
        "flight-delay",
        &folder.path().join("scored.xlsx"),
        &[],
        ".parquet, .csv, .ndjson",
    );
    fails(
        flights(),
        "flight-dely",
        &out,
        &[],
        "there is no service \"flight-dely\"",
    );
    std::fs::write(&from, "payment_id,amount,currency,category,at\n").expect("it is written");
    fails(
        cards(),
        "card-features",
        &out,
        &[],
        "service card-features has no model and no [output]; give --features-only",
    );
    fails(
        cards(),
        "card-features",
        &out,
        &["--features-only"],
        "rows.csv has no rows",
    );
}

/// Defaults, declared fields and fallbacks are in the file as they are in an answer.
#[test]
fn what_a_service_declares_has_its_columns() {
    let server = guests();
    server.define(
        "/v1/services",
        "name = \"declared\"\n[request]\nx = \"f64\"\nnote = { type = \"text\", default = \"none\" }\n\
         [[transform]]\nuse = \"panics@1\"\nas = \"guest\"\n\
         [output]\nscore = \"guest.y\"\nfields = { said = \"note\" }\n\
         [on_failure]\nscore = 0.5\noutput = { said = \"sorry\" }\n",
    );
    let folder = TempDir::new().expect("a folder");
    let (from, out) = (
        folder.path().join("rows.csv"),
        folder.path().join("scored.ndjson"),
    );
    let lines = |content: &str| -> (String, Vec<Value>) {
        std::fs::write(&from, content).expect("it is written");
        let (said, _) = scored(server, "declared", &from, &out, &["--strict"]);
        let text = std::fs::read_to_string(&out).expect("a file");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        (said, lines.collect())
    };
    let (said, found) = lines("x,note\n1,a\n2,\n13,b\n");
    assert!(said.contains("1 of them have the fallback"), "{said}");
    let fallback = found[2]["fallback"].as_str().expect("why");
    assert!(fallback.contains("panics@1.0.0 failed"), "{fallback}");
    let row = |x: f64, note: Value, score: f64, said: Value, fallback: Value| {
        json!({
            "x": x, "note": note, "score": score, "output.said": said, "fallback": fallback, "error": null
        })
    };
    assert_eq!(
        found,
        [
            row(1.0, json!("a"), 2.0, json!("a"), Value::Null),
            row(2.0, Value::Null, 3.0, json!("none"), Value::Null),
            row(13.0, json!("b"), 0.5, json!("sorry"), json!(fallback)),
        ]
    );
    let (_, found) = lines("x\n1\n");
    assert_eq!(found[0]["output.said"], "none");
}
