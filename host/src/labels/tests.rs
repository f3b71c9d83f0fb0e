//! One rule, in the store and in a file; and which answers the log has.

use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::{Builder, Uuid};

use super::report::subjects;
use super::*;
use crate::block::samples::{any_block, every_type, schema};
use crate::block::{Block, Rows, RowsBuilder, Source};
use crate::log::{FeatureLog, Group, Outcome, ParquetLog, Record, Role, Settings, Shape};
use crate::schema::Schema;

fn definition(key: &[&str], fields: Schema) -> LabelsDefinition {
    LabelsDefinition {
        key: key.iter().map(|&name| name.to_owned()).collect(),
        fields,
    }
}

fn declared(key: &[&str]) -> Declared {
    let request = schema(&[("id", "text", false), ("n", "i64", false)]);
    let fields = schema(&[("late", "bool", true), ("minutes", "f64", true)]);
    Declared::of("notes", 1, &request, &definition(key, fields))
}

/// A report of one of a few rows, by its request or by its key, at one of a few times.
type Told = (u8, bool, i64, bool);

/// The reports as a block of [`Declared::report`]; each says its own number.
fn block(declared: &Declared, told: &[Told]) -> Block {
    let schema = declared.report();
    let slot = |name: &str| schema.slot(schema.position(name).unwrap());
    let mut rows = RowsBuilder::new(&schema);
    for (at, (who, by_request, time, late)) in told.iter().enumerate() {
        rows.begin_row();
        match by_request {
            true => rows.set_text(
                slot(REQUEST_ID),
                &Uuid::from_u128((*who).into()).to_string(),
            ),
            false => rows.set_text(slot("id"), &who.to_string()),
        }
        rows.set_integer(slot(TIME), *time);
        rows.set_boolean(slot("late"), *late);
        rows.set_float(slot("minutes"), at as f64 / 3.0);
    }
    rows.finish()
}

