//! The room as its users see it, with guests written as text.

use std::fs;
use std::path::Path;

use super::guests::{Guest, field, rows};
use super::*;
use crate::schema::Schema;

fn engine() -> Engine {
    Engine::new(small(), None).unwrap()
}

/// Limits that are soon met, so that the tests are quick.
fn small() -> Limits {
    Limits {
        fuel: 200_000,
        fuel_per_row: 2_000,
        memory_bytes: 1 << 20,
        instances: 8,
        ..Limits::default()
    }
}

fn load(guest: Guest) -> Transform {
    engine().load(&guest.module()).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    match engine().load(bytes) {
        Ok(transform) => panic!("{} was loaded", transform.name()),
        Err(error) => error.to_string(),
    }
}

fn fault(transform: &Transform, block: &Block) -> Fault {
    match transform.call(block) {
        Err(Error::Transform { fault, .. }) => fault,
        other => panic!("no fault but {other:?}"),
    }
}

mod loading {
    use super::*;

    #[test]
    fn a_module_becomes_a_component_that_says_what_it_is() {
        let transform = load(Guest::default());
        let description = transform.description();
        assert_eq!(transform.name().to_string(), "echo@1.2.3");
        assert_eq!(transform.name().digest.len(), 64);
        assert_eq!(description.doc, "Hands back what it got.");
        assert_eq!(
            description.inputs,
            Schema::new(vec![field("x", "f64", true), field("label", "text", false)])
        );
        assert!(transform.component_size() > 0 && transform.compile_time().is_some());
    }

    #[test]
    fn a_component_is_taken_as_it_is() {
        let module = Guest::default().module();
        let component = componentize(&module).unwrap().into_owned();
        assert!(matches!(
            componentize(&component).unwrap(),
            std::borrow::Cow::Borrowed(_)
        ));
        let engine = engine();
        let (one, other) = (
            engine.load(&module).unwrap(),
            engine.load(&component).unwrap(),
        );
        assert_eq!(one.name(), other.name());
    }

    #[test]
    fn what_is_no_wasm_is_refused() {
        assert_eq!(
            refusal(b"#!/bin/sh\n"),
            "the component is refused: it is no WebAssembly: it does not begin with \\0asm"
        );
        assert_eq!(
            refusal(b""),
            "the component is refused: it is no WebAssembly: it does not begin with \\0asm"
        );
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let module = Guest::default().module();
        let component = componentize(&module).unwrap().into_owned();
        let engine = engine();
        for whole in [&module, &component] {
            for end in (0..whole.len()).step_by(whole.len() / 40) {
                assert!(
                    matches!(engine.load(&whole[..end]), Err(Error::Refused { .. })),
                    "{end} of {}",
                    whole.len()
                );
            }
        }
    }

    #[test]
    fn a_file_over_the_limit_is_refused_unread() {
        let engine = Engine::new(
            Limits {
                component_bytes: 100,
                ..small()
            },
            None,
        )
        .unwrap();
        let error = engine.load(&[0; 101]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a component of 101 bytes is over the limit of 100 bytes"
        );
    }

    #[test]
    fn an_import_is_refused_by_its_name() {
        let guest = Guest {
            items: r#"(import "env" "now" (func (result i64)))"#,
            ..Guest::default()
        };
        assert_eq!(
            refusal(&guest.module()),
            "the component is refused: it imports `env::now`, and a transform imports nothing"
        );
    }

    #[test]
    fn an_import_of_wasi_is_refused_with_what_to_do() {
        let guest = Guest {
            items: r#"(import "wasi_snapshot_preview1" "clock_time_get" (func))"#,
            ..Guest::default()
        };
        assert_eq!(
            refusal(&guest.module()),
            "the component is refused: it imports `wasi_snapshot_preview1::clock_time_get`, and a transform imports \
             nothing: build it for wasm32-unknown-unknown"
        );
    }

