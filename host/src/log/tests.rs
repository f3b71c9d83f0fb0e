//! What every log must do, written once and run for each; and what is Parquet's own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};

use super::batch::Batch;
use super::columns::arrow_schema;
use super::file::SHAPE_KEY;
use super::queue::Queue;
use super::*;
use crate::block::RowsBuilder;
use crate::block::samples::schema;
use crate::offline::{from_arrays, json};

const NOON: i64 = 1_357_041_600_000_000; // 2013-01-01T12:00:00Z
const DAY: i64 = 86_400_000_000;

fn shape(service: &str, model: bool) -> Arc<Shape> {
    let group = |name: &str, columns: &[(&str, &str, bool)], lookup| Group {
        name: name.to_owned(),
        schema: schema(columns),
        lookup,
    };
    Arc::new(Shape {
        service: service.to_owned(),
        service_version: 3,
        model: model.then(|| "delay@1".to_owned()),
        transforms: vec![
            "departure-delay@1.0.0 sha256:ab".to_owned(),
            "great-circle@1.2.0 sha256:cd".to_owned(),
        ],
        groups: vec![
            group(
                "request",
                &[
                    ("tailnum", "text", true),
                    ("at", "timestamp", false),
                    ("raw", "json", false),
                ],
                false,
            ),
            group(
                "plane",
                &[("seats", "i64", true), ("status", "text", true)],
                true,
            ),
            group(
                "weather",
                &[("gusts", "list<f64>", true), ("calm", "bool", true)],
                true,
            ),
            group("delay", &[("minutes_late", "f64", true)], false),
        ],
        vector: if model {
            vec!["plane.seats".to_owned(), "delay.minutes_late".to_owned()]
        } else {
            Vec::new()
        },
    })
}

/// A record of `rows` rows, each told from all others by `seed`.
fn record(shape: &Arc<Shape>, seed: i64, rows: usize, time: i64) -> Record {
    let mut builders: Vec<_> = shape
        .groups
        .iter()
        .map(|group| RowsBuilder::new(&group.schema))
        .collect();
    for row in 0..rows as i64 {
        let there = (seed + row) % 3 != 0;
        builders.iter_mut().for_each(RowsBuilder::begin_row);
        let slot = |group: usize, at: usize| shape.groups[group].schema.slot(at);
        builders[0].set_integer(slot(0, 1), seed * 1000 + row);
        builders[0].set_text(slot(0, 2), &format!("{{\"n\":[{seed}, {row}]}}"));
        if there {
            builders[0].set_text(slot(0, 0), &format!("N{seed}é"));
            builders[1].set_integer(slot(1, 0), row);
            builders[1].set_text(slot(1, 1), "active");
            builders[2].begin_list(slot(2, 0));
            (0..row % 4).for_each(|item| builders[2].push_float(item as f64 / 3.0));
            builders[2].end_list(slot(2, 0));
            builders[2].set_boolean(slot(2, 1), row % 2 == 0);
            builders[3].set_float(slot(3, 0), if row == 1 { -0.0 } else { 0.1 * seed as f64 });
        }
    }
    let looked = |step: usize| Looked {
        statuses: (0..rows).map(|row| Status::ALL[(row + step) % 4]).collect(),
        event_times: (0..rows as i64)
            .map(|row| (row % 2 == 0).then_some(time - row))
            .collect(),
    };
    Record {
        shape: shape.clone(),
        request_id: Uuid::from_u128(seed as u128),
        time,
        role: Role::Answer,
        micros: seed,
        groups: builders
            .into_iter()
            .map(|rows| Source::all(rows.finish()))
            .collect(),
        lookups: vec![looked(0), looked(1)],
        vector: (0..rows * shape.vector.len())
            .map(|at| at as f32 * 0.1)
            .collect(),
        vector_rows: Rows::All,
        outcomes: vec![Outcome::Answered; rows],
        scores: (0..rows)
            .map(|row| (row != 2).then_some(row as f64 / 7.0))
            .collect(),
        errors: (0..rows)
            .map(|row| (row == 2).then(|| "great-circle refused the row".to_owned()))
            .collect(),
    }
}

