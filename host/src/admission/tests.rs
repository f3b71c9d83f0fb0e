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
    match admit(&load(guest)) {
        Ok(report) => panic!("admitted: {report}"),
        Err(error) => {
            let text = error.to_string();
            let reason = text.strip_prefix("transform echo@1.2.3 is refused: ");
            reason.unwrap_or_else(|| panic!("{text}")).to_owned()
        }
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
