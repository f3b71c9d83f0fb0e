//! Bodies with fields that are the same for all rows, and what else may stand beside the rows.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::block::samples::schema;

const FIELDS: [&str; 5] = ["customer", "amount", "at", "tags", "note"];

fn fields() -> Schema {
    schema(&[
        ("customer", "text", false),
        ("amount", "f64", false),
        ("at", "timestamp", false),
        ("tags", "list<i64>", true),
        ("note", "json", true),
    ])
}

const LIMITS: Limits<'static> = Limits {
    rows: 10,
    ignore_unknown: false,
    defaults: None,
};

fn decoded(body: &str) -> Result<Request> {
    decode(&fields(), body.as_bytes(), LIMITS)
}

#[track_caller]
fn refused(body: &str, expected: &str) {
    assert_eq!(decoded(body).unwrap_err().to_string(), expected, "{body}");
}

fn any_value(field: &'static str) -> BoxedStrategy<Value> {
    match field {
        "customer" => "[a-zé\"\\\\]{0,4}".prop_map(Value::from).boxed(),
        "amount" => (-1e9..1e9).prop_map(Value::from).boxed(),
        "at" => (0..60_u32)
            .prop_map(|second| json!(format!("2025-01-01T00:00:{second:02}Z")))
            .boxed(),
        "tags" => prop::option::of(vec(any::<i64>(), 0..3))
            .prop_map(Value::from)
            .boxed(),
        _ => prop::option::of(0..9_u8)
            .prop_map(|depth| json!({ "depth": depth }))
            .boxed(),
    }
}

