//! Guests that hang on more than their row, written as text, and the rows they are tried on.

use super::*;
use crate::schema::Schema;
use crate::transform::guests::{Guest, field};
use crate::transform::{Answer, Engine, Limits, Refusal};

/// Hands its rows back, unless a test says otherwise. Nothing is null.
fn floats() -> Guest {
    let fields = vec![field("x", "f64", false), field("label", "text", false)];
    Guest {
        inputs: fields.clone(),
        outputs: fields,
        ..Guest::default()
    }
}

fn load(guest: Guest) -> Transform {
    let limits = Limits {
        instances: 8,
        ..Limits::default()
    };
    let engine = Engine::new(limits, None).unwrap();
    engine.load(&guest.module()).unwrap()
}

#[track_caller]
fn refused(guest: Guest) -> String {
    reported(guest).failure.unwrap().reason
}

/// The report of a refusal, which says in a sentence what the error does.
#[track_caller]
fn reported(guest: Guest) -> Report {
    match admit(&load(guest)) {
        Ok(report) => panic!("admitted: {report}"),
        Err(Error::Refused {
            what,
            reason,
            report,
        }) => {
            let report: Report = serde_json::from_value(*report.unwrap()).unwrap();
            let failure = report.failure.as_ref().unwrap();
            assert_eq!(
                (what.as_str(), &reason),
                ("transform echo@1.2.3", &failure.reason)
            );
            assert_eq!(
                (report.verdict, report.seed),
                (Verdict::Refused, Some(SEED))
            );
            report
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_pure_transform_is_admitted_with_a_report() {
    let transform = load(Guest::default());
    let report = admit(&transform).unwrap();
    let Report {
        fuel_per_row,
        memory_bytes,
        compile_millis,
        ..
    } = report.clone();
    assert_eq!(
        report,
        Report {
            rows: 2_000,
            seed: Some(SEED),
            refused_rows: 0,
            fuel_per_row,
            memory_bytes,
            component_bytes: transform.component_size(),
            compile_millis,
            verdict: Verdict::Admitted,
            largest_call: 16_384,
            calls_of_one_instance: 10_000,
            rows_of_one_instance: 100_000,
            failure: None,
        }
    );
    assert!(0 < fuel_per_row.median && fuel_per_row.median <= fuel_per_row.p99);
    assert!(fuel_per_row.p99 <= fuel_per_row.worst);
    // Two pages, and what 2,000 rows with their texts took.
    assert!(memory_bytes > 2 << 16, "{memory_bytes}");
    let again = Report {
        compile_millis,
        ..admit(&load(Guest::default())).unwrap()
    };
    assert_eq!(again, report);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn a_refusal_is_an_answer_that_must_not_differ_either() {
    let guest = Guest::default();
    let schema = Schema::new(guest.outputs);
    let rows = crate::transform::guests::rows(9);
    let answer = |refused: &[(usize, &str)]| Answer {
        rows: rows.clone(),
        refusals: refused
            .iter()
            .map(|&(row, message)| Refusal {
                row,
                message: message.to_owned(),
            })
            .collect(),
        ..Answer::default()
    };
    let difference = |one, other| cause::first_difference(&answer(one), &answer(other), &schema);
    assert_eq!(difference(&[(2, "no")], &[(2, "no")]), None);
    assert_eq!(difference(&[(2, "no")], &[(2, "never")]), Some((2, None)));
    assert_eq!(
        difference(&[(2, "no"), (4, "no")], &[(4, "no")]),
        Some((2, None))
    );
    assert_eq!(
        difference(&[(2, "no")], &[(2, "no"), (8, "no")]),
        Some((8, None))
    );
    let mut other = answer(&[(2, "no")]);
    other.rows.floats[1] = 7.0;
    let found = cause::first_difference(&answer(&[]), &other, &schema);
    assert_eq!(found, Some((1, Some(0))));
}

#[test]
fn given_rows_are_enough_however_few() {
    let transform = load(Guest::default());
    for rows in 0..4 {
        let report = prove(&transform, &crate::transform::guests::rows(rows)).unwrap();
        assert_eq!((report.rows, report.seed), (rows, None));
    }
}

#[test]
fn state_between_calls_is_named() {
    let reason = refused(Guest {
        items: "(global $calls (mut i32) (i32.const 0))",
        transform: "(f64.store (local.get $floats)
                (f64.add (f64.load (local.get $floats)) (f64.convert_i32_s (global.get $calls))))
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))",
        ..floats()
    });
    assert!(reason.starts_with("row "), "{reason}");
    assert!(
        reason.contains(", \"x\": ") && reason.contains(" on a fresh instance, "),
        "{reason}"
    );
    assert!(
        reason.contains(" on a warm one: it keeps state between calls; the row is {\"x\":"),
        "{reason}"
    );
}

#[test]
fn dependence_on_neighbours_is_named() {
    // The first row is told the last.
    let reason = refused(Guest {
        transform: "(f64.store (local.get $floats) (f64.load (i32.add (local.get $floats)
                (i32.mul (i32.const 8) (i32.sub (local.get $rows) (i32.const 1))))))",
        ..floats()
    });
    assert!(
        reason.contains(" with others behind it: it depends on its neighbours' rows; "),
        "{reason}"
    );
}