/// All that a row of a record says, as text, floats by their bits where JSON would lose some.
fn told(record: &Record, row: usize) -> String {
    let shape = &record.shape;
    let mut out = Vec::new();
    for (group, block) in shape.groups.iter().zip(&record.groups) {
        json::write_row(&block.block, &group.schema, row, &mut out);
    }
    let width = shape.vector.len();
    format!(
        "{} {} {} v{} {:?} {:?} row {row} {} {:?} {:?} {:?} {:?}",
        record.request_id,
        record.time,
        shape.service,
        shape.service_version,
        shape.model,
        shape.transforms,
        String::from_utf8(out).unwrap(),
        record
            .lookups
            .iter()
            .map(|looked| (looked.statuses[row], looked.event_times[row]))
            .collect::<Vec<_>>(),
        record
            .vector
            .get(row * width..(row + 1) * width)
            .unwrap_or_default(),
        record.scores[row],
        record.errors[row],
    )
}

fn all_told(records: &[Record]) -> Vec<String> {
    let mut all: Vec<_> = records
        .iter()
        .flat_map(|record| (0..record.rows()).map(|row| told(record, row)))
        .collect();
    all.sort();
    all
}

/// The `.parquet` files below a folder, hidden ones too.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            found.extend(files(&entry))
        } else {
            found.push(entry)
        }
    }
    found.sort();
    found
}

/// All rows of all files, as [`told`]: each row read as a record of one row.
fn read_back(dir: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for path in files(dir)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
    {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let metadata = reader
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .unwrap();
        let shape = metadata
            .iter()
            .find(|pair| pair.key == SHAPE_KEY)
            .unwrap()
            .value
            .clone()
            .unwrap();
        let shape: Arc<Shape> = Arc::new(serde_json::from_str(&shape).unwrap());
        for batch in reader.build().unwrap() {
            rows.extend(rows_of(&shape, &batch.unwrap()));
        }
    }
    rows.sort();
    rows
}

fn rows_of(shape: &Arc<Shape>, batch: &RecordBatch) -> Vec<String> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", batch.schema()))
    };
    let text = |name: &str, row: usize| {
        let texts = column(name).as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let micros = |name: &str, row: usize| {
        let times = column(name).as_primitive::<TimestampMicrosecondType>();
        times.is_valid(row).then(|| times.value(row))
    };
    let groups: Vec<Block> = shape
        .groups
        .iter()
        .map(|group| {
            let name = |field: &crate::schema::Field| format!("{}.{}", group.name, field.name);
            let arrays: Vec<_> = group
                .schema
                .fields()
                .iter()
                .map(|field| Some(column(&name(field)).clone()))
                .collect();
            from_arrays(&group.schema, &arrays, batch.num_rows()).unwrap()
        })
        .collect();
    let status = |text: Option<String>| {
        Status::ALL
            .into_iter()
            .find(|s| Some(s.as_str()) == text.as_deref())
            .unwrap()
    };
    (0..batch.num_rows())
        .map(|row| {
            assert_eq!(text("service", row).as_ref(), Some(&shape.service));
            assert_eq!(text("model", row), shape.model);
            assert_eq!(
                column("transforms").as_list::<i32>().value(row).len(),
                shape.transforms.len()
            );
            let vectors = column("vector").as_list::<i32>();
            let scores = column("score").as_primitive::<Float64Type>();
            let place = column("row").as_primitive::<Int32Type>().value(row) as usize;
            // A record whose other rows are of no interest: `told` looks at one.
            let at = |value: Option<f64>| vec![value; place + 1];
            let one = Record {
                shape: shape.clone(),
                request_id: text("request_id", row).unwrap().parse().unwrap(),
                time: micros("time", row).unwrap(),
                role: Role::Answer,
                micros: column("micros").as_primitive::<Int64Type>().value(row),
                groups: shape
                    .groups
                    .iter()
                    .zip(&groups)
                    .map(|(group, block)| {
                        Source::all(block.permuted(&group.schema, &vec![row; place + 1]))
                    })
                    .collect(),
                lookups: shape
                    .groups
                    .iter()
                    .filter(|group| group.lookup)
                    .map(|group| Looked {
                        statuses: vec![status(text(&status_column(group), row)); place + 1],
                        event_times: vec![micros(&event_time_column(group), row); place + 1],
                    })
                    .collect(),
                vector: match vectors.is_valid(row) {
                    true => vectors
                        .value(row)
                        .as_primitive::<Float32Type>()
                        .values()
                        .repeat(place + 1),
                    false => Vec::new(),
                },
                vector_rows: Rows::All,
                outcomes: vec![Outcome::Answered; place + 1],
                scores: at(scores.is_valid(row).then(|| scores.value(row))),
                errors: vec![text("error", row); place + 1],
            };
            told(&one, place)
        })
        .collect()
}

fn settings() -> Settings {
    Settings {
        file_seconds: 3600,
        ..Settings::default()
    }
}