proptest! {
    #[test]
    fn shared_fields_are_in_every_row(
        rows in vec(FIELDS.map(any_value).to_vec(), 1..6),
        is_shared in vec(any::<bool>(), FIELDS.len()),
        shared_first: bool,
    ) {
        let object = |row: &[Value], wanted: &dyn Fn(usize) -> bool| {
            let fields = FIELDS.iter().zip(row).enumerate().filter(|(at, _)| wanted(*at));
            let fields = fields.map(|(_, (name, value))| ((*name).to_owned(), value.clone()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        let shared = object(&rows[0], &|at| is_shared[at]);
        let own: Vec<Value> = rows.iter().map(|row| object(row, &|at| !is_shared[at])).collect();
        let body = match shared_first {
            true => json!({ "shared": shared, "rows": own }),
            false => json!({ "rows": own, "shared": shared }),
        };
        let whole: Vec<Value> = rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                for at in (0..row.len()).filter(|at| is_shared[*at]) {
                    row[at] = rows[0][at].clone();
                }
                object(&row, &|_| true)
            })
            .collect();
        let found = decoded(&body.to_string()).unwrap();
        let expected = decoded(&json!({ "rows": whole }).to_string()).unwrap();
        prop_assert_eq!(found.rows.first_difference(&expected.rows, &fields()), None);
        prop_assert_eq!((found.shared, expected.shared), (Some(is_shared), None));
    }
}

const ROW: &str = r#""amount": 1, "at": "2025-01-01T00:00:00Z""#;

#[test]
fn a_field_is_given_once() {
    let twice = "rows[1].amount: given in \"shared\" as well";
    let rows = format!(
        r#""rows": [{{"customer": "a", "at": "2025-01-01T00:00:00Z"}}, {{"customer": "b", {ROW}}}]"#
    );
    let shared = r#""shared": {"amount": 1}"#;
    refused(&format!("{{{shared}, {rows}}}"), twice);
    refused(&format!("{{{rows}, {shared}}}"), twice);
    refused(
        &format!("{{{shared}, {shared}, {rows}}}"),
        "shared: given twice",
    );
    refused(
        r#"{"shared": {"amount": 1, "amount": 1}, "rows": []}"#,
        "shared.amount: given twice",
    );
}

#[test]
fn what_is_neither_in_a_row_nor_shared_is_missing() {
    refused(
        &format!(r#"{{"shared": {{{ROW}}}, "rows": [{{"customer": "a"}}, {{}}]}}"#),
        "rows[1].customer: missing; a text belongs here",
    );
    refused(
        r#"{"rows": [{"customer": "a"}], "shared": {"amount": 2}}"#,
        "rows[0].at: missing; a timestamp belongs here",
    );
}

#[test]
fn what_is_shared_is_checked_where_it_stands() {
    for (shared, expected) in [
        (
            r#"{"amount": "much"}"#,
            "shared.amount: text stands where an f64 belongs",
        ),
        (
            r#"{"sum": 1}"#,
            "shared.sum: no such field; there are customer, amount, at, tags, note",
        ),
        (
            r#"{"customer": null}"#,
            "shared.customer: null stands where text belongs",
        ),
        (
            r#"{"tags": [1, "two"]}"#,
            "shared.tags[1]: text stands where an i64 belongs",
        ),
        ("[]", "shared: an object belongs here"),
    ] {
        refused(
            &format!(r#"{{"shared": {shared}, "rows": [{{"customer": "a", {ROW}}}]}}"#),
            expected,
        );
    }
}

#[test]
fn a_body_has_one_row_or_many() {
    let row = format!(r#"{{"customer": "a", {ROW}}}"#);
    let either = "give \"inputs\", or \"rows\" with or without \"shared\"";
    refused(
        &format!(r#"{{"inputs": {row}, "shared": {{}}}}"#),
        &format!("shared: {either}"),
    );
    refused(
        &format!(r#"{{"shared": {{}}, "inputs": {row}}}"#),
        &format!("inputs: {either}"),
    );
    refused(
        &format!(r#"{{"rows": [{row}], "inputs": {row}}}"#),
        &format!("inputs: {either}"),
    );
    refused(
        r#"{"shared": {"customer": "a"}}"#,
        "body: give \"inputs\": {…} or \"rows\": [{…}, …]",
    );
    refused(
        r#"{"shared": {"customer": "a"}, "rows": []}"#,
        "rows: no rows",
    );
}

#[test]
fn wishes_stand_anywhere_beside_the_rows() {
    let rows = format!(r#""rows": [{{"customer": "a", {ROW}}}]"#);
    let wishes = |more: &str| decoded(&format!("{{{more}, {rows}}}")).unwrap().wishes;
    let expected = Wishes {
        features: true,
        timings: true,
        top_k: Some(3),
    };
    let all = r#""features": true, "timings": true, "top_k": 3"#;
    assert_eq!(wishes(all), expected);
    let behind = decoded(&format!("{{{rows}, {all}}}")).unwrap();
    assert_eq!(behind.wishes, expected);

    for (count, shown) in [
        ("0", "0"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("\"all\"", "\"all\""),
        ("null", "null"),
    ] {
        refused(
            &format!(r#"{{"top_k": {count}, {rows}}}"#),
            &format!("top_k: {shown} stands where a number of rows, 1 or more, belongs"),
        );
    }
    refused(
        &format!(r#"{{"timings": 1, {rows}}}"#),
        "timings: true or false belongs here",
    );
}

/// A field that is left out has its default, and one that is shared is not in need of it.
#[test]
fn defaults_fill_what_is_left_out() {
    let values = json!({ "customer": "nobody", "tags": [1, 2] });
    let declared = Declared::read(&fields(), values.as_object().unwrap()).unwrap();
    let limits = Limits {
        defaults: Some(&declared),
        ..LIMITS
    };
    let body = format!(
        r#"{{"shared": {{"customer": "shared"}}, "rows": [{{{ROW}}}, {{{ROW}, "tags": []}}, {{{ROW}, "tags": null}}]}}"#
    );
    let request = decode(&fields(), body.as_bytes(), limits).unwrap();
    let (customer, tags) = (fields().slot(0), fields().slot(3));
    for row in 0..3 {
        assert_eq!(request.rows.text(customer, row), "shared");
    }
    let items = |row| request.rows.items(tags, row).len();
    assert_eq!((items(0), items(1)), (2, 0));
    // Null is a value as well.
    assert!(!request.rows.is_valid(tags, 2));
    let body = format!(r#"{{"inputs": {{{ROW}}}}}"#);
    let request = decode(&fields(), body.as_bytes(), limits).unwrap();
    assert_eq!(request.rows.text(customer, 0), "nobody");
}
