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
