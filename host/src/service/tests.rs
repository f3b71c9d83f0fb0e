//! Service files that cannot work, and what they are told; the graph that is shown of one that can.

use super::graph::Graph;
use super::samples::{Shelf, echo};
use crate::schema::Field;

const SERVICE: &str = r#"
    name = "s"
    deadline = "200ms"
    [request]
    customer = "text"
    amount = { type = "f64", default = 1.5 }
    known = { type = "bool", nullable = true }
    [[lookup]]
    view = "customer"
    key = "customer"
    timeout = "20ms"
    default = { limit = 10.0 }
    [[lookup]]
    view = "region"
    key = "customer.region"
    on_failure = "absent"
    [[transform]]
    use = "echo"
    as = "ratio"
    bind = { x = "amount", label = "customer" }
    default = { x = 0.0, label = "" }
    [[transform]]
    use = "echo"
    as = "decide"
    bind = { x = "model.y", label = "ratio.label" }
    [[transform]]
    use = "echo"
    as = "idle"
    bind = { x = "amount", label = "customer" }
    [model]
    use = "sum"
    [gate]
    when = "known"
    score = 0.0
    output = { reason = "not known" }
    [output]
    score = "decide.x"
    fields = { reason = { from = "decide.label", type = "text", nullable = false } }
    [on_failure]
    score = 0.25
    output = { reason = "failed" }
"#;

fn shelf() -> Shelf {
    let customer = "name = \"customer\"\nkey = \"id\"\n[columns]\nid = \"text\"\n\
                    region = { type = \"text\", nullable = true }\nlimit = \"f64\"\n";
    let region = "name = \"region\"\nkey = \"id\"\n[columns]\nid = \"text\"\nrate = \"f64\"\n";
    Shelf::new()
        .view(customer, "")
        .view(region, "")
        .transform(&echo(false))
        .sum_of(&["ratio.x", "customer.limit", "region.rate"])
}

#[test]
fn a_default_makes_a_column_that_is_never_null() {
    let plan = shelf().plan(SERVICE).unwrap();
    let (_, customer) = plan.lookups().next().unwrap();
    let nullable = |field: &Field| (field.name.clone(), field.nullable);
    let columns: Vec<_> = customer.columns.fields().iter().map(nullable).collect();
    let expected = [("id", true), ("region", true), ("limit", false)];
    assert_eq!(
        columns,
        expected.map(|(name, null)| (name.to_owned(), null))
    );
}

