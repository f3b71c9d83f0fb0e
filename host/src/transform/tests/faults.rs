//! How a guest can fail, and that the next call works.

use super::*;

fn frames(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// After each fault the next call is answered.
fn fault_on_first_row(transform: &'static str) -> Fault {
    // A row without a label is the bad one.
    let guarded = format!("(if (i32.eqz (local.get $text_len)) (then {transform}))").leak();
    let transform = load(Guest {
        transform: guarded,
        items: DEEP,
        ..Guest::default()
    });
    let good = rows(2).slice(&transform.description().inputs, 1..2);
    assert_eq!(transform.call(&good).unwrap().rows, good);
    let fault = fault(&transform, &rows(1));
    assert_eq!(transform.call(&good).unwrap().rows, good);
    fault
}

const DEEP: &str =
    "(func $deep call $deep) (func $_ZN4core9panicking5panic17h0123456789abcdefE unreachable)";

#[test]
fn a_panic_names_the_functions() {
    let fault = fault_on_first_row("call $_ZN4core9panicking5panic17h0123456789abcdefE");
    assert_eq!(
        fault,
        Fault::Trap {
            message: "it reached an `unreachable` instruction, as a panic does".to_owned(),
            frames: frames(&["core::panicking::panic", "transform"]),
        }
    );
    assert_eq!(
        fault.to_string(),
        "it trapped: it reached an `unreachable` instruction, as a panic does in `transform`"
    );
}

#[test]
fn a_stack_overflow_is_a_trap() {
    let Fault::Trap { message, frames } = fault_on_first_row("call $deep") else {
        panic!()
    };
    assert_eq!(message, "call stack exhausted");
    assert_eq!(frames, vec!["deep"; 16]);
}

#[test]
fn a_division_by_zero_and_a_wild_pointer_are_traps() {
    let Fault::Trap { message, .. } =
        fault_on_first_row("(drop (i32.div_u (i32.const 1) (i32.const 0)))")
    else {
        panic!()
    };
    assert_eq!(message, "integer divide by zero");
    let Fault::Trap { message, .. } = fault_on_first_row("(drop (i32.load (i32.const -4)))") else {
        panic!()
    };
    assert_eq!(message, "out of bounds memory access");
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let fault = fault_on_first_row("(loop $on (br $on))");
    assert_eq!(
        fault,
        Fault::OutOfFuel {
            limit: 200_000,
            frames: frames(&["transform"])
        }
    );
}

#[test]
fn a_bulk_copy_costs_its_bytes() {
    let fault = fault_on_first_row(
        "(memory.fill (i32.const 65536) (i32.const 0) (i32.const 65536)) (memory.fill (i32.const 65536) (i32.const 0) (i32.const 65536)) (memory.fill (i32.const 65536) (i32.const 0) (i32.const 65536)) (memory.fill (i32.const 65536) (i32.const 0) (i32.const 65536))",
    );
    assert_eq!(
        fault,
        Fault::OutOfFuel {
            limit: 200_000,
            frames: frames(&["transform"])
        }
    );
}

#[test]
fn memory_over_the_limit_is_refused_where_it_is_asked_for() {
    let fault = fault_on_first_row("(drop (memory.grow (i32.const 15)))");
    assert_eq!(
        fault,
        Fault::OutOfMemory {
            limit: 1 << 20,
            frames: frames(&["transform"])
        }
    );
}

#[test]
fn rows_that_do_not_fit_into_its_memory_are_too_much() {
    let transform = load(Guest::default());
    let schema = &transform.description().inputs;
    let mut builder = crate::block::RowsBuilder::new(schema);
    builder.begin_row();
    builder.set_text(schema.slot(1), &"x".repeat(2 << 20));
    let fault = fault(&transform, &builder.finish());
    assert_eq!(
        fault,
        Fault::OutOfMemory {
            limit: 1 << 20,
            frames: frames(&["realloc"])
        }
    );
}

#[test]
fn an_allocator_that_answers_nonsense_is_a_fault() {
    let transform = load(Guest {
        realloc: "(if (i32.eq (local.get $align) (i32.const 8)) (then (return (i32.const -8))))",
        ..Guest::default()
    });
    let Fault::Trap { message, .. } = fault(&transform, &rows(1)) else {
        panic!()
    };
    assert_eq!(
        message,
        "its allocator gave no room for the rows: beyond end of memory"
    );
}

#[test]
fn an_answer_over_the_limit_is_not_copied_out() {
    let engine = Engine::new(
        Limits {
            answer_bytes: 4096,
            ..small()
        },
        None,
    )
    .unwrap();
    let guest = Guest {
        answer: "(i32.store (i32.const 548) (i32.const 5000))",
        ..Guest::default()
    };
    let transform = engine.load(&guest.module()).unwrap();
    assert_eq!(
        fault(&transform, &rows(1)),
        Fault::AnswerTooLarge { limit: 4096 }
    );
}

#[test]
fn what_it_says_of_the_block_is_told() {
    // The case `failure`, whose message is the transform's doc.
    let guest = Guest {
        answer: "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store (i32.const 516) (i32.load (i32.const 1040)))
                 (i32.store (i32.const 520) (i32.load (i32.const 1044)))",
        ..Guest::default()
    };
    assert_eq!(
        fault(&load(guest), &rows(1)),
        Fault::Failure("Hands back what it got.".to_owned())
    );
}

#[test]
fn an_answer_that_is_not_what_was_declared_is_bad() {
    let cases = [
        (
            "(i32.store (i32.const 516) (i32.const 3))",
            "it answered 3 rows for 2",
        ),
        (
            "(i32.store (i32.const 524) (i32.const 1))",
            "its floats hold 1 values where at least 2 belong",
        ),
        (
            "(i32.store (i32.const 572) (i32.const 3))",
            "its validity hold 3 values where 1 belong",
        ),
        (
            "(i32.store8 (i32.const 512) (i32.const 2))",
            "invalid expected discriminant",
        ),
        (
            "(i32.store (i32.const 544) (i32.const -8))",
            "list pointer/length out of bounds of memory",
        ),
        (
            "(i32.store (i32.const 520) (i32.const 65537))",
            "list pointer is not aligned",
        ),
        (
            "(i32.store8 (local.get $text) (i32.const 255))",
            "its text is no UTF-8 at byte 0",
        ),
        (
            "(i32.store8 (local.get $text_ends) (i32.const 9))",
            "text-ends[0] is 9, after 0, in 1 bytes of text",
        ),
        // Refusals: of a row there is not, of one row twice, and with a message that is no UTF-8.
        (
            "(i32.store (i32.const 576) (i32.const 700)) (i32.store (i32.const 580) (i32.const 1))
             (i32.store (i32.const 700) (i32.const 2))",
            "it refuses row 2 of 2, out of order or range",
        ),
        (
            "(i32.store (i32.const 576) (i32.const 700)) (i32.store (i32.const 580) (i32.const 2))",
            "it refuses row 0 of 2, out of order or range",
        ),
        (
            "(i32.store (i32.const 576) (i32.const 700)) (i32.store (i32.const 580) (i32.const 1))
             (i32.store (i32.const 704) (i32.const 720)) (i32.store (i32.const 708) (i32.const 2))
             (i32.store (i32.const 720) (i32.const 0xffff))",
            "invalid utf-8 sequence of 1 bytes from index 0",
        ),
    ];
    for (answer, what) in cases {
        let transform = load(Guest {
            answer,
            ..Guest::default()
        });
        assert_eq!(
            fault(&transform, &rows(2)),
            Fault::BadAnswer(what.to_owned())
        );
    }
}

#[test]
fn a_number_outside_its_declared_range_is_bad() {
    let mut outputs = Guest::default().outputs;
    outputs[0].maximum = Some(1.0);
    let transform = load(Guest {
        outputs,
        ..Guest::default()
    });
    assert_eq!(transform.call(&rows(8)).unwrap().rows, rows(8));
    let fault = fault(&transform, &rows(20));
    assert!(
        fault
            .to_string()
            .contains("\"x\" is 1.2857142857142858 in row 9, outside its range"),
        "{fault}"
    );
}

#[test]
fn a_long_message_is_cut() {
    let guest = Guest {
        doc: "é".repeat(1500),
        answer:
            "(i32.store (i32.const 576) (i32.const 700)) (i32.store (i32.const 580) (i32.const 1))
                 (i32.store (i32.const 704) (i32.load (i32.const 1040)))
                 (i32.store (i32.const 708) (i32.load (i32.const 1044)))",
        ..Guest::default()
    };
    let answer = load(guest).call(&rows(1)).unwrap();
    assert_eq!(
        answer.refusals,
        [Refusal {
            row: 0,
            message: "é".repeat(1000)
        }]
    );
}
