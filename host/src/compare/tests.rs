use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::batch::Cell;
use super::spread::{Kept, psi};
use super::*;
use crate::block::{Block, Rows, RowsBuilder, Source};
use crate::log::{self, FeatureLog, Group, LogFile, ParquetLog, Record, Role, Shape, files};
use crate::request::decode_row;
use crate::schema::Schema;

fn schema() -> Schema {
    let field = |name, kind| serde_json::json!({ "name": name, "type": kind, "nullable": true });
    let fields = [
        field("a", "f64"),
        field("n", "i64"),
        field("t", "text"),
        field("l", "list<f64>"),
    ];
    serde_json::from_value(fields.into_iter().collect()).unwrap()
}

fn shape(version: u32) -> Arc<Shape> {
    let group = |name: &str, lookup| Group {
        name: name.to_owned(),
        schema: schema(),
        lookup,
    };
    Arc::new(Shape {
        service: "shop".to_owned(),
        service_version: version,
        model: None,
        transforms: Vec::new(),
        groups: vec![group("request", false), group("plus", false)],
        vector: Vec::new(),
    })
}

fn block(json: &[String]) -> Block {
    let schema = schema();
    let mut rows = RowsBuilder::new(&schema);
    for (line, json) in json.iter().enumerate() {
        decode_row(&schema, json.as_bytes(), line, &mut rows).unwrap();
    }
    rows.finish()
}

/// A request of two rows. What `plus` has is `json` with `#` for the row.
fn record(shape: &Arc<Shape>, request: u128, time: i64, json: &str) -> Record {
    let rows = [0, 1].map(|row| json.replace('#', &row.to_string()));
    Record {
        shape: shape.clone(),
        request_id: Uuid::from_u128(
            request << 64 | request.wrapping_mul(0x9e37_79b9_7f4a_7c15) as u64 as u128,
        ),
        time,
        role: Role::Answer,
        micros: request as i64 + 100,
        groups: vec![
            Source::all(block(&["{}".to_owned(), "{}".to_owned()])),
            Source::all(block(&rows)),
        ],
        lookups: Vec::new(),
        vector: Vec::new(),
        vector_rows: Rows::None,
        scores: vec![Some(request as f64), None],
        outcomes: vec![log::Outcome::Answered, log::Outcome::Refused],
        errors: vec![None, Some("no".to_owned())],
    }
}

fn options() -> Options {
    Options {
        service: "shop".to_owned(),
        from: 1,
        to: 2,
        since: None,
        limit: usize::MAX,
        threshold: None,
    }
}

/// A log of requests 0..count of version 1, and of every third of version 2, where `a` is more by 1 in every second.
fn written(dir: &Path, count: u128) -> Vec<LogFile> {
    let settings = log::Settings {
        file_rows: 50,
        ..log::Settings::default()
    };
    let log = ParquetLog::open(dir, settings).unwrap();
    let (first, second) = (shape(1), shape(2));
    for request in 0..count {
        let json =
            format!(r#"{{"a": {request}.#, "n": {request}, "t": "t#", "l": [#, {request}]}}"#);
        let time = 1_700_000_000_000_000 + request as i64;
        assert!(log.offer(record(&first, request, time, &json)));
        if request.is_multiple_of(3) {
            let json = match request.is_multiple_of(2) {
                true => json,
                false => format!(r#"{{"a": {}.#, "n": {request}, "t": "t#"}}"#, request + 1),
            };
            assert!(log.offer(record(&second, request, time, &json)));
        }
        if request % 20 == 0 {
            log.flush().unwrap();
        }
    }
    log.flush().unwrap();
    drop(log);
    files(dir, "shop", None).unwrap()
}

#[test]
fn pairs_are_found_whatever_is_held_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path(), 90);
    assert!(files.len() >= 6, "{}", files.len());
    let told = |held| {
        let found = compare_holding(held, files.clone(), &options()).unwrap();
        let mut told = serde_json::to_value(&found).unwrap();
        // A sum of the same numbers in another order may end in another bit.
        let mean = told["features"][4]["mean_distance"]
            .take()
            .as_f64()
            .unwrap();
        assert!((mean - 0.5).abs() < 1e-12, "{mean}");
        told
    };
    let whole = told(HELD_ROWS);
    assert_eq!(
        (whole["pairs"].as_u64(), whole["from"]["rows"].as_u64()),
        (Some(60), Some(180))
    );
    assert_eq!(whole["to"]["rows"], 60);
    for held in [1, 7, 59] {
        assert_eq!(told(held), whole, "{held} held");
    }
    let features = compare(files, &options()).unwrap().features;
    let differ: Vec<(&str, Option<f64>)> = features
        .iter()
        .filter(|feature| feature.name.starts_with("plus."))
        .map(|feature| (feature.name.as_str(), feature.differ))
        .collect();
    assert_eq!(
        differ,
        [
            ("plus.a", Some(0.5)),
            ("plus.n", Some(0.0)),
            ("plus.t", Some(0.0)),
            ("plus.l", Some(0.5))
        ]
    );
    assert!((features[4].max_distance.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(
        (features[7].null_from, features[7].null_to),
        (Some(0.0), Some(0.5))
    );
}

#[test]
fn rows_are_chosen_by_their_time_and_from_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path(), 90);
    let since = Options {
        since: Some(1_700_000_000_000_060),
        ..options()
    };
    let found = compare(files.clone(), &since).unwrap();
    assert_eq!((found.pairs, found.from.rows, found.to.rows), (20, 60, 20));
    assert_eq!(
        found.from.first.unwrap().as_microsecond(),
        1_700_000_000_000_060
    );
    let few = Options {
        limit: 10,
        ..options()
    };
    let found = compare(files, &few).unwrap();
    // Requests 85 to 89, and 75 to 87 by threes.
    assert_eq!((found.pairs, found.from.rows, found.to.rows), (2, 10, 10));
    assert_eq!(found.from.outcomes["refused"], 1);
    assert_eq!(found.from.micros.p50, Some(187.0));
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_others_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3);
    std::fs::write(dir.path().join("notes.txt"), "no log").unwrap();
    std::fs::write(dir.path().join(".half.parquet"), "no log").unwrap();
    assert_eq!(files(dir.path(), "shop", None).unwrap().len(), 3);
    assert_eq!(files(dir.path(), "shoes", None).unwrap().len(), 0);
    assert_eq!(
        files(dir.path(), "shop", Some("2023-11-15")).unwrap().len(),
        0
    );
    assert_eq!(
        files(dir.path(), "shop", Some("2023-11-14")).unwrap().len(),
        3
    );
    std::fs::write(dir.path().join("cut.parquet"), "PAR1").unwrap();
    let message = files(dir.path(), "shop", None).unwrap_err().to_string();
    assert!(
        message.contains("cut.parquet: it is no Parquet file that can be read"),
        "{message}"
    );
}