#[test]
fn dependence_on_order_is_named() {
    // Each row is told how many stand before it.
    let reason = refused(Guest {
        transform: "(local $i i32) (local $at i32)
            (loop $next
                (local.set $at (i32.add (local.get $floats) (i32.mul (i32.const 8) (local.get $i))))
                (f64.store (local.get $at)
                    (f64.add (f64.load (local.get $at)) (f64.convert_i32_s (local.get $i))))
                (br_if $next (i32.lt_u
                    (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                    (local.get $rows))))",
        ..floats()
    });
    assert!(
        reason.contains(" as its last: it depends on the order of rows, "),
        "{reason}"
    );
}

#[test]
fn a_trap_comes_with_the_smallest_row() {
    let reason = refused(Guest {
        transform: "(local $i i32)
            (loop $next
                (if (f64.gt
                        (f64.load (i32.add (local.get $floats) (i32.mul (i32.const 8) (local.get $i))))
                        (f64.const 1e299))
                    (then unreachable))
                (br_if $next (i32.lt_u
                    (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                    (local.get $rows))))",
        ..floats()
    });
    assert!(
        reason.starts_with("it trapped: it reached an `unreachable` instruction"),
        "{reason}"
    );
    // Which of the large numbers it is does not matter; of the label nothing is left.
    assert!(
        reason.contains(", on the row {\"x\":") && reason.contains(",\"label\":\"\"}"),
        "{reason}"
    );
    assert!(reason.contains("refuses with a `Refusal`"), "{reason}");
}

#[test]
fn a_long_text_is_cut_to_what_it_takes_to_fail() {
    let guest = Guest {
        // Of one row only: a block of many rows may have long text in all.
        transform: "(if (i32.and (i32.eq (local.get $rows) (i32.const 1))
                (i32.gt_u (local.get $text_len) (i32.const 40))) (then unreachable))",
        ..floats()
    };
    let reason = refused(guest);
    let label = reason
        .split_once("\"label\":\"")
        .and_then(|(_, rest)| rest.split_once("\"}"))
        .unwrap_or_else(|| panic!("{reason}"));
    assert!(label.0.chars().count() <= 82, "{reason}");
}

#[test]
fn an_answer_out_of_its_range_is_no_answer() {
    let guest = |accepted| {
        let mut guest = floats();
        guest.inputs[0].maximum = accepted;
        guest.outputs[0].maximum = Some(1e6);
        guest
    };
    let reason = refused(guest(None));
    assert!(
        reason.starts_with("its answer is not what it declared: \"x\" is "),
        "{reason}"
    );
    admit(&load(guest(Some(1e6)))).unwrap();
}

#[test]
fn an_endless_loop_is_refused_for_its_fuel() {
    let reason = refused(Guest {
        transform: "(loop $again (br_if $again (f64.ne (f64.load (local.get $floats)) (f64.load (local.get $floats)))))",
        ..floats()
    });
    assert!(reason.starts_with("it ran out of its "), "{reason}");
    assert!(
        reason.contains("where \"x\" is NaN; take fewer steps"),
        "{reason}"
    );
}

/// Says what a refused transform did until then, and the row for programs.
#[test]
fn a_refusal_comes_with_a_report() {
    let report = reported(Guest {
        transform: "(local $i i32)
            (loop $next
                (if (f64.gt
                        (f64.load (i32.add (local.get $floats) (i32.mul (i32.const 8) (local.get $i))))
                        (f64.const 1e299))
                    (then unreachable))
                (br_if $next (i32.lt_u
                    (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                    (local.get $rows))))",
        ..floats()
    });
    let failure = report.failure.as_ref().unwrap();
    let row = failure.row.as_ref().unwrap();
    assert_eq!(
        (failure.cause.as_str(), &row["label"]),
        ("trap", &serde_json::json!(""))
    );
    assert!(row["x"].as_f64().unwrap_or(f64::INFINITY) > 1e299);
    let Spread { median, p99, worst } = report.fuel_per_row;
    assert!(0 < median && median <= p99 && p99 <= worst);
    assert!(0 < report.rows && report.rows < 2_000);
    assert!(report.component_bytes > 0 && report.compile_millis.is_some());
    let shown = report.to_string();
    assert!(
        shown.starts_with("refused: trap on the row {\"x\":"),
        "{shown}"
    );

    let endless = reported(Guest {
        transform: "(loop $again (br $again))",
        ..floats()
    });
    assert_eq!(endless.failure.unwrap().cause, "out_of_fuel");
    assert_eq!(endless.fuel_per_row.worst, Limits::default().fuel);
}

/// State of all kinds: that shows only after thousands of rows, only after thousands of calls, and in memory that grew.
#[test]
fn state_that_shows_late_is_found() {
    for (at, items, transform) in [
        (
            "after 50,000 rows",
            "(global $seen (mut i32) (i32.const 0))",
            "(global.set $seen (i32.add (global.get $seen) (local.get $rows)))
             (if (i32.gt_u (global.get $seen) (i32.const 50000)) (then
                (f64.store (local.get $floats) (f64.const 7))))",
        ),
        (
            "after 5,000 calls",
            "(global $calls (mut i32) (i32.const 0))",
            "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (if (i32.gt_u (global.get $calls) (i32.const 5000)) (then
                (f64.store (local.get $floats) (f64.const 7))))",
        ),
        (
            "in a trap after 9,000 calls",
            "(global $calls (mut i32) (i32.const 0))",
            "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (if (i32.gt_u (global.get $calls) (i32.const 9000)) (then unreachable))",
        ),
    ] {
        let report = reported(Guest {
            items,
            transform,
            ..floats()
        });
        let failure = report.failure.unwrap();
        assert_eq!(failure.cause, "state", "{at}: {}", failure.reason);
        assert!(
            failure.reason.contains("it keeps state between calls"),
            "{at}: {}",
            failure.reason
        );
    }
}