    #[test]
    fn an_import_of_a_component_is_refused_by_its_name() {
        let component =
            wat::parse_str(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#)
                .unwrap();
        assert_eq!(
            refusal(&component),
            "the component is refused: it imports `wasi:clocks/wall-clock@0.2.0`, and a transform imports nothing: build \
             it for wasm32-unknown-unknown"
        );
    }

    #[test]
    fn another_contract_is_refused_with_what_to_do() {
        let guest = Guest {
            contract: "0.2.0",
            ..Guest::default()
        };
        assert_eq!(
            refusal(&guest.module()),
            "the component is refused: it was built for contract 0.2.0 and this host speaks ~0.1: build it again with a \
             tidemill-sdk of ~0.1"
        );
        engine()
            .load(
                &Guest {
                    contract: "0.1.9",
                    ..Guest::default()
                }
                .module(),
            )
            .unwrap();
    }

    #[test]
    fn a_missing_export_is_named() {
        let module = wat::parse_str(r#"(module (func (export "describe")))"#).unwrap();
        assert_eq!(
            refusal(&module),
            "the component is refused: it exports no `transform`: a transform is built with tidemill-sdk, as `tidemill \
             transform build` does"
        );
        let component = wat::parse_str("(component)").unwrap();
        assert!(refusal(&component).contains("it exports no `describe`"));
    }

    #[test]
    fn a_function_too_large_to_compile_is_refused() {
        let engine = Engine::new(
            Limits {
                function_bytes: 64,
                ..small()
            },
            None,
        )
        .unwrap();
        let error = engine
            .load(&Guest::default().module())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("one of its functions has") && error.contains("over the limit of 64"),
            "{error}"
        );
    }

    #[test]
    fn an_endless_start_is_refused() {
        let guest = Guest {
            items: "(func $spin (loop $on (br $on))) (start $spin)",
            ..Guest::default()
        };
        assert_eq!(
            refusal(&guest.module()),
            "the component is refused: as it starts, it ran out of its 200000 units of fuel in `spin`"
        );
    }

    #[test]
    fn an_endless_description_is_refused() {
        let guest = Guest {
            describe: "(loop $on (br $on))",
            ..Guest::default()
        };
        assert_eq!(
            refusal(&guest.module()),
            "the component is refused: asked to describe itself, it ran out of its 200000 units of fuel in `describe`"
        );
    }

    #[test]
    fn a_description_that_eats_memory_is_refused() {
        let guest = Guest {
            describe: "(drop (memory.grow (i32.const 1000)))",
            ..Guest::default()
        };
        assert_eq!(
            refusal(&guest.module()),
            "the component is refused: asked to describe itself, it wanted more than its 1048576 bytes of memory in \
             `describe`"
        );
    }

    #[test]
    fn a_memory_over_the_limit_from_the_start_is_refused() {
        let engine = Engine::new(
            Limits {
                memory_bytes: 65536,
                ..small()
            },
            None,
        )
        .unwrap();
        let error = engine
            .load(&Guest::default().module())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("memory has a minimum byte size of 131072 which exceeds the limit"),
            "{error}"
        );
    }

    #[test]
    fn a_description_that_breaks_a_rule_is_refused() {
        let many = |n: usize| {
            (0..n)
                .map(|i| field(&format!("c{i}"), "f64", false))
                .collect()
        };
        let ranged = |data_type, minimum, maximum| {
            vec![Field {
                minimum,
                maximum,
                ..field("x", data_type, false)
            }]
        };
        use crate::schema::Field;
        let name = |name: &str| Guest {
            name: name.to_owned(),
            ..Guest::default()
        };
        let inputs = |inputs| Guest {
            inputs,
            ..Guest::default()
        };
        let cases = [
            (
                name("Delay"),
                "its name \"Delay\" is not lower-case letters, digits and hyphens",
            ),
            (name("../etc"), "its name \"../etc\" is not"),
            (name(""), "its name \"\" is not"),
            (name("9lives"), "its name \"9lives\" is not"),
            (name(&"a".repeat(65)), "beginning with a letter, 64 at most"),
            (
                Guest {
                    version: "1.2".to_owned(),
                    ..Guest::default()
                },
                "its version \"1.2\" is no semantic version",
            ),
            (
                Guest {
                    doc: "d".repeat(10_001),
                    ..Guest::default()
                },
                "the text of \"doc\" is over 10000 bytes",
            ),
            (inputs(vec![]), "it has no input"),
            (
                Guest {
                    outputs: vec![],
                    ..Guest::default()
                },
                "it has no output",
            ),
            (
                inputs(many(999)),
                "it has 1001 columns, over the limit of 1000",
            ),
            (
                inputs(vec![field("", "f64", false)]),
                "an input has an empty name",
            ),
            (
                inputs(vec![field("a", "f64", false), field("a", "i64", false)]),
                "two of its inputs are named \"a\"",
            ),
            (
                inputs(ranged("f64", Some(2.0), Some(1.0))),
                "\"x\" has a minimum 2 over its maximum 1",
            ),
            (
                inputs(ranged("f64", Some(f64::NAN), None)),
                "\"x\" has a range whose end is no finite number",
            ),
            (
                inputs(ranged("text", Some(0.0), None)),
                "\"x\" is text and has a range; only i64 and f64 may",
            ),
        ];
        for (guest, reason) in cases {
            let said = refusal(&guest.module());
            assert!(
                said.starts_with("the component is refused: ") && said.contains(reason),
                "{said}\n{reason}"
            );
        }
        load(inputs(ranged("list<i64>", Some(-1.0), Some(-1.0))));
        load(inputs(many(998)));
    }
}