/// Rows that are named by both.
fn asking(declared: &Declared) -> Vec<[Option<Subject>; 2]> {
    let schema = declared.subject();
    let mut rows = RowsBuilder::new(&schema);
    for who in 0..4 {
        rows.begin_row();
        rows.set_text(schema.slot(0), &Uuid::from_u128(who).to_string());
        rows.set_text(schema.slot(2), &who.to_string());
    }
    subjects(declared, &rows.finish(), |row| row.to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What the server keeps and what a file holds give the same labels: those of the rule, found here by going through
    /// all reports.
    #[test]
    fn the_last_counts_wherever_it_is_kept(
        told in vec((0_u8..4, any::<bool>(), -3_i64..3, any::<bool>()), 0..30),
        as_of in -4_i64..4,
    ) {
        let declared = declared(&["id"]);
        let reported = block(&declared, &told);
        let db = sled::Config::new().temporary(true).open().unwrap();
        let labels = Labels::open(&db);
        let all: Vec<Report> = reports(&declared, &reported, |row| row.to_string())
            .unwrap()
            .into_iter()
            .flatten()
            .collect();
        let half = all.len() / 2;
        let mut kept = labels.put(&declared, &reported, &all[..half], "ada").unwrap();
        kept += labels.put(&declared, &reported, &all[half..], "bob").unwrap();
        prop_assert_eq!(kept.reports(), told.len() as u64);
        let mut book = Book::new(declared.clone(), as_of, 0);
        book.read(&reported, |row| row.to_string()).unwrap();
        let book = book.finished();

        let asking = asking(&declared);
        let stored = asked(&labels, &declared, &asking, as_of).unwrap();
        let of_file = book.asked(&asking);
        let nullable = declared.fields.opened();
        prop_assert_eq!(&stored.found, &of_file.found);
        prop_assert_eq!(stored.block.first_difference(&of_file.block, &nullable), None);
        for who in 0..4_u8 {
            let last = |wanted: bool| {
                let all = told.iter().enumerate();
                let mine = all.filter(|(_, (other, by, time, _))| {
                    *other == who && *by == wanted && *time <= as_of
                });
                mine.max_by_key(|(at, (_, _, time, _))| (*time, *at))
            };
            let last = match (last(true), last(false)) {
                (Some(one), Some(other)) if other.1.2 > one.1.2 => Some(other),
                (one, other) => one.or(other),
            };
            let row = usize::from(who);
            prop_assert_eq!(stored.found[row], last.is_some());
            let said = last.map(|(at, _)| at as f64 / 3.0);
            let slot = nullable.slot(1);
            let found = stored.block.is_valid(slot, row).then(|| stored.block.float(slot, row));
            prop_assert_eq!(found, said);
        }
        let subject = asking[0][0].as_ref().unwrap();
        let history = labels.history("notes", subject).unwrap();
        let mine = told.iter().filter(|(who, by_request, ..)| *who == 0 && *by_request);
        // The same at the same time is kept once; numbers differ here, so all are there.
        prop_assert_eq!(history.len(), mine.count());
        prop_assert!(history.is_sorted_by_key(|report| (report.time, report.arrived_at)));
    }

    /// Whatever a label is, it comes out of the file as it went in.
    #[test]
    fn labels_of_a_file_keep_their_bits(labels in any_block(every_type(), 5)) {
        let request = schema(&[("id", "i64", false)]);
        let declared = Declared::of("s", 1, &request, &definition(&["id"], every_type()));
        let (report, fields) = (declared.report(), every_type());
        let mut rows = RowsBuilder::new(&report);
        let first = report.len() - fields.len();
        for row in 0..labels.rows() {
            rows.begin_row();
            rows.set_integer(report.slot(2), row as i64);
            for at in 0..fields.len() {
                rows.copy(report.slot(first + at), &labels, fields.slot(at), row);
            }
        }
        let mut book = Book::new(declared.clone(), i64::MAX, 0);
        book.read(&rows.finish(), |row| row.to_string()).unwrap();
        let book = book.finished();
        let subject = declared.subject();
        let mut asking = RowsBuilder::new(&subject);
        for row in 0..labels.rows() {
            asking.begin_row();
            asking.set_integer(subject.slot(2), row as i64);
        }
        let asking = subjects(&declared, &asking.finish(), |row| row.to_string()).unwrap();
        let found = book.asked(&asking);
        prop_assert!(found.found.iter().all(|found| *found));
        let nullable = declared.fields.opened();
        for row in 0..labels.rows() {
            for at in 0..fields.len() {
                let mut texts = Vec::new();
                for (block, schema) in [(&labels, &fields), (&found.block, &nullable)] {
                    let (field, slot) = (schema.field(at), schema.slot(at));
                    let array = crate::offline::arrow::to_array(block, field, slot);
                    texts.push((array, row));
                }
                prop_assert!(crate::training::diff::same(&texts[0].0, row, &texts[1].0, row));
            }
        }
    }
}

#[test]
fn what_another_version_may_declare() {
    let request = schema(&[("id", "text", false), ("n", "i64", false)]);
    let version = |number, key: &[&str], fields: &[(&str, &str, bool)]| {
        let definition = definition(key, schema(fields));
        Declared::of("notes", number, &request, &definition)
    };
    let first = version(1, &["id"], &[("late", "bool", false)]);
    for (other, refusal) in [
        (version(2, &["id"], &[("late", "bool", true)]), None),
        (version(2, &["id"], &[("minutes", "f64", false)]), None),
        (version(2, &[], &[("late", "bool", false)]), None),
        (
            version(2, &["n"], &[("late", "bool", false)]),
            Some("it is (n i64) here and (id text) in notes@1"),
        ),
        (
            version(2, &["id"], &[("late", "f64", false)]),
            Some("late: it is f64 here and bool in notes@1"),
        ),
    ] {
        match (first.check(&other), refusal) {
            (Ok(()), None) => {}
            (Err(message), Some(refusal)) => assert!(message.contains(refusal), "{message}"),
            (found, refusal) => panic!("{found:?} is not {refusal:?}"),
        }
    }
}

/// The same reports again are there already, also where an outdated one stands beside a later one; what has no time is one
/// report more each time.
#[test]
fn what_is_put_again_is_there_already() {
    let declared = declared(&["id"]);
    let db = sled::Config::new().temporary(true).open().unwrap();
    let labels = Labels::open(&db);
    let schema = declared.report();
    let slot = |name: &str| schema.slot(schema.position(name).unwrap());
    let put = |told: &[(&str, Option<i64>, bool)]| {
        let mut rows = RowsBuilder::new(&schema);
        for (who, time, late) in told {
            rows.begin_row();
            rows.set_text(slot("id"), who);
            if let Some(time) = time {
                rows.set_integer(slot(TIME), *time);
            }
            rows.set_boolean(slot("late"), *late);
        }
        let block = rows.finish();
        let all = reports(&declared, &block, |row| row.to_string()).unwrap();
        let all: Vec<Report> = all.into_iter().flatten().collect();
        labels.put(&declared, &block, &all, "ada").unwrap()
    };
    let kept = |stored, replaced, outdated, unchanged| Kept {
        stored,
        replaced,
        outdated,
        unchanged,
    };
    let file = [
        ("a", Some(1), false),
        ("a", Some(3), true),
        ("a", Some(2), false),
        ("b", Some(9), true),
        ("a", Some(2), false),
    ];
    assert_eq!(put(&file), kept(2, 1, 1, 1));
    assert_eq!(put(&file), kept(0, 0, 0, 5));
    // A correction of a time that was is one more, and is there from then on.
    let correction = [("a", Some(1), true)];
    assert_eq!(put(&correction), kept(0, 0, 1, 0));
    assert_eq!(put(&correction), kept(0, 0, 0, 1));
    let now = [("a", None, true)];
    assert_eq!(put(&now), kept(0, 1, 0, 0));
    assert_eq!(put(&now), kept(0, 1, 0, 0));
}

/// A range narrowed later is one for what is reported from then on.
#[test]
fn what_was_reported_before_a_range_was_narrowed_is_joined() {
    let request = schema(&[("id", "text", false)]);
    let declared = |maximum: Option<f64>| {
        let mut field = schema(&[("minutes", "f64", true)]).field(0).clone();
        field.maximum = maximum;
        let definition = definition(&["id"], Schema::new(vec![field]));
        Declared::of("notes", 1, &request, &definition)
    };
    let (wide, narrow) = (declared(None), declared(Some(100.0)));
    let db = sled::Config::new().temporary(true).open().unwrap();
    let labels = Labels::open(&db);
    let mut putting = put::Putting::new(wide, "ada".to_owned(), None);
    let body = br#"{"id": "a", "minutes": 500}"#;
    putting.json(&labels, body).unwrap();
    let mut again = put::Putting::new(narrow.clone(), "ada".to_owned(), None);
    assert!(again.json(&labels, body).is_err());
    let query = std::iter::once(("id".to_owned(), "a".to_owned())).collect();
    let (_, subject) = subject_of(&narrow, &query).unwrap();
    let found = asked(&labels, &narrow, &[[None, Some(subject)]], i64::MAX).unwrap();
    assert_eq!(found.block.float(narrow.fields.opened().slot(0), 0), 500.0);
}

/// The labels are kept by then: a damaged log is no mistake of whoever sent them.
#[test]
fn a_log_that_cannot_be_read_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let day = dir.path().join("service=notes/day=2013-01-01");
    std::fs::create_dir_all(&day).unwrap();
    let name = format!("notes-v1-{}.parquet", made(NOON, 0));
    std::fs::write(day.join(name), "no Parquet").unwrap();
    let db = sled::Config::new().temporary(true).open().unwrap();
    let labels = Labels::open(&db);
    let log = Some((dir.path().to_owned(), 0));
    let mut putting = put::Putting::new(declared(&[]), "ada".to_owned(), log);
    let body = format!(
        r#"{{"request_id": "{}", "late": true}}"#,
        made(NOON + MINUTE, 1)
    );
    putting.json(&labels, body.as_bytes()).unwrap();
    assert_eq!(putting.unknown(), None);
    assert_eq!(putting.kept().stored, 1);
}

