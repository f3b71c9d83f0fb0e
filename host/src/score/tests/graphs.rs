//! Random graphs: every step finds what it needs, runs once or not at all, and gives what the naive way gives.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::service::samples::Shelf;
use crate::store::MemoryStore;

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const NODES: usize = 10;

/// A look-up of the view `v{at}`, or a transform: its text and its number come from earlier nodes or the request.
#[derive(Clone, Debug)]
struct Drawn {
    is_lookup: bool,
    text: Index,
    number: Index,
    /// Where it stands in the file.
    place: u32,
    is_feature: bool,
    turns: usize,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let turns = 0..6_usize;
    let bools = (any::<bool>(), any::<bool>());
    let parts = (bools, any::<Index>(), any::<Index>(), any::<u32>(), turns);
    parts.prop_map(
        |((is_lookup, is_feature), text, number, place, turns)| Drawn {
            is_lookup,
            text,
            number,
            place,
            is_feature,
            turns,
        },
    )
}

/// What the view of a node holds of a key: nothing, or a text and a number, each of which may be null.
fn stored(node: usize, key: &str) -> Option<(Option<&'static str>, Option<f64>)> {
    let at = KEYS.iter().position(|known| *known == key)?;
    let mixed = (node * 31 + at * 17 + 5) % 11;
    if mixed == 0 {
        return None;
    }
    let text = (mixed != 1).then(|| KEYS[(at * 3 + node + 1) % KEYS.len()]);
    let number = (mixed != 2).then_some((node * 100 + at) as f64);
    Some((text, number))
}

/// The views of all nodes with their rows, put there once.
fn all_views() -> &'static (Arc<MemoryStore>, Vec<String>) {
    static VIEWS: OnceLock<(Arc<MemoryStore>, Vec<String>)> = OnceLock::new();
    VIEWS.get_or_init(|| {
        let store = Arc::new(MemoryStore::new());
        let mut shelf = Shelf::around(store.clone());
        let mut views = Vec::new();
        for node in 0..NODES {
            let view = format!(
                "name = \"v{node}\"\nkey = \"k\"\n[columns]\nk = \"text\"\n\
                 to = {{ type = \"text\", nullable = true }}\nn = {{ type = \"f64\", nullable = true }}\n"
            );
            let rows = KEYS.iter().filter_map(|key| {
                let (to, n) = stored(node, key)?;
                Some(serde_json::json!({ "k": key, "to": to, "n": n }).to_string() + "\n")
            });
            shelf = shelf.view(&view, &rows.collect::<String>());
            views.push(view);
        }
        (store, views)
    })
}

/// A node's text and number in a row.
type Pair = (Option<String>, Option<f64>);

struct Case {
    toml: String,
    features: Vec<String>,
    needed: Vec<bool>,
    /// By row, then by node.
    expected: Vec<Vec<Pair>>,
    /// By row: the key of each look-up.
    keys: Vec<Vec<Option<String>>>,
    /// Of each feature its node, and whether it is the text.
    wanted: Vec<(usize, bool)>,
}

