//! What is loaded, and what is refused with which sentence.

use super::*;
use crate::schema::{Field, Schema};

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

/// Whatever a file holds, it is loaded or refused, and if loaded, it answers or fails.
#[test]
fn a_damaged_file_harms_nobody() {
    let module = Guest::default().module();
    let component = componentize(&module).unwrap().into_owned();
    let engine = engine();
    let mut random = 1_u64;
    for whole in [&module, &component] {
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let at = (random >> 33) as usize % bytes.len();
                bytes[at] ^= 1 << (random >> 20 & 7);
            }
            match engine.load(&bytes) {
                Ok(transform) => drop(transform.call(&rows(2))),
                Err(error) => assert!(matches!(error, Error::Refused { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn ten_thousand_functions_are_no_fault() {
    let functions: String = (0..10_000)
        .map(|at| {
            format!(
                "(func $f{at} (param i64) (result i64) (i64.add (local.get 0) (i64.const {at})))"
            )
        })
        .collect();
    let transform = load(Guest {
        items: functions.leak(),
        transform: "(drop (call $f9999 (i64.const 1)))",
        ..Guest::default()
    });
    assert_eq!(transform.call(&rows(3)).unwrap().rows, rows(3));
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
        "a component of 101 bytes is over the limit of 100 bytes (transforms.component_bytes)"
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
        "the component is refused: it was built for the contract tidemill:transform@0.2.0, and this server takes 0.1.0 and \
         any later 0.1: build it again with tidemill-sdk 0.1"
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
fn functions_of_other_types_are_refused() {
    let component = wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "describe") (canon lift (core func $i "f")))
            (func (export "transform") (canon lift (core func $i "f"))))"#,
    )
    .unwrap();
    assert_eq!(
        refusal(&component),
        "the component is refused: its `transform` is not that of the contract: expected 1-tuple, found 0-tuple"
    );
}

#[test]
fn what_would_take_too_long_to_compile_is_refused() {
    let nested = format!("(func {} {})", "(loop ".repeat(1000), ")".repeat(1000));
    let guest = Guest {
        items: nested.leak(),
        ..Guest::default()
    };
    assert_eq!(
        refusal(&guest.module()),
        "the component is refused: one of its functions would take too long to compile: 1000 loops in loops, over the \
         limit of 50"
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
fn a_description_that_changes_is_refused() {
    let guest = Guest {
        describe: "(i32.store8 (i32.load (i32.const 1040)) (i32.add (i32.load8_u (i32.load (i32.const 1040))) (i32.const 1)))",
        ..Guest::default()
    };
    assert_eq!(
        refusal(&guest.module()),
        "the component is refused: asked a second time, it describes itself otherwise"
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
