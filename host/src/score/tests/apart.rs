//! Rows for which a transform fails, among others.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::service::samples::Shelf;

/// Two transforms, one behind the other.
const TWO: &str = r#"
    name = "s"
    features = ["first.x", "first.label", "second.x", "second.label"]
    [request]
    x = "f64"
    label = { type = "text", nullable = true }
    [[transform]]
    use = "echo"
    as = "first"
    [[transform]]
    use = "echo"
    as = "second"
    bind = { x = "first.x", label = "first.label" }
"#;

fn body(xs: &[f64]) -> String {
    let rows = xs
        .iter()
        .enumerate()
        .map(|(at, x)| serde_json::json!({ "x": x, "label": format!("row {at}") }));
    serde_json::json!({ "rows": rows.collect::<Vec<_>>() }).to_string()
}

/// x of the second transform, where the row has features.
fn answered(service: &Service, scored: &Scored, row: usize) -> Option<(u64, String)> {
    let (slots, vector) = (service.plan.vector.schema.slots(), &scored.vector);
    let at = vector.rows.find(row)?;
    let x = vector.block.float(slots[2], at).to_bits();
    Some((x, vector.block.text(slots[3], at).to_owned()))
}

const TRAPPED: &str = "failed: transform echo@1.2.3 failed: it trapped: ";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// 13 traps, 14 is refused.
    #[test]
    fn neighbours_of_rows_that_fail_are_answered(
        xs in vec(prop_oneof![3 => -9.0..9.0, 1 => Just(13.0), 1 => Just(14.0), 1 => Just(-0.0)], 1..24),
    ) {
        // More rows that fail are not told from their neighbours; below there is a test of that.
        prop_assume!(xs.iter().filter(|x| **x == 13.0).count() <= 16);
        let (service, metrics) = Shelf::new().transform(echo()).service(TWO);
        let scored = run(&service, &body(&xs), Wanted::Features).unwrap();
        for (row, x) in xs.iter().enumerate() {
            let outcome = told(&scored.outcomes[row]);
            match *x {
                13.0 => prop_assert!(outcome.starts_with(TRAPPED), "{}", outcome),
                14.0 => prop_assert_eq!(outcome, "refused: unlucky"),
                _ => prop_assert_eq!(outcome, "answered"),
            }
            let expected = (*x != 13.0 && *x != 14.0).then(|| (x.to_bits(), format!("row {row}")));
            prop_assert_eq!(answered(&service, &scored, row), expected);
        }
        let count = |unlucky| xs.iter().filter(|x| **x == unlucky).count() as u64;
        // The second never sees them, or they would count twice.
        prop_assert_eq!(counted(&metrics, "tidemill_failed_rows_total", "echo"), count(13.0));
        prop_assert_eq!(counted(&metrics, "tidemill_refused_rows_total", "echo"), count(14.0));
    }
}

#[test]
fn beyond_sixteen_failing_rows_the_rest_counts_as_failing() {
    let (service, _) = Shelf::new().transform(echo()).service(TWO);
    // 100, 13, 102, 13, 104, …: the sixteenth 13 is row 31, and what comes behind it is not looked at.
    let xs: Vec<f64> = (0..40)
        .map(|at| {
            if at % 2 == 1 {
                13.0
            } else {
                f64::from(100 + at)
            }
        })
        .collect();
    let scored = run(&service, &body(&xs), Wanted::Features).unwrap();
    for (row, x) in xs.iter().enumerate() {
        let fails = *x == 13.0 || row > 31;
        assert_eq!(
            told(&scored.outcomes[row]).starts_with(TRAPPED),
            fails,
            "{row}"
        );
        let expected = (!fails).then(|| (x.to_bits(), format!("row {row}")));
        assert_eq!(answered(&service, &scored, row), expected, "{row}");
    }
}

#[test]
fn where_all_rows_fail_nothing_else_runs() {
    let (service, metrics) = Shelf::new().transform(echo()).service(TWO);
    let scored = run(&service, &body(&[13.0; 40]), Wanted::Features).unwrap();
    assert!(
        scored
            .outcomes
            .iter()
            .all(|outcome| told(outcome).starts_with(TRAPPED))
    );
    assert_eq!(
        (times_run(&metrics, "first"), times_run(&metrics, "second")),
        (1, 0)
    );
    assert_eq!(counted(&metrics, "tidemill_failed_rows_total", "echo"), 40);
}

#[test]
fn defaults_stand_in_for_what_a_failed_transform_would_give() {
    let toml = TWO.replacen(
        "as = \"first\"",
        "as = \"first\"\ndefault = { x = 5.5, label = \"by default\" }",
        1,
    );
    let (service, _) = Shelf::new().transform(echo()).service(&toml);
    let mut xs = [13.0; 40];
    (xs[0], xs[3]) = (1.0, 14.0);
    let scored = run(&service, &body(&xs), Wanted::Features).unwrap();
    for row in 0..xs.len() {
        let outcome = told(&scored.outcomes[row]);
        let found = answered(&service, &scored, row);
        let defaulted: Vec<usize> = scored.defaulted(row).iter().map(|d| d.step).collect();
        match row {
            0 => assert_eq!(
                (outcome, found, defaulted),
                (
                    "answered".into(),
                    Some((1.0_f64.to_bits(), "row 0".into())),
                    vec![]
                )
            ),
            // A refusal is the row's own fault: no default stands in.
            3 => assert_eq!(
                (outcome, found, defaulted),
                ("refused: unlucky".into(), None, vec![])
            ),
            _ => assert_eq!(
                (outcome, found, defaulted),
                (
                    "answered".into(),
                    Some((5.5_f64.to_bits(), "by default".into())),
                    vec![0]
                )
            ),
        }
    }
}