const NOON: u64 = 1_357_041_600_000; // 2013-01-01T12:00:00Z, in ms
const MINUTE: u64 = 60_000;

/// An id made then; `salt` tells it from others of that moment.
fn made(millis: u64, salt: u8) -> Uuid {
    Builder::from_unix_timestamp_millis(millis, &[salt; 10]).into_uuid()
}

/// A file of the log that was opened at `opened`, with answers of two rows each.
fn file(dir: &Path, version: u32, opened: u64, ids: &[Uuid]) {
    let request = schema(&[("id", "text", true)]);
    let shape = Arc::new(Shape {
        service: "notes".to_owned(),
        service_version: version,
        model: None,
        transforms: Vec::new(),
        groups: vec![Group {
            name: "request".to_owned(),
            schema: request.clone(),
            lookup: false,
        }],
        vector: Vec::new(),
    });
    let own = tempfile::tempdir().unwrap();
    let log = ParquetLog::open(own.path(), Settings::default()).unwrap();
    for id in ids {
        log.offer(Record {
            shape: shape.clone(),
            request_id: *id,
            time: opened as i64 * 1000,
            role: Role::Answer,
            micros: 1,
            groups: vec![Source::all(Block::nulls(&request, 2))],
            lookups: Vec::new(),
            vector: Vec::new(),
            vector_rows: Rows::None,
            scores: vec![None; 2],
            outcomes: vec![Outcome::Answered; 2],
            errors: vec![None; 2],
        });
    }
    log.flush().unwrap();
    let day = match opened < NOON + 12 * 60 * MINUTE {
        true => "day=2013-01-01",
        false => "day=2013-01-02",
    };
    let [written] = &crate::log::files(own.path(), "notes", None).unwrap()[..] else {
        panic!("one file");
    };
    let folder = dir.join("service=notes").join(day);
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("notes-v{version}-{}.parquet", made(opened, 0));
    std::fs::rename(&written.path, folder.join(name)).unwrap();
}