fn case(nodes: &[Drawn], rows: &[Pair]) -> Case {
    // Source 0 is the request, source i + 1 the node i.
    let source = |at: usize, index: Index| index.index(at + 1);
    let column = |nodes: &[Drawn], source: usize, text: bool| match source {
        0 => if text { "key" } else { "number" }.to_owned(),
        _ => {
            let names = match nodes[source - 1].is_lookup {
                true => ["n", "to"],
                false => ["x", "label"],
            };
            format!("n{}.{}", source - 1, names[usize::from(text)])
        }
    };
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&at| nodes[at].place);
    let (mut lookups, mut transforms) = (String::new(), String::new());
    for at in order {
        let node = &nodes[at];
        let text = column(nodes, source(at, node.text), true);
        let number = column(nodes, source(at, node.number), false);
        let _ = match node.is_lookup {
            true => writeln!(
                lookups,
                "[[lookup]]\nview = \"v{at}\"\nas = \"n{at}\"\nkey = \"{text}\""
            ),
            false => writeln!(
                transforms,
                "[[transform]]\nuse = \"echo\"\nas = \"n{at}\"\nbind = {{ label = \"{text}\", x = \"{number}\" }}"
            ),
        };
    }
    let mut wanted: Vec<(usize, bool)> = Vec::new();
    for (at, _) in nodes.iter().enumerate().filter(|(_, node)| node.is_feature) {
        wanted.extend([(at, true), (at, false)]);
    }
    let mut features: Vec<String> = wanted
        .iter()
        .map(|(at, text)| column(nodes, at + 1, *text))
        .collect();
    features.push("number".to_owned());
    let toml = format!(
        "name = \"s\"\nfeatures = {features:?}\n[request]\nkey = {{ type = \"text\", nullable = true }}\n\
         number = {{ type = \"f64\", nullable = true }}\n{lookups}{transforms}"
    );

    let mut needed: Vec<bool> = nodes.iter().map(|node| node.is_feature).collect();
    for at in (0..nodes.len()).rev() {
        if needed[at] {
            let texts = source(at, nodes[at].text);
            let numbers = match nodes[at].is_lookup {
                true => 0,
                false => source(at, nodes[at].number),
            };
            for before in [texts, numbers].into_iter().filter(|before| *before > 0) {
                needed[before - 1] = true;
            }
        }
    }

    let (mut expected, mut keys) = (Vec::new(), Vec::new());
    for row in rows {
        let mut values: Vec<Pair> = vec![row.clone()];
        let mut asked = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let text = values[source(at, node.text)].0.clone();
            let number = values[source(at, node.number)].1;
            asked.push(text.clone().filter(|_| node.is_lookup));
            values.push(match node.is_lookup {
                false => (text, number),
                true => {
                    let found = text.and_then(|key| stored(at, &key));
                    let (to, n) = found.unwrap_or_default();
                    (to.map(str::to_owned), n)
                }
            });
        }
        expected.push(values.split_off(1));
        keys.push(asked);
    }
    Case {
        toml,
        features,
        needed,
        expected,
        keys,
        wanted,
    }
}

fn body(rows: &[Pair]) -> String {
    let rows = rows
        .iter()
        .map(|(key, number)| serde_json::json!({ "key": key, "number": number }));
    serde_json::json!({ "rows": rows.collect::<Vec<_>>() }).to_string()
}

