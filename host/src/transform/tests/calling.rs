//! Rows in, rows out.

use super::*;

#[test]
fn rows_go_in_and_come_out() {
    let transform = load(Guest::default());
    for n in [1, 2, 9, 1000] {
        let answer = transform.call(&rows(n)).unwrap();
        assert_eq!(answer.rows, rows(n));
        assert_eq!(answer.refusals, []);
        assert!(answer.fuel > 0 && answer.memory >= 131_072, "{answer:?}");
        assert_eq!(transform.call_fresh(&rows(n)).unwrap(), answer);
    }
}

#[test]
fn no_rows_are_answered_without_a_call() {
    let transform = load(Guest {
        transform: "unreachable",
        ..Guest::default()
    });
    assert_eq!(transform.call(&rows(0)).unwrap().rows, rows(0));
}

#[test]
fn every_thread_may_call() {
    let transform = load(Guest::default());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                (0..50).for_each(|n| assert_eq!(transform.call(&rows(n)).unwrap().rows, rows(n)))
            });
        }
    });
}

#[test]
fn many_rows_are_split_and_their_answers_joined() {
    let engine = Engine::new(
        Limits {
            rows_per_call: 24,
            ..small()
        },
        None,
    )
    .unwrap();
    // Refuses the last row of each call, as a guest knows it.
    let guest = Guest {
        answer: "(i32.store (i32.const 700) (i32.sub (local.get $rows) (i32.const 1)))
                 (i32.store (i32.const 704) (i32.const 1024)) (i32.store (i32.const 708) (i32.const 0))
                 (i32.store (i32.const 576) (i32.const 700)) (i32.store (i32.const 580) (i32.const 1))",
        ..Guest::default()
    };
    let answer = engine
        .load(&guest.module())
        .unwrap()
        .call(&rows(100))
        .unwrap();
    assert_eq!(answer.rows, rows(100));
    let refused: Vec<usize> = answer.refusals.iter().map(|refusal| refusal.row).collect();
    assert_eq!(refused, [23, 47, 71, 95, 99]);
}

/// Fuel, memory and the size of an answer bound a call. A block that meets a bound which each of its rows keeps is
/// answered all the same.
#[test]
fn dear_rows_in_company_are_split_until_they_pass() {
    let spin = "(local $n i32) (local.set $n (i32.mul (local.get $rows) (i32.const 10000)))
                (loop $on (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $on (local.get $n)))";
    let transform = load(Guest {
        transform: spin,
        ..Guest::default()
    });
    assert_eq!(transform.call(&rows(100)).unwrap().rows, rows(100));

    let grow = "(drop (memory.grow (i32.mul (local.get $rows) (i32.const 5))))";
    let transform = load(Guest {
        transform: grow,
        ..Guest::default()
    });
    assert_eq!(transform.call_fresh(&rows(7)).unwrap().rows, rows(7));

    let engine = Engine::new(
        Limits {
            answer_bytes: 200,
            ..small()
        },
        None,
    );
    let transform = engine.unwrap().load(
        &Guest {
            doc: String::new(),
            ..Guest::default()
        }
        .module(),
    );
    assert!(transform.is_err(), "its description alone is larger");
    let engine = Engine::new(
        Limits {
            answer_bytes: 600,
            ..small()
        },
        None,
    )
    .unwrap();
    let transform = engine.load(&Guest::default().module()).unwrap();
    assert_eq!(transform.call(&rows(500)).unwrap().rows, rows(500));
}

/// A declared range binds whoever calls: a look-up or another transform may hold any number, and admission tried none but
/// those within. The guest traps at what it was promised not to see.
#[test]
fn a_number_out_of_its_range_is_refused_and_never_reaches_the_guest() {
    let mut guest = Guest {
        transform: "(local $i i32)
            (block $done (loop $next
                (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
                (if (i32.eqz (f64.le (f64.load (i32.add (local.get $floats) (i32.mul (i32.const 8) (local.get $i)))) (f64.const 1)))
                    (then unreachable))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $next)))",
        ..Guest::default()
    };
    guest.inputs[0].maximum = Some(1.0);
    let transform = load(guest);
    let schema = transform.description().inputs.clone();
    let block = |values: &[Option<f64>]| {
        let mut builder = crate::block::RowsBuilder::new(&schema);
        for (row, value) in values.iter().enumerate() {
            builder.begin_row();
            if let Some(value) = value {
                builder.set_float(schema.slot(0), *value);
            }
            builder.set_text(schema.slot(1), &row.to_string());
        }
        builder.finish()
    };
    let mixed = block(&[Some(0.5), Some(2.0), None, Some(f64::NAN), Some(1.0)]);
    for answer in [transform.call(&mixed), transform.call_fresh(&mixed)] {
        let answer = answer.unwrap();
        let kept: Vec<usize> = (0..5)
            .filter(|&row| {
                mixed
                    .slice(&schema, row..row + 1)
                    .same_bits(&answer.rows.slice(&schema, row..row + 1), &schema)
            })
            .collect();
        assert_eq!(kept, [0, 2, 4]);
        assert!(!answer.rows.is_valid(schema.slot(0), 1));
        let said: Vec<_> = answer
            .refusals
            .iter()
            .map(|refusal| (refusal.row, refusal.message.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (1, "\"x\" is 2, outside its range -inf to 1"),
                (3, "\"x\" is NaN, outside its range -inf to 1")
            ]
        );
    }
    let none = transform.call(&block(&[Some(7.0)])).unwrap();
    assert_eq!((none.rows.rows(), none.refusals.len()), (1, 1));
}