/// What hangs on how much memory there is, or where in it a row lies, hangs on other rows and on other calls.
#[test]
fn memory_is_no_input() {
    for transform in [
        "(f64.store (local.get $floats) (f64.convert_i32_u (memory.size)))",
        "(f64.store (local.get $floats) (f64.convert_i32_u (local.get $text)))",
    ] {
        let failure = reported(Guest {
            transform,
            ..floats()
        })
        .failure
        .unwrap();
        let known = ["state", "neighbours", "order", "rows"];
        assert!(
            known.contains(&failure.cause.as_str()),
            "{}",
            failure.reason
        );
    }
}

#[test]
fn dependence_on_the_number_of_rows_is_found_up_to_the_largest_call() {
    for most in ["1024", "4096"] {
        let transform: &'static str = format!(
            "(if (i32.gt_u (local.get $rows) (i32.const {most})) (then
                (f64.store (local.get $floats) (f64.const 7))))"
        )
        .leak();
        let failure = reported(Guest {
            transform,
            ..floats()
        })
        .failure
        .unwrap();
        assert!(
            ["neighbours", "order", "rows"].contains(&failure.cause.as_str()),
            "{most}: {}",
            failure.reason
        );
    }
}

#[test]
fn an_answer_that_is_no_json_is_no_answer() {
    let guest = |input: &str| {
        let fields = |data_type: &str| vec![field("x", "f64", false), field("j", data_type, false)];
        Guest {
            inputs: fields(input),
            outputs: fields("json"),
            ..Guest::default()
        }
    };
    let failure = reported(guest("text")).failure.unwrap();
    assert_eq!(failure.cause, "bad_answer");
    assert!(
        failure.reason.contains("\"j\" is no JSON in row 0"),
        "{}",
        failure.reason
    );
    admit(&load(guest("json"))).unwrap();
}

#[test]
fn a_range_holds_no_nan_in_answers_either() {
    let mut guest = floats();
    guest.outputs[0].minimum = Some(f64::MIN);
    guest.outputs[0].maximum = Some(f64::MAX);
    // Infinities are turned into zeros, and NaN is left.
    guest.transform = "(local $i i32) (local $at i32)
        (loop $next
            (local.set $at (i32.add (local.get $floats) (i32.mul (i32.const 8) (local.get $i))))
            (if (f64.eq (f64.abs (f64.load (local.get $at))) (f64.const inf))
                (then (f64.store (local.get $at) (f64.const 0))))
            (br_if $next (i32.lt_u
                (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                (local.get $rows))))";
    let failure = reported(guest).failure.unwrap();
    assert!(
        failure.reason.contains("\"x\" is NaN in row 0, outside"),
        "{}",
        failure.reason
    );
    assert_eq!(failure.row_notes, ["\"x\" is NaN"]);
}

/// A dear transform is tried for as long as the fuel of a trial reaches, and the report says for how long that was.
#[test]
fn dear_rows_are_tried_on_few() {
    let spin = "(local $n i32) (local.set $n (i32.mul (local.get $rows) (i32.const 5000000)))
        (loop $on (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";
    let report = admit(&load(Guest {
        transform: spin,
        ..floats()
    }))
    .unwrap();
    assert!((1..200).contains(&report.rows), "{report}");
    assert!(report.calls_of_one_instance < 200, "{report}");
}

#[test]
fn columns_that_are_declared_and_not_answered_are_a_lie() {
    for (declared, reason) in [
        (
            vec![field("x", "f64", false), field("n", "i64", false)],
            "its integers hold 0 values where at least 1 belong",
        ),
        (
            vec![field("x", "i64", false)],
            "its integers hold 0 values where at least 1 belong",
        ),
        (
            vec![field("x", "f64", true)],
            "its validity hold 0 values where 1 belong",
        ),
        (
            vec![field("x", "list<f64>", false)],
            "its list-offsets hold 0 values where 2 belong",
        ),
    ] {
        let failure = reported(Guest {
            outputs: declared,
            ..floats()
        })
        .failure
        .unwrap();
        assert_eq!(failure.cause, "bad_answer");
        assert!(failure.reason.contains(reason), "{}", failure.reason);
    }
}