#[test]
fn cells_are_compared_bit_by_bit() {
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    for (a, b, same, distance) in [
        (Cell::Null, Cell::Null, true, None),
        (Cell::Null, Cell::Float(0.0), false, None),
        (Cell::Float(0.0), Cell::Float(-0.0), false, Some(0.0)),
        (Cell::Float(f64::NAN), Cell::Float(f64::NAN), true, None),
        (Cell::Float(f64::NAN), Cell::Float(nan), false, None),
        (Cell::Float(f64::INFINITY), Cell::Float(1.0), false, None),
        (Cell::Float(1.0), Cell::Integer(1), false, Some(0.0)),
        (
            Cell::Integer(i64::MIN),
            Cell::Integer(i64::MAX),
            false,
            Some(u64::MAX as f64),
        ),
        (
            Cell::Integer((1 << 60) + 1),
            Cell::Integer(1 << 60),
            false,
            Some(1.0),
        ),
        (Cell::Text("a".into()), Cell::Text("a".into()), true, None),
        (Cell::Boolean(true), Cell::Boolean(false), false, None),
    ] {
        assert_eq!((a.is(&b), a.distance(&b)), (same, distance), "{a:?} {b:?}");
    }
}

fn sample(values: impl IntoIterator<Item = Kept>) -> Sample {
    let (mut draw, mut sample) = (Draw::new(), Sample::new());
    for value in values {
        sample.put(draw.next(), || value);
    }
    sample
}

fn numbers(values: impl IntoIterator<Item = f64>) -> Sample {
    sample(
        values
            .into_iter()
            .map(|value| Kept::from(Cell::Float(value))),
    )
}

#[test]
fn quantiles_lie_between_their_neighbours() {
    let found = numbers((1..=101).rev().map(f64::from)).quantiles();
    assert_eq!(
        (found.mean, found.p5, found.p50, found.p99),
        (Some(51.0), Some(6.0), Some(51.0), Some(100.0))
    );
    assert_eq!(numbers([1.0, 2.0, f64::NAN]).quantiles().p50, Some(1.5));
    assert_eq!(numbers([]).quantiles(), Quantiles::default());
    let infinite = numbers([f64::INFINITY, f64::INFINITY]).quantiles();
    assert_eq!(infinite.p50, Some(f64::INFINITY));
}

#[test]
fn a_sample_is_even_and_the_same_every_time() {
    let count = 20 * SAMPLE_ROWS;
    let found = numbers((0..count).map(|value| value as f64)).quantiles();
    assert_eq!(
        found,
        numbers((0..count).map(|value| value as f64)).quantiles()
    );
    for (quantile, share) in [(found.p5, 0.05), (found.p50, 0.5), (found.p95, 0.95)] {
        let off = quantile.unwrap() / count as f64 - share;
        // Six standard deviations of what an even sample of 10,000 has at its middle.
        assert!(off.abs() < 0.03, "{off}");
    }
}

#[test]
fn psi_is_what_the_bins_say() {
    let even = || numbers((0..1000).map(f64::from));
    assert_eq!(psi(&even(), &even()), Some(0.0));
    assert_eq!(psi(&even(), &numbers([])), None);
    // Half of one becomes the other: (0.5 − 1) ln 0.5 + (0.5 − 0.0001) ln(0.5 / 0.0001).
    let half = numbers((0..1000).map(|value| f64::from(value % 2)));
    let found = psi(&numbers((0..1000).map(|_| 0.0)), &half).unwrap();
    let expected = -0.5 * 0.5_f64.ln() + 0.4999 * 5000_f64.ln();
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    // On either side of a value that all had.
    let constant = || numbers((0..1000).map(|_| 5.0));
    for other in [4.9, 5.1, f64::NAN] {
        assert!(psi(&constant(), &numbers((0..1000).map(|_| other))).unwrap() > 9.0);
    }
    let nulls = |share: usize| {
        let null = move |row: usize| match row % 100 < share {
            true => Kept::None,
            false => Kept::Number((row / 100) as f64),
        };
        sample((0..1000).map(null))
    };
    assert!(psi(&nulls(10), &nulls(12)).unwrap() < 0.1);
    assert!(psi(&nulls(10), &nulls(60)).unwrap() > 0.25);
    let texts = |many: usize| {
        sample((0..1000).map(move |row| Kept::Text(format!("t{}", row % many).into())))
    };
    assert_eq!(psi(&texts(7), &texts(7)), Some(0.0));
    assert!(psi(&texts(7), &texts(3)).unwrap() > 0.25);
    // Texts that are hardly ever the same share a bin.
    assert!(psi(&texts(500), &texts(500)).unwrap() < 0.001);
}