#[test]
fn answers_are_found_in_the_files_that_may_have_them_and_others_are_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let midnight = NOON + 12 * 60 * MINUTE;
    let before = made(midnight - 10, 1);
    let ids = [
        made(NOON, 1),
        made(NOON + 9 * MINUTE, 1),
        made(NOON + 9 * MINUTE, 2),
        before,
        made(midnight + 5, 1),
    ];
    file(dir.path(), 1, NOON - 3, &ids[..1]);
    file(dir.path(), 1, NOON + 8 * MINUTE, &ids[1..2]);
    file(dir.path(), 2, NOON - MINUTE, &ids[2..3]);
    // It waited in the queue while the file before it was closed, and is in the next day's.
    file(dir.path(), 1, midnight + 3, &ids[3..]);
    let asked = |ids: &[(Uuid, u32)], recent: i64| {
        let subjects: Vec<Subject> = ids
            .iter()
            .map(|(id, row)| Subject::of_request(*id, *row))
            .collect();
        unknown(dir.path(), "notes", subjects.iter(), recent).unwrap()
    };
    let there: Vec<(Uuid, u32)> = ids.iter().flat_map(|id| [(*id, 0), (*id, 1)]).collect();
    assert_eq!(asked(&there, i64::MAX), []);
    let strangers = [
        (Uuid::from_u128(7), 0),
        (made(NOON - 60 * MINUTE, 1), 0),
        (ids[0], 2),
        (made(NOON + 9 * MINUTE, 3), 1),
        (made(midnight + 60 * MINUTE, 1), 0),
    ];
    let mixed = [&there[..], &strangers].concat();
    let mut expected = strangers.to_vec();
    expected.sort();
    assert_eq!(asked(&mixed, i64::MAX), expected);
    // What is so new that it may be on its way is not said to be unknown.
    let recent = (midnight + 30 * MINUTE) as i64 * 1000;
    expected.retain(|(id, _)| *id != strangers[4].0);
    assert_eq!(asked(&mixed, recent), expected);
    let nowhere = dir.path().join("nowhere");
    let subject = Subject::of_request(ids[0], 0);
    let found = unknown(&nowhere, "notes", std::iter::once(&subject), i64::MAX).unwrap();
    assert_eq!(found, [(ids[0], 0)]);
}