mod calling {
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
                    (0..50)
                        .for_each(|n| assert_eq!(transform.call(&rows(n)).unwrap().rows, rows(n)))
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
}

mod faults {
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
        let Fault::Trap { message, .. } = fault_on_first_row("(drop (i32.load (i32.const -4)))")
        else {
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
            ("(i32.store (i32.const 516) (i32.const 3))", "it answered 3 rows for 2"),
            ("(i32.store (i32.const 524) (i32.const 1))", "its floats hold 1 values where at least 2 belong"),
            ("(i32.store (i32.const 572) (i32.const 3))", "its validity hold 3 values where 1 belong"),
            ("(i32.store8 (i32.const 512) (i32.const 2))", "invalid expected discriminant"),
            ("(i32.store (i32.const 544) (i32.const -8))", "list pointer/length out of bounds of memory"),
            ("(i32.store (i32.const 520) (i32.const 65537))", "list pointer is not aligned"),
            ("(i32.store8 (local.get $text) (i32.const 255))", "its text is no UTF-8 at byte 0"),
            ("(i32.store8 (local.get $text_ends) (i32.const 9))", "text-ends[0] is 9, after 0, in 1 bytes of text"),
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
            answer: "(i32.store (i32.const 576) (i32.const 700)) (i32.store (i32.const 580) (i32.const 1))
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
}

mod instances {
    use super::*;

    /// Counts its calls, and answers the count where the label's first byte was.
    const COUNTER: Guest2 = Guest2 {
        items: "(global $calls (mut i32) (i32.const 48))",
        answer: "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                 (i32.store8 (local.get $text) (global.get $calls))",
    };

    struct Guest2 {
        items: &'static str,
        answer: &'static str,
    }

    fn counter(limits: Limits) -> (Engine, Transform) {
        let engine = Engine::new(limits, None).unwrap();
        let guest = Guest {
            items: COUNTER.items,
            answer: COUNTER.answer,
            ..Guest::default()
        };
        let transform = engine.load(&guest.module()).unwrap();
        (engine, transform)
    }

    fn count(answer: Result<Answer>) -> String {
        let answer = answer.unwrap();
        answer.rows.text_at(1)[..1].to_owned()
    }

    #[test]
    fn a_warm_instance_is_used_again_and_a_fresh_one_never() {
        let (_, transform) = counter(small());
        let warm: Vec<String> = (0..3).map(|_| count(transform.call(&rows(2)))).collect();
        assert_eq!(warm, ["1", "2", "3"]);
        let fresh: Vec<String> = (0..3)
            .map(|_| count(transform.call_fresh(&rows(2))))
            .collect();
        assert_eq!(fresh, ["1", "1", "1"]);
    }

    #[test]
    fn an_instance_is_replaced_after_its_calls() {
        let (_, transform) = counter(Limits {
            calls_per_instance: 2,
            ..small()
        });
        let warm: Vec<String> = (0..5).map(|_| count(transform.call(&rows(2)))).collect();
        assert_eq!(warm, ["1", "2", "1", "2", "1"]);
    }

    #[test]
    fn an_instance_that_has_grown_is_replaced() {
        let engine = Engine::new(
            Limits {
                warm_memory_bytes: 65536,
                ..small()
            },
            None,
        )
        .unwrap();
        let guest = Guest {
            items: COUNTER.items,
            answer: COUNTER.answer,
            transform: "(drop (memory.grow (i32.const 1)))",
            ..Guest::default()
        };
        let transform = engine.load(&guest.module()).unwrap();
        let warm: Vec<String> = (0..5).map(|_| count(transform.call(&rows(2)))).collect();
        assert_eq!(warm, ["1", "2", "1", "2", "1"]);
    }

    #[test]
    fn more_transforms_than_instances_take_turns() {
        let engine = Engine::new(
            Limits {
                instances: 3,
                ..small()
            },
            None,
        )
        .unwrap();
        let transforms: Vec<Transform> = (0..10)
            .map(|i| {
                engine
                    .load(
                        &Guest {
                            name: format!("echo-{i}"),
                            ..Guest::default()
                        }
                        .module(),
                    )
                    .unwrap()
            })
            .collect();
        for _ in 0..3 {
            for transform in &transforms {
                assert_eq!(transform.call(&rows(2)).unwrap().rows, rows(2));
            }
            let warm: usize = transforms
                .iter()
                .map(|transform| transform.0.warm.len())
                .sum();
            assert!(warm <= 3, "{warm}");
        }
    }

    #[test]
    fn with_every_instance_in_use_a_call_says_so_and_the_next_one_works() {
        let engine = Engine::new(
            Limits {
                instances: 2,
                ..small()
            },
            None,
        )
        .unwrap();
        let transform = engine.load(&Guest::default().module()).unwrap();
        let held = [transform.instance().unwrap(), transform.instance().unwrap()];
        assert_eq!(
            transform.call(&rows(1)).unwrap_err().to_string(),
            "all 2 instances of transforms are in use at once: raise transforms.instances"
        );
        drop(held);
        assert_eq!(transform.call(&rows(1)).unwrap().rows, rows(1));
    }