#[test]
fn each_refusal_names_what_is_wrong_and_lists_what_there_is() {
    for (change, to, expected) in [
        // Look-ups.
        (
            "default = { limit = 10.0 }",
            "default = { credit = 10.0 }",
            "look-up \"customer\": there is no column \"credit\" to give a default; there are id, region and limit",
        ),
        (
            "default = { limit = 10.0 }",
            "default = { limit = \"high\" }",
            "look-up \"customer\": default.limit: text stands where an f64 belongs",
        ),
        (
            "timeout = \"20ms\"",
            "timeout = \"0s\"",
            "look-up \"customer\": its timeout is 0ms: nothing could be found",
        ),
        (
            "deadline = \"200ms\"",
            "deadline = \"0ms\"",
            "its deadline is 0ms: nothing could be answered",
        ),
        // The request.
        (
            "default = 1.5",
            "default = \"much\"",
            "in its [request], default.amount: text stands where an f64 belongs",
        ),
        (
            "default = 1.5",
            "minimum = 2, default = 1.5",
            "in its [request], default.amount: 1.5 is under the minimum of 2",
        ),
        // Transforms.
        (
            "default = { x = 0.0, label = \"\" }",
            "default = { x = 0.0 }",
            "transform \"ratio\": output \"label\" is never null and has no default beside the others; give it one",
        ),
        (
            "default = { x = 0.0, label = \"\" }",
            "default = { y = 0.0 }",
            "transform \"ratio\": there is no column \"y\" to give a default; there are x and label",
        ),
        // The gate.
        (
            "when = \"known\"",
            "when = \"amount\"",
            "[gate] when: amount is f64, not bool",
        ),
        (
            "when = \"known\"",
            "when = \"is_known\"",
            "[gate] when: there is no request field \"is_known\"; there are customer, amount and known",
        ),
        (
            "when = \"known\"",
            "when = \"rules.ok\"",
            "[gate] when: there is no look-up or transform \"rules\"; there are customer, region, ratio, idle, model and decide",
        ),
        ("score = 0.0\n", "", "[gate]: give its score: score = 0.0"),
        (
            "score = 0.0\n",
            "score = nan\n",
            "[gate]: its score is NaN, which JSON cannot say",
        ),
        (
            "output = { reason = \"not known\" }",
            "",
            "[gate]: give its output.reason: the field is never null",
        ),
        (
            "output = { reason = \"not known\" }",
            "output = { reson = \"not known\" }",
            "[gate]: there is no output field \"reson\"; there is reason",
        ),
        // The fallback.
        (
            "output = { reason = \"failed\" }",
            "output = { reason = 5 }",
            "[on_failure]: output.reason: 5 stands where text belongs",
        ),
        (
            "score = 0.25",
            "score = -inf",
            "[on_failure]: its score is -inf, which JSON cannot say",
        ),
        // The output.
        (
            "score = \"decide.x\"",
            "score = \"decide.label\"",
            "[output] score: decide.label is text, not f64",
        ),
        (
            "score = \"decide.x\"",
            "score = \"decide.y\"",
            "[output] score: \"decide\" has no column \"y\"; there are x and label",
        ),
        (
            "score = \"decide.x\"",
            "score = \"z\"",
            "the model has no output \"z\"; there are y",
        ),
        (
            "type = \"text\"",
            "type = \"bool\"",
            "[output.fields] reason: it is declared bool, but decide.label is text",
        ),
        (
            "from = \"decide.label\"",
            "from = \"customer.region\"",
            "[output.fields] reason: it is declared never null, but customer.region may be",
        ),
        (
            "from = \"decide.label\"",
            "from = \"decide.word\"",
            "[output.fields] reason: \"decide\" has no column \"word\"; there are x and label",
        ),
        // Names and cycles.
        (
            "bind = { x = \"model.y\", label = \"ratio.label\" }",
            "bind = { x = \"decide.x\", label = \"ratio.label\" }",
            "decide waits for itself; bind it to something else",
        ),
        (
            "bind = { x = \"amount\", label = \"customer\" }\n    default",
            "bind = { x = \"decide.x\", label = \"customer\" }\n    default",
            "ratio, decide, model wait for one another in a cycle; break it by binding one of them to something else",
        ),
        (
            "as = \"idle\"",
            "as = \"model\"",
            "two look-ups, transforms or models are named \"model\"; give one another name with `as`",
        ),
    ] {
        assert!(SERVICE.contains(change), "{change}");
        assert_eq!(shelf().refusal(&SERVICE.replacen(change, to, 1)), expected);
    }
}

#[test]
fn a_gate_stands_before_the_model() {
    let gated = |when: &str| SERVICE.replacen("when = \"known\"", &format!("when = \"{when}\""), 1);
    let flags = "name = \"flags\"\nkey = \"id\"\n[columns]\nid = \"text\"\nok = \"bool\"\n";
    let toml = gated("flags.ok").replacen(
        "[[transform]]",
        "[[lookup]]\nview = \"flags\"\nkey = \"decide.label\"\n[[transform]]",
        1,
    );
    assert_eq!(
        shelf().view(flags, "").refusal(&toml),
        "[gate] when: it needs the model, and stands before it; bind it to something else"
    );
}