fn conforms(log: &dyn FeatureLog, read: &dyn Fn() -> Vec<String>) {
    log.flush().unwrap();
    assert_eq!(
        (log.written(), log.dropped(), log.failed(), read()),
        (0, 0, 0, Vec::new())
    );

    // Two services, with and without a model, in turns; over midnight; one row and many.
    let (flights, cards) = (shape("flight-delay", true), shape("card-payment", false));
    let records: Vec<Record> = (0..40)
        .map(|at| {
            let shape = if at % 2 == 0 { &flights } else { &cards };
            record(
                shape,
                at,
                [1, 3, 0, 7][at as usize % 4],
                NOON + at / 20 * DAY,
            )
        })
        .collect();
    records
        .iter()
        .for_each(|record| assert!(log.offer(record.clone())));
    log.flush().unwrap();
    assert_eq!((log.written(), log.dropped(), log.failed()), (40, 0, 0));
    assert_eq!(read(), all_told(&records));

    // More of the same later, from several threads.
    let more: Vec<Record> = (40..80).map(|at| record(&flights, at, 2, NOON)).collect();
    std::thread::scope(|scope| {
        for part in more.chunks(10) {
            scope.spawn(move || {
                part.iter()
                    .for_each(|record| assert!(log.offer(record.clone())))
            });
        }
    });
    log.flush().unwrap();
    assert_eq!(read(), all_told(&[records, more].concat()));
}

#[test]
fn memory_conforms() {
    let log = MemoryLog::new(1000);
    conforms(&log, &|| all_told(&log.records()));
}

#[test]
fn parquet_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(folder.path(), settings()).unwrap();
    conforms(&log, &|| read_back(folder.path()));
    let names: Vec<String> = files(folder.path())
        .iter()
        .map(|path| {
            path.strip_prefix(folder.path())
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    assert_eq!(
        names.len(),
        5,
        "one file a service, day and flush: {names:?}"
    );
    assert!(
        names[0].starts_with("service=card-payment/day=2013-01-01/card-payment-v3-"),
        "{names:?}"
    );
    assert!(
        names[1].starts_with("service=card-payment/day=2013-01-02/card-payment-v3-"),
        "{names:?}"
    );
}

#[test]
fn the_columns_are_these() {
    let fields: Vec<String> = arrow_schema(&shape("flight-delay", true))
        .fields()
        .iter()
        .map(|field| {
            format!(
                "{}: {}{}",
                field.name(),
                field.data_type(),
                if field.is_nullable() { "?" } else { "" }
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            "request_id: Utf8",
            "time: Timestamp(µs, \"UTC\")",
            "row: Int32",
            "service: Utf8",
            "service_version: Int64",
            "model: Utf8?",
            "transforms: List(non-null Utf8)",
            "role: Utf8",
            "micros: Int64",
            "request.tailnum: Utf8?",
            "request.at: Timestamp(µs, \"UTC\")",
            "request.raw: Utf8",
            "plane.seats: Int64?",
            "plane.status: Utf8?",
            "plane.lookup_status: Utf8?",
            "plane.event_time: Timestamp(µs, \"UTC\")?",
            "weather.gusts: List(non-null Float64)?",
            "weather.calm: Boolean?",
            "weather.status: Utf8?",
            "weather.event_time: Timestamp(µs, \"UTC\")?",
            "delay.minutes_late: Float64?",
            "vector: List(non-null Float32)?",
            "score: Float64?",
            "outcome: Utf8",
            "error: Utf8?",
        ]
    );
}

#[test]
fn what_did_not_run_for_a_row_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(folder.path(), settings()).unwrap();
    let shape = shape("flight-delay", true);
    let whole = record(&shape, 1, 4, NOON);
    let mut part = record(&shape, 2, 4, NOON);
    let kept: Rows = Rows::Some([1, 3].into());
    let plane = &shape.groups[1].schema;
    part.groups[1] = Source {
        block: part.groups[1].block.permuted(plane, &[1, 3]),
        rows: kept.clone(),
    };
    let looked = &mut part.lookups[0];
    looked.statuses = vec![looked.statuses[1], looked.statuses[3]];
    looked.event_times = vec![looked.event_times[1], looked.event_times[3]];
    // The second look-up is the same for all rows; the transform did not run.
    let weather = &shape.groups[2].schema;
    part.groups[2] = Source {
        block: part.groups[2].block.slice(weather, 1..2),
        rows: Rows::Shared,
    };
    part.lookups[1].statuses.truncate(1);
    part.lookups[1].event_times.truncate(1);
    part.groups[3] = Source::default();
    part.vector = part.vector[..2 * shape.vector.len()].to_vec();
    part.vector_rows = kept;
    part.outcomes[0] = Outcome::GateClosed;
    log.offer(whole.clone());
    log.offer(part.clone());
    log.flush().unwrap();
    assert_eq!((log.written(), log.failed()), (2, 0));

    let files = files(folder.path());
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&files[0]).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap().slice(4, 4);
    let valid = |name: &str| {
        let array = column(name);
        (0..4).map(|row| array.is_valid(row)).collect::<Vec<_>>()
    };
    assert_eq!(valid("plane.lookup_status"), [false, true, false, true]);
    assert_eq!(valid("vector"), [false, true, false, true]);
    assert_eq!(valid("delay.minutes_late"), [false; 4]);
    assert_eq!(valid("weather.status"), [true; 4]);
    let calm = column("weather.calm");
    let calm = calm.as_boolean();
    assert_eq!(
        (0..4).map(|row| calm.value(row)).collect::<Vec<_>>(),
        [calm.value(0); 4]
    );
    let outcomes = column("outcome");
    let outcomes: Vec<_> = outcomes.as_string::<i32>().iter().flatten().collect();
    assert_eq!(
        outcomes,
        ["gate_closed", "answered", "answered", "answered"]
    );
}