    #[test]
    fn a_transform_let_go_lets_its_instances_go() {
        let engine = Engine::new(
            Limits {
                instances: 1,
                ..small()
            },
            None,
        )
        .unwrap();
        for i in 0..20 {
            let guest = Guest {
                name: format!("echo-{i}"),
                ..Guest::default()
            };
            engine
                .load(&guest.module())
                .unwrap()
                .call(&rows(1))
                .unwrap();
        }
    }
}

mod compiled {
    use super::*;

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "cwasm")
            })
            .collect()
    }

    fn load_from(folder: &Path, guest: Guest) -> Transform {
        let transform = Engine::new(small(), Some(folder.to_owned()))
            .unwrap()
            .load(&guest.module())
            .unwrap();
        assert_eq!(transform.call(&rows(3)).unwrap().rows, rows(3));
        transform
    }

    /// Loads, spoils the one file, and loads again: it must be compiled again, and the file be whole after it.
    fn is_compiled_again_after(spoil: impl Fn(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            load_from(folder.path(), Guest::default())
                .compile_time()
                .is_some()
        );
        let path = files(folder.path()).pop().unwrap();
        let whole = fs::read(&path).unwrap();
        spoil(&path);
        assert!(
            load_from(folder.path(), Guest::default())
                .compile_time()
                .is_some(),
            "it was trusted"
        );
        assert!(
            load_from(folder.path(), Guest::default())
                .compile_time()
                .is_none(),
            "it was not mended"
        );
        assert_eq!(fs::read(&path).unwrap().len(), whole.len());
    }

    #[test]
    fn a_component_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_from(folder.path(), Guest::default());
        let again = load_from(folder.path(), Guest::default());
        assert!(first.compile_time().is_some() && again.compile_time().is_none());
        assert_eq!(first.description(), again.description());
        let name = files(folder.path())[0]
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            name.starts_with(&format!("{}-", first.name().digest)),
            "{name}"
        );
    }

    #[test]
    fn a_truncated_file_is_compiled_again() {
        for keep in [0, 31, 32, 1000] {
            is_compiled_again_after(|path| {
                let whole = fs::read(path).unwrap();
                fs::write(path, &whole[..keep]).unwrap();
            });
        }
    }

    #[test]
    fn an_edited_file_is_compiled_again() {
        for at in [0, 40, 5000] {
            is_compiled_again_after(|path| {
                let mut bytes = fs::read(path).unwrap();
                bytes[at] ^= 1;
                fs::write(path, bytes).unwrap();
            });
        }
    }

    #[test]
    fn a_file_of_another_host_is_compiled_again() {
        is_compiled_again_after(|path| {
            let other = tempfile::tempdir().unwrap();
            load_from(other.path(), Guest::default());
            fs::copy(files(other.path()).pop().unwrap(), path).unwrap();
        });
    }

    #[test]
    fn our_own_file_under_another_name_is_compiled_again() {
        is_compiled_again_after(|path| {
            let folder = path.parent().unwrap();
            load_from(
                folder,
                Guest {
                    name: "other".to_owned(),
                    ..Guest::default()
                },
            );
            let other = files(folder).into_iter().find(|file| file != path).unwrap();
            fs::rename(other, path).unwrap();
        });
    }

    #[test]
    fn other_settings_are_another_file() {
        let folder = tempfile::tempdir().unwrap();
        load_from(folder.path(), Guest::default());
        let path = files(folder.path()).pop().unwrap();
        let (digest, _) = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .split_once('-')
            .unwrap();
        fs::rename(
            &path,
            folder
                .path()
                .join(format!("{digest}-0000000000000000.cwasm")),
        )
        .unwrap();
        assert!(
            load_from(folder.path(), Guest::default())
                .compile_time()
                .is_some()
        );
        assert_eq!(files(folder.path()).len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_random_and_for_this_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let keys = folders.each_ref().map(|folder| {
            Engine::new(small(), Some(folder.path().to_owned())).unwrap();
            let path = folder.path().join("key");
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            fs::read(path).unwrap()
        });
        assert_eq!(keys[0].len(), 32);
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn a_damaged_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), b"short").unwrap();
        let Err(error) = Engine::new(small(), Some(folder.path().to_owned())) else {
            panic!("it was used")
        };
        assert!(
            error.to_string().ends_with("key is damaged: remove it"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let Err(error) = Engine::new(small(), Some(file.clone())) else {
            panic!("it was used")
        };
        assert!(
            error.to_string().contains(&file.display().to_string()),
            "{error}"
        );
    }
}
