//! Which instance a call gets.

use super::*;

/// Counts its calls, and answers the count where the label's first byte was.
fn counting() -> Guest {
    Guest {
        items: "(global $calls (mut i32) (i32.const 48))",
        answer: "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                 (i32.store8 (local.get $text) (global.get $calls))",
        ..Guest::default()
    }
}

fn counter(limits: Limits) -> Transform {
    Engine::new(limits, None)
        .unwrap()
        .load(&counting().module())
        .unwrap()
}

fn count(answer: Result<Answer>) -> String {
    let answer = answer.unwrap();
    answer.rows.text_at(1)[..1].to_owned()
}

#[test]
fn a_warm_instance_is_used_again_and_a_fresh_one_never() {
    let transform = counter(small());
    let warm: Vec<String> = (0..3).map(|_| count(transform.call(&rows(2)))).collect();
    assert_eq!(warm, ["1", "2", "3"]);
    let fresh: Vec<String> = (0..3)
        .map(|_| count(transform.call_fresh(&rows(2))))
        .collect();
    assert_eq!(fresh, ["1", "1", "1"]);
}

#[test]
fn an_instance_is_replaced_after_its_calls() {
    let transform = counter(Limits {
        calls_per_instance: 2,
        ..small()
    });
    let warm: Vec<String> = (0..5).map(|_| count(transform.call(&rows(2)))).collect();
    assert_eq!(warm, ["1", "2", "1", "2", "1"]);
}

#[test]
fn an_instance_is_replaced_after_its_rows() {
    let transform = counter(Limits {
        rows_per_instance: 4,
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
        transform: "(drop (memory.grow (i32.const 1)))",
        ..counting()
    };
    let transform = engine.load(&guest.module()).unwrap();
    let warm: Vec<String> = (0..5).map(|_| count(transform.call(&rows(2)))).collect();
    assert_eq!(warm, ["1", "2", "1", "2", "1"]);
}

/// Whether a row passes depends on nothing but the row: what a used instance fails on, a new one is asked.
#[test]
fn what_a_used_instance_fails_on_is_asked_of_a_new_one() {
    let once = Guest {
        items: "(global $calls (mut i32) (i32.const 0))",
        transform: "(if (global.get $calls) (then unreachable)) (global.set $calls (i32.const 1))",
        ..Guest::default()
    };
    let engine = Engine::new(
        Limits {
            instances: 1,
            ..small()
        },
        None,
    )
    .unwrap();
    let transform = engine.load(&once.module()).unwrap();
    transform.call_warm(&rows(2)).unwrap();
    transform.call_warm(&rows(2)).unwrap_err();
    assert!(!transform.is_only_fresh());
    for _ in 0..4 {
        assert_eq!(transform.call(&rows(2)).unwrap().rows, rows(2));
    }
    assert!(transform.is_only_fresh());
    assert_eq!(transform.0.warm.len(), 0);
}

/// Memory that earlier rows have taken up is no reason to fail on a row that passes alone, and no sign of a lie.
#[test]
fn an_instance_that_lacks_memory_gives_way_to_a_new_one() {
    // Three more pages a call, of the sixteen there are.
    let engine = Engine::new(
        Limits {
            warm_memory_bytes: 1 << 20,
            ..small()
        },
        None,
    )
    .unwrap();
    let grows = Guest {
        transform: "(drop (memory.grow (i32.const 3)))",
        ..Guest::default()
    };
    let transform = engine.load(&grows.module()).unwrap();
    for _ in 0..20 {
        assert_eq!(transform.call(&rows(1)).unwrap().rows, rows(1));
    }
    assert!(!transform.is_only_fresh());
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