fn any_rows() -> impl Strategy<Value = Vec<Pair>> {
    let key = prop::option::weighted(0.9, prop::sample::select(&KEYS[..]));
    let row = (key, prop::option::of(-5.0..5.0));
    let row = row.prop_map(|(key, number)| (key.map(str::to_owned), number));
    vec(row, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_graph_gives_what_the_naive_way_gives(
        nodes in vec(drawn(), 1..=NODES),
        rows in any_rows(),
        waits: bool,
    ) {
        let case = case(&nodes, &rows);
        let turns = nodes.iter().enumerate().map(|(at, node)| (format!("v{at}"), node.turns));
        let (store, views) = all_views();
        let store = Arc::new(SpyStore::new(store.clone(), waits.then(|| turns.collect())));
        let mut shelf = Shelf::around(store.clone()).transform(echo());
        for view in views {
            shelf = shelf.view(view, "");
        }
        let (service, metrics) = shelf.service(&case.toml);
        let scored = run(&service, &body(&rows), Wanted::Features).unwrap();

        let (schema, vector) = (&service.plan.vector.schema, &scored.vector);
        prop_assert_eq!(schema.names(), case.features);
        for (row, expected) in case.expected.iter().enumerate() {
            prop_assert_eq!(told(&scored.outcomes[row]), "answered");
            let at = vector.rows.find(row).unwrap();
            for (slot, (node, text)) in schema.slots().iter().zip(&case.wanted) {
                let valid = vector.block.is_valid(*slot, at);
                if *text {
                    let found = valid.then(|| vector.block.text(*slot, at).to_owned());
                    prop_assert_eq!(&found, &expected[*node].0, "{}", case.toml);
                } else {
                    let found = valid.then(|| vector.block.float(*slot, at));
                    prop_assert_eq!(&found, &expected[*node].1, "{}", case.toml);
                }
            }
        }
        for (at, node) in nodes.iter().enumerate() {
            prop_assert_eq!(times_run(&metrics, &format!("n{at}")), u64::from(case.needed[at]));
            let keys = case.keys.iter().filter_map(|keys| keys[at].as_deref());
            let read = match (case.needed[at] && node.is_lookup, waits) {
                (false, _) => Seen::default(),
                // One by one.
                (true, false) => {
                    let count = keys.count();
                    Seen { calls: count, keys: count }
                }
                // All at once, and of equal keys one.
                (true, true) => {
                    let distinct: BTreeSet<&str> = keys.collect();
                    Seen { calls: usize::from(!distinct.is_empty()), keys: distinct.len() }
                }
            };
            prop_assert_eq!(store.seen(&format!("v{at}")), read, "v{}", at);
        }
    }

    #[test]
    fn cycles_are_refused_with_all_their_members(
        nodes in vec((any::<Index>(), any::<Index>(), any::<bool>()), 1..9),
    ) {
        // Each node reads two of any nodes, or of the request.
        let count = nodes.len();
        let sources = |at: usize| {
            let (text, number, is_lookup) = &nodes[at];
            let number = match is_lookup {
                true => 0,
                false => number.index(count + 1),
            };
            [text.index(count + 1), number]
        };
        let mut reaches = vec![vec![false; count]; count];
        for (at, row) in reaches.iter_mut().enumerate() {
            for source in sources(at).into_iter().filter(|source| *source > 0) {
                row[source - 1] = true;
            }
        }
        for by in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reaches[from][to] |= reaches[from][by] && reaches[by][to];
                }
            }
        }
        let column = |source: usize, text: bool| match (source, text) {
            (0, true) => "key".to_owned(),
            (0, false) => "number".to_owned(),
            (_, text) => {
                let names = if nodes[source - 1].2 { ["n", "to"] } else { ["x", "label"] };
                format!("n{}.{}", source - 1, names[usize::from(text)])
            }
        };
        let (mut lookups, mut transforms) = (String::new(), String::new());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (at, (_, _, is_lookup)) in nodes.iter().enumerate() {
            let [text, number] = sources(at);
            let (text, number) = (column(text, true), column(number, false));
            let _ = match is_lookup {
                true => writeln!(lookups, "[[lookup]]\nview = \"v{at}\"\nas = \"n{at}\"\nkey = \"{text}\""),
                false => writeln!(
                    transforms,
                    "[[transform]]\nuse = \"echo\"\nas = \"n{at}\"\nbind = {{ label = \"{text}\", x = \"{number}\" }}"
                ),
            };
            if reaches[at][at] {
                if *is_lookup { &mut first } else { &mut second }.push(format!("n{at}"));
            }
        }
        let toml = format!(
            "name = \"s\"\nfeatures = [\"number\"]\n[request]\nkey = {{ type = \"text\", nullable = true }}\n\
             number = {{ type = \"f64\", nullable = true }}\n{lookups}{transforms}"
        );
        let mut shelf = Shelf::new().transform(echo());
        for view in &all_views().1 {
            shelf = shelf.view(view, "");
        }
        first.append(&mut second);
        match first.as_slice() {
            [] => prop_assert!(shelf.plan(&toml).is_ok()),
            [one] => prop_assert_eq!(
                shelf.refusal(&toml),
                format!("{one} waits for itself; bind it to something else")
            ),
            members => prop_assert_eq!(
                shelf.refusal(&toml),
                format!(
                    "{} wait for one another in a cycle; break it by binding one of them to something else",
                    members.join(", ")
                )
            ),
        }
    }
}