#[test]
fn a_full_queue_drops_and_counts() {
    let log = MemoryLog::new(2);
    let shape = shape("flight-delay", true);
    let taken: Vec<bool> = (0..4)
        .map(|at| log.offer(record(&shape, at, 1, NOON)))
        .collect();
    assert_eq!(
        (taken, log.dropped(), log.written()),
        (vec![true, true, false, false], 2, 2)
    );

    let one = record(&shape, 0, 1, NOON).bytes();
    let queue = Queue::new(one * 3);
    let taken: Vec<bool> = (0..5)
        .map(|_| queue.offer(record(&shape, 0, 1, NOON)))
        .collect();
    assert_eq!(
        (taken, queue.dropped()),
        (vec![true, true, true, false, false], 2)
    );
    // Once the writer has taken them there is room again; a record larger than the queue passes alone.
    let taken = queue.take(Duration::ZERO).batches;
    assert_eq!(taken.iter().map(Batch::records).sum::<u64>(), 3);
    assert!(queue.offer(record(&shape, 0, 100, NOON)));
    assert!(!queue.offer(record(&shape, 0, 1, NOON)));
    // Without a writer nobody waits for ever.
    drop(queue.writer());
    assert_eq!(
        queue.flush().unwrap_err().to_string(),
        "the feature log's writer has stopped"
    );
    assert!(!queue.offer(record(&shape, 0, 1, NOON)));
}

#[test]
fn what_is_taken_is_written_and_what_is_dropped_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(
        folder.path(),
        Settings {
            queue_bytes: 20_000,
            ..settings()
        },
    )
    .unwrap();
    let shape = shape("flight-delay", true);
    let taken: Vec<Record> = (0..2000)
        .map(|at| record(&shape, at, 2, NOON))
        .filter(|record| log.offer(record.clone()))
        .collect();
    log.flush().unwrap();
    assert_eq!(
        (log.written(), log.dropped(), log.failed()),
        (taken.len() as u64, 2000 - taken.len() as u64, 0)
    );
    assert_eq!(read_back(folder.path()), all_told(&taken));
}

#[test]
fn a_disk_that_fails_costs_records_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let log = ParquetLog::open(&dir, settings()).unwrap();
    let shape = shape("flight-delay", true);
    // A file where the folder was: not even root can write below it.
    fs::remove_dir(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    for at in 0..3 {
        assert!(log.offer(record(&shape, at, 1, NOON)));
    }
    assert_eq!(
        log.flush().unwrap_err().to_string(),
        "the feature log could not write 3 records"
    );
    assert_eq!((log.written(), log.failed()), (0, 3));

    fs::remove_file(&dir).unwrap();
    let kept = record(&shape, 9, 2, NOON);
    assert!(log.offer(kept.clone()));
    log.flush().unwrap();
    assert_eq!((log.written(), log.failed()), (1, 3));
    assert_eq!(read_back(&dir), all_told(&[kept]));

    fs::write(folder.path().join("file"), "").unwrap();
    let refused = ParquetLog::open(&folder.path().join("file"), settings())
        .err()
        .unwrap()
        .to_string();
    assert!(refused.starts_with("feature log in "), "{refused}");
}