/// Forty transforms, each of which reads the one before twice: 2⁴⁰ ways from the last to the first.
#[test]
fn a_deep_graph_is_resolved_in_no_time() {
    let chain: String = (0..40)
        .map(|at| {
            let before = match at {
                0 => ["amount".to_owned(), "customer".to_owned()],
                _ => [format!("c{}.x", at - 1), format!("c{}.label", at - 1)],
            };
            format!(
                "[[transform]]\nuse = \"echo\"\nas = \"c{at}\"\nbind = {{ x = \"{}\", label = \"{}\" }}\n",
                before[0], before[1]
            )
        })
        .collect();
    let flags = "name = \"flags\"\nkey = \"id\"\n[columns]\nid = \"text\"\nok = \"bool\"\n";
    let toml = SERVICE
        .replacen("when = \"known\"", "when = \"flags.ok\"", 1)
        .replacen(
            "[[transform]]",
            &format!("[[lookup]]\nview = \"flags\"\nkey = \"c39.label\"\n{chain}[[transform]]"),
            1,
        );
    let plan = shelf().view(flags, "").plan(&toml).unwrap();
    assert_eq!(Graph::of(&plan).longest_chain.len(), 41);
}

#[test]
fn keys_that_are_misspelt_or_no_span_are_refused_by_name() {
    for (change, to, expected) in [
        (
            "timeout = \"20ms\"",
            "timeout = \"soon\"",
            "\"soon\" is no span of time such as 500ms, 90s, 15m, 3h or 2d",
        ),
        (
            "on_failure = \"absent\"",
            "on_failure = \"ignore\"",
            "expected `fail` or `absent`",
        ),
        (
            "timeout = \"20ms\"",
            "time_out = \"20ms\"",
            "unknown field `time_out`",
        ),
        ("when = \"known\"", "if = \"known\"", "unknown field `if`"),
        ("when = \"known\"\n", "", "missing field `when`"),
        (
            "score = 0.25",
            "score = \"low\"",
            "invalid type: string \"low\"",
        ),
        ("score = 0.25", "value = 0.25", "unknown field `value`"),
        (
            "deadline = \"200ms\"",
            "deadline = 200",
            "invalid type: integer `200`",
        ),
    ] {
        assert!(SERVICE.contains(change), "{change}");
        let error = super::Definition::from_toml(&SERVICE.replacen(change, to, 1)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("the service file is refused: ") && text.contains(expected),
            "{text}"
        );
    }
}

#[test]
fn a_service_without_a_score_declares_none() {
    let toml = r#"
        name = "s"
        [request]
        x = "f64"
        label = "text"
        [[transform]]
        use = "echo"
        [on_failure]
        score = 1.0
    "#;
    assert_eq!(
        shelf().refusal(toml),
        "[on_failure]: it gives a score, but the service has none"
    );
    let toml = toml.replace("score = 1.0", "output = { a = 1 }");
    assert_eq!(
        shelf().refusal(&toml),
        "[on_failure]: it gives output, but the service has no [output.fields]"
    );
}

#[test]
fn the_graph_says_what_waits_for_what() {
    let graph = Graph::of(&shelf().plan(SERVICE).unwrap());
    let expected = "\
service s, version 1

stage 1
  look-up    customer
  transform  ratio (echo@1.2.3)

stage 2
  look-up    region  after customer  -> features

stage 3
  model      model (sum@1)  after ratio, customer, region

stage 4
  transform  decide (echo@1.2.3)  after model, ratio  -> score, output

never run, since nothing that is answered needs them: idle

longest chain: 4 (customer -> region -> model -> decide)
";
    // Where a look-up and a transform have features in the vector, both say so.
    let expected = expected
        .replace("customer\n  tr", "customer  -> features\n  tr")
        .replace("ratio (echo@1.2.3)\n", "ratio (echo@1.2.3)  -> features\n");
    assert_eq!(graph.to_text(), expected);
    let mermaid = graph.to_mermaid();
    assert_eq!(mermaid.matches("request -->").count(), 3, "{mermaid}");
    assert_eq!(mermaid.matches("--> ").count() - 3, 1 + 3 + 2, "{mermaid}");
    assert!(
        mermaid.contains("style s3 stroke-dasharray") || mermaid.contains("stroke-dasharray: 4")
    );
}
