//! What stands before the rest and behind the model: gates, transforms of the model's outputs, declared answers.

use super::*;
use crate::service::samples::Shelf;
use crate::store::MemoryStore;

const SERVICE: &str = r#"
    name = "s"
    [request]
    customer = { type = "text", nullable = true }
    amount = "f64"
    [[lookup]]
    view = "customer"
    key = "customer"
    [[lookup]]
    view = "rule"
    key = "customer.group"
    [[transform]]
    use = "echo"
    as = "decide"
    bind = { x = "model.y", label = "customer.group" }
    [model]
    use = "sum"
    [gate]
    when = "rule.is_open"
    score = -1.0
    [output]
    score = "decide.x"
    fields = { group = "decide.label" }
    [on_failure]
    score = 0.5
    output = { group = "unknown" }
"#;

/// Open to the group a, closed to b, null for c; that of d is not there.
fn shelf(store: Arc<dyn OnlineStore>) -> Shelf {
    let customer =
        "name = \"customer\"\nkey = \"id\"\n[columns]\nid = \"text\"\ngroup = \"text\"\n";
    let customers = ["a", "b", "c", "d"].map(|group| {
        serde_json::json!({ "id": format!("of {group}"), "group": group }).to_string() + "\n"
    });
    let rule = "name = \"rule\"\nkey = \"group\"\n[columns]\ngroup = \"text\"\n\
                is_open = { type = \"bool\", nullable = true }\nlimit = { type = \"f64\", nullable = true }\n";
    let rules = [("a", Some(true)), ("b", Some(false)), ("c", None)].map(|(group, open)| {
        serde_json::json!({ "group": group, "is_open": open, "limit": 1.0 }).to_string() + "\n"
    });
    Shelf::around(store)
        .view(customer, &customers.concat())
        .view(rule, &rules.concat())
        .transform(echo())
        .sum_of(&["amount", "rule.limit"])
}

fn rows(rows: &[(&str, f64)]) -> String {
    let rows = rows
        .iter()
        .map(|(customer, amount)| serde_json::json!({ "customer": customer, "amount": amount }));
    serde_json::json!({ "rows": rows.collect::<Vec<_>>() }).to_string()
}

#[test]
fn a_gate_lets_through_what_is_true_and_answers_the_rest() {
    let (service, metrics) = shelf(Arc::new(MemoryStore::new())).service(SERVICE);
    let body = rows(&[
        ("of a", 1.0),
        ("of b", 1.0),
        ("of c", 1.0),
        ("of d", 1.0),
        ("nobody", 1.0),
        // The model says 13, which the transform behind it does not bear.
        ("of a", -988.0),
        // And 14, which it refuses.
        ("of a", -987.0),
    ]);
    let scored = run(&service, &body, Wanted::Score).unwrap();
    let plan = &service.plan;
    let found: Vec<(String, Option<f64>)> = (0..7)
        .map(|row| {
            let outcome = told(&scored.outcomes[row]);
            let word = outcome.split(':').next().unwrap_or_default().to_owned();
            (word, scored.score(plan, row))
        })
        .collect();
    let expected = [
        ("answered", Some(1002.0)),
        ("closed", Some(-1.0)),
        ("closed", Some(-1.0)),
        ("closed", Some(-1.0)),
        ("closed", Some(-1.0)),
        ("fallback", Some(0.5)),
        ("refused", None),
    ];
    assert_eq!(
        found,
        expected.map(|(word, score)| (word.to_owned(), score))
    );
    let gate = |what: &str| counted(&metrics, "tidemill_gate_rows_total", &format!("\"{what}\""));
    assert_eq!((gate("open"), gate("closed")), (3, 4));
    let fallbacks = |why: &str| {
        let label = format!("reason=\"{why}\"");
        counted(&metrics, "tidemill_fallback_rows_total", &label)
    };
    assert_eq!((fallbacks("transform"), fallbacks("store")), (1, 0));
    // The gate's output is not declared, so its field is null.
    let declared = scored.declared(plan, 1).unwrap().output.as_ref().unwrap();
    assert!(!declared.is_valid(plan.output.as_ref().unwrap().schema.slot(0), 0));
}

#[test]
fn behind_a_closed_gate_nothing_runs() {
    let store = Arc::new(SpyStore::new(Arc::new(MemoryStore::new()), None));
    let toml = SERVICE.replacen(
        "[[transform]]",
        "[[lookup]]\nview = \"rule\"\nas = \"behind\"\nkey = \"customer.group\"\n[[transform]]",
        1,
    );
    let shelf = shelf(store.clone()).sum_of(&["amount", "behind.limit"]);
    let (service, metrics) = shelf.service(&toml);
    for wanted in [Wanted::Score, Wanted::Features] {
        let closed = rows(&[("of b", 1.0), ("of c", 2.0)]);
        let scored = run(&service, &closed, wanted).unwrap();
        assert_eq!(scored.outcomes.len(), 2);
    }
    let ran = |metrics| {
        ["customer", "rule", "behind", "model", "decide"].map(|step| times_run(metrics, step))
    };
    assert_eq!(ran(&metrics), [2, 2, 0, 0, 0]);
    assert_eq!(store.seen("rule"), Seen { calls: 4, keys: 4 });

    // Of a batch only the rows it is open to go on.
    let scored = run(
        &service,
        &rows(&[("of b", 1.0), ("of a", 2.0)]),
        Wanted::Score,
    )
    .unwrap();
    assert_eq!(scored.score(&service.plan, 1), Some(1003.0));
    assert_eq!(ran(&metrics), [3, 3, 1, 1, 1]);
    assert_eq!(store.seen("rule"), Seen { calls: 7, keys: 7 });
}

#[test]
fn features_alone_run_no_model_and_fall_back_on_nothing() {
    let (service, metrics) = shelf(Arc::new(MemoryStore::new())).service(SERVICE);
    let scored = run(&service, &rows(&[("of a", 1.0)]), Wanted::Features).unwrap();
    assert_eq!(told(&scored.outcomes[0]), "answered");
    assert_eq!(scored.vector.block.rows(), 1);
    assert_eq!(
        ["model", "decide"].map(|step| times_run(&metrics, step)),
        [0, 0]
    );
}

/// A look-up that has come to nothing before its time is up is given up with it.
#[test]
fn what_has_not_come_by_the_deadline_is_the_fallbacks_matter() {
    let never = HashMap::from([("rule".to_owned(), usize::MAX)]);
    let store = Arc::new(SpyStore::new(Arc::new(MemoryStore::new()), Some(never)));
    let toml = SERVICE.replacen("name = \"s\"", "name = \"s\"\ndeadline = \"50ms\"", 1);
    let (service, metrics) = shelf(store).service(&toml);
    let scored = run(
        &service,
        &rows(&[("of a", 1.0), ("of b", 1.0)]),
        Wanted::Score,
    )
    .unwrap();
    for row in 0..2 {
        let outcome = told(&scored.outcomes[row]);
        assert!(
            outcome.starts_with("fallback: look-up \"rule\" was not there within"),
            "{outcome}"
        );
        assert_eq!(scored.score(&service.plan, row), Some(0.5));
    }
    let label = "reason=\"late\"";
    assert_eq!(counted(&metrics, "tidemill_fallback_rows_total", label), 2);
    let status = counted(
        &metrics,
        "tidemill_lookups_total",
        "lookup=\"rule\",service=\"s\",status=\"timed_out\"",
    );
    assert_eq!(status, 2);
}