#[test]
fn a_record_that_is_not_of_its_shape_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(folder.path(), settings()).unwrap();
    let shape = shape("flight-delay", true);
    let good = record(&shape, 0, 2, NOON);
    for spoil in [
        |record: &mut Record| record.groups.truncate(3),
        |record: &mut Record| record.lookups.truncate(1),
        |record: &mut Record| record.lookups[1].event_times.truncate(1),
        |record: &mut Record| record.vector.truncate(3),
        |record: &mut Record| record.scores.truncate(1),
        |record: &mut Record| record.errors.truncate(1),
        |record: &mut Record| record.outcomes.truncate(1),
        |record: &mut Record| record.groups[2].rows = Rows::Shared,
        |record: &mut Record| record.groups[1].rows = Rows::Some([1, 2].into()),
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(log.offer(bad));
    }
    assert!(log.offer(good.clone()));
    assert_eq!(
        log.flush().unwrap_err().to_string(),
        "the feature log could not write 9 records"
    );
    assert_eq!(read_back(folder.path()), all_told(&[good]));
}

#[test]
fn files_are_closed_by_rows_bytes_and_seconds() {
    let shape = shape("flight-delay", true);
    for (settings, wanted) in [
        (
            Settings {
                file_rows: 10,
                ..settings()
            },
            2,
        ),
        (
            Settings {
                file_bytes: 1,
                ..settings()
            },
            2,
        ),
        (
            Settings {
                file_seconds: 0,
                ..settings()
            },
            2,
        ),
        (settings(), 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = ParquetLog::open(folder.path(), settings.clone()).unwrap();
        let mut records = Vec::new();
        for round in 0..2 {
            let one = record(&shape, round, 10, NOON);
            log.offer(one.clone());
            records.push(one);
            // No flush: the writer closes by itself.
            let deadline = Instant::now() + Duration::from_secs(20);
            while wanted == 2 && log.written() < round as u64 + 1 {
                assert!(Instant::now() < deadline, "{settings:?}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        log.flush().unwrap();
        assert_eq!(files(folder.path()).len(), wanted, "{settings:?}");
        assert_eq!(read_back(folder.path()), all_told(&records));
    }
}

/// Each service has a file of its own: a hundred of them, each with rows for a minute, once took a gigabyte.
#[test]
fn rows_of_many_services_do_not_all_wait_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        queue_bytes: 64 << 10,
        ..settings()
    };
    let log = ParquetLog::open(dir.path(), settings).unwrap();
    let shapes = [shape("one", true), shape("other", true)];
    let records: Vec<Record> = (0..400)
        .map(|seed| record(&shapes[seed as usize % 2], seed, 10, NOON))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    for record in &records {
        while !log.offer(record.clone()) {
            assert!(Instant::now() < deadline, "the writer takes nothing");
            std::thread::yield_now();
        }
    }
    log.flush().unwrap();
    for file in files(dir.path()) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
        assert!(reader.metadata().num_row_groups() > 1);
    }
    assert_eq!(read_back(dir.path()), all_told(&records));
}

#[test]
fn what_waits_is_written_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(folder.path(), settings()).unwrap();
    let records: Vec<Record> = (0..50)
        .map(|at| record(&shape("flight-delay", true), at, 1, NOON))
        .collect();
    records
        .iter()
        .for_each(|record| assert!(log.offer(record.clone())));
    drop(log);
    assert_eq!(read_back(folder.path()), all_told(&records));
}

#[test]
fn a_crash_leaves_no_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(folder.path(), settings()).unwrap();
    let shape = shape("flight-delay", true);
    let safe = record(&shape, 0, 3, NOON);
    log.offer(safe.clone());
    log.flush().unwrap();
    log.offer(record(&shape, 1, 3, NOON));
    let deadline = Instant::now() + Duration::from_secs(20);
    while files(folder.path()).len() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    // As a killed process leaves it: one file closed, one under way, nobody to end it.
    std::mem::forget(log);
    let hidden = files(folder.path()).remove(0);
    let name = hidden.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with(".flight-delay-v3-") && name.ends_with(".parquet.inprogress"),
        "{name}"
    );
    assert_eq!(
        read_back(folder.path()),
        all_told(std::slice::from_ref(&safe))
    );

    let beside = hidden.with_file_name("notes.txt");
    fs::write(&beside, "somebody's").unwrap();
    let _log = ParquetLog::open(folder.path(), settings()).unwrap();
    assert!(!hidden.exists() && beside.exists());
    assert_eq!(read_back(folder.path()), all_told(&[safe]));
}
