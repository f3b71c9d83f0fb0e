//! The index against a reference in Python, and what a comparison says.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use serde_json::Value;

use super::*;
use crate::statistics::{Collector, Limits};
use crate::training_set::{Manifest, Used};

/// Values of a case: all of one kind, null where missing.
fn array(values: &[Value]) -> ArrayRef {
    let number = |value: &Value| match value.as_str() {
        Some(_) => Some(f64::NAN),
        None => value.as_f64(),
    };
    let is_text = |value: &Value| value.as_str().is_some_and(|text| text != "NaN");
    if values.iter().any(Value::is_boolean) {
        Arc::new(BooleanArray::from_iter(values.iter().map(Value::as_bool)))
    } else if values.iter().any(is_text) {
        Arc::new(StringArray::from_iter(values.iter().map(Value::as_str)))
    } else {
        Arc::new(Float64Array::from_iter(values.iter().map(number)))
    }
}

fn rows(column: &str, array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(column, array, true)]).unwrap()
}

fn manifest(batch: &RecordBatch) -> Manifest {
    let mut collector = Collector::new(&batch.schema(), Limits::WHOLE);
    collector.add(batch);
    Manifest {
        name: "set".to_owned(),
        service: "s@1".to_owned(),
        features: vec!["x".to_owned()],
        rows: batch.num_rows() as u64,
        statistics: collector.statistics(),
        ..serde_json::from_value(serde_json::json!({
            "name": "set", "service": "s@1", "features": ["x"], "rows": 0, "files": [], "made_by": "a test",
        }))
        .unwrap()
    }
}

/// One column of a training set beside the same column of the log, counted in pieces.
fn compared(training: &RecordBatch, live: &RecordBatch) -> ColumnDrift {
    let known = Reference::of("set@1".to_owned(), &manifest(training), None).unwrap();
    let part = |from: usize, to: usize| {
        let mut counted = Counted::new(&live.schema(), Some(&known), Limits::LIVE);
        counted.add(Some(&known), &live.slice(from, to - from));
        counted
    };
    let cut = live.num_rows() / 3;
    let mut counted = part(cut, live.num_rows());
    counted.merge(&part(0, cut));
    let of = ("s", 1, None);
    let report = Report::of(of, Ok(&known), Some(&counted), Span::default());
    report.columns.into_iter().next().unwrap()
}

#[test]
fn the_index_is_that_of_the_reference() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/oracle/psi.json")).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let side = |name: &str| rows("x", array(case[name].as_array().unwrap()));
        let found = compared(&side("training"), &side("live")).psi.unwrap();
        let expected = case["psi"].as_f64().unwrap();
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{}: {found}, not {expected}",
            case["case"]
        );
    }
}

#[test]
fn what_moved_most_and_what_it_is_called() {
    let floats = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    let training = rows(
        "request.x",
        floats((0..1000).map(|x| f64::from(x % 100)).collect()),
    );
    let live = rows("request.x", floats(vec![500.0; 300]));
    let found = compared(&training, &live);
    assert!(found.feature);
    assert_eq!(found.reading, Reading::Drifted);
    let most = found.most.unwrap();
    assert_eq!(
        (most.bin.as_str(), most.training_share, most.live_share),
        ("over 89", 0.1, 1.0)
    );
    assert_eq!(
        (found.live.mean, found.training.unwrap().mean),
        (Some(500.0), Some(49.5))
    );
    // With few rows nothing is said of it.
    let found = compared(&training, &live.slice(0, 100));
    assert_eq!(found.reading, Reading::FewRows);
    // A column that the set does not know has a live side alone.
    let other = compared(&training, &rows("y", floats(vec![1.0; 300])));
    assert_eq!((other.psi, other.reading), (None, Reading::NotCompared));
    assert_eq!(other.live.mean, Some(1.0));
}

#[test]
fn scores_are_compared_with_those_of_the_same_model_and_of_rows_that_have_one() {
    let score = |every: usize| -> RecordBatch {
        let values = (0..900).map(|at| (at % every == 0).then_some((at % 90) as f64 / 100.0));
        rows("score", Arc::new(Float64Array::from_iter(values)))
    };
    let mut set = manifest(&score(1));
    set.model = Some(Used {
        id: "m@1".to_owned(),
        digest: "ab".to_owned(),
    });
    let live = score(3);
    for (model, compared) in [(Some("ab"), true), (Some("cd"), false), (None, false)] {
        let known = Reference::of("set@1".to_owned(), &set, model).unwrap();
        let mut counted = Counted::new(&live.schema(), Some(&known), Limits::LIVE);
        counted.add(Some(&known), &live);
        let report = Report::of(("s", 1, None), Ok(&known), Some(&counted), Span::default());
        let column = &report.columns[0];
        assert_eq!(column.psi.is_some(), compared, "{model:?}");
        assert_eq!((column.live.rows, column.live.missing_share), (300, 0.0));
        if compared {
            assert_eq!(column.reading, Reading::Stable, "{column:?}");
        }
    }
}

#[test]
fn a_set_without_statistics_says_what_to_do() {
    let mut set = manifest(&rows("x", Arc::new(Float64Array::from(vec![1.0]))));
    set.statistics.clear();
    let reason = Reference::of("set@1".to_owned(), &set, None).err().unwrap();
    assert!(reason.contains("set@1 has no statistics"), "{reason}");
    let report = Report::of(("s", 1, None), Err(&reason), None, Span::default());
    assert_eq!((report.note, report.training_set), (Some(reason), None));
}
