//! Fields given once for all rows: the same answers, bit by bit, as if each row had them.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::service::samples::Shelf;
use crate::store::MemoryStore;

/// A chain of look-ups, one of them dated and one by two columns, transforms that fail, refuse and have defaults, a gate, a
/// model and a transform behind it.
const SERVICE: &str = r#"
    name = "s"
    event_time = "at"
    [request]
    at = "timestamp"
    customer = { type = "text", nullable = true }
    region = "text"
    amount = "f64"
    luck = { type = "f64", default = 3.5 }
    open = { type = "bool", nullable = true }
    [[lookup]]
    view = "profile"
    key = "customer"
    max_age = "1h"
    [[lookup]]
    view = "tariff"
    key = ["customer", "region"]
    default = { rate = 0.25 }
    [[lookup]]
    view = "profile"
    as = "friend"
    key = "profile.friend"
    [[transform]]
    use = "echo"
    as = "bold"
    bind = { x = "luck", label = "profile.friend" }
    [[transform]]
    use = "echo"
    as = "careful"
    bind = { x = "luck", label = "region" }
    default = { x = -1.0 }
    [[transform]]
    use = "echo"
    as = "late"
    bind = { x = "model.y", label = "careful.label" }
    [gate]
    when = "open"
    score = 0.0
    output = { label = "closed" }
    [model]
    use = "sum"
    [output]
    score = "late.x"
    fields = { label = "late.label", spent = "friend.spent" }
"#;

/// Without `bold` a trap is the default's matter, with it the row's.
const FEATURES: [&str; 4] = ["amount", "tariff.rate", "friend.spent", "careful.x"];
const BOLD: [&str; 5] = [
    "amount",
    "tariff.rate",
    "friend.spent",
    "careful.x",
    "bold.x",
];

const FIELDS: [&str; 6] = ["at", "customer", "region", "amount", "luck", "open"];

fn store() -> Arc<MemoryStore> {
    static STORE: OnceLock<Arc<MemoryStore>> = OnceLock::new();
    let fill = || {
        let store = Arc::new(MemoryStore::new());
        let rows = [
            json!({ "customer": "ann", "at": "2025-01-01T10:00:00Z", "friend": "bob", "spent": 10.0 }),
            json!({ "customer": "bob", "at": "2025-01-01T11:30:00Z", "friend": null, "spent": 20.5 }),
            json!({ "customer": "cid", "at": "2025-01-01T11:59:00Z", "friend": "ann", "spent": null }),
        ];
        let profiles = rows.map(|row| row.to_string() + "\n").concat();
        let rates = [("ann", "north", 0.5), ("bob", "south", 0.75)];
        let rates = rates.map(|(customer, region, rate)| {
            json!({ "customer": customer, "region": region, "rate": rate }).to_string() + "\n"
        });
        views(Shelf::around(store.clone()), &profiles, &rates.concat());
        store
    };
    STORE.get_or_init(fill).clone()
}

fn views(shelf: Shelf, profiles: &str, rates: &str) -> Shelf {
    let profile = "name = \"profile\"\nkey = \"customer\"\nevent_time = \"at\"\n[columns]\ncustomer = \"text\"\n\
                   at = \"timestamp\"\nfriend = { type = \"text\", nullable = true }\n\
                   spent = { type = \"f64\", nullable = true }\n";
    let tariff = "name = \"tariff\"\nkey = [\"customer\", \"region\"]\n[columns]\ncustomer = \"text\"\n\
                  region = \"text\"\nrate = \"f64\"\n";
    shelf.view(profile, profiles).view(tariff, rates)
}

fn any_value(field: &'static str) -> BoxedStrategy<Value> {
    let of = |values: Vec<Value>| prop::sample::select(values).boxed();
    match field {
        "at" => of(vec![
            json!("2025-01-01T10:30:00Z"),
            json!("2025-01-01T12:00:00Z"),
            json!("2025-01-01T13:15:00+01:00"),
        ]),
        "customer" => of(vec![
            json!("ann"),
            json!("bob"),
            json!("cid"),
            json!("dan"),
            Value::Null,
        ]),
        "region" => of(vec![json!("north"), json!("south")]),
        "amount" => (-1e3..1e3).prop_map(Value::from).boxed(),
        "luck" => of(vec![json!(1.5), json!(13.0), json!(14.0), json!(-0.0)]),
        _ => of(vec![
            json!(true),
            json!(true),
            json!(true),
            json!(false),
            Value::Null,
        ]),
    }
}

/// A row: of each field a value, and whether it is left out where it has a default.
fn any_row() -> impl Strategy<Value = (Vec<Value>, bool)> {
    (FIELDS.map(any_value).to_vec(), prop::bool::weighted(0.2))
}

/// All that can be told of a row.
fn seen(service: &Service, scored: &Scored, row: usize) -> Value {
    let plan = &service.plan;
    let mut text = Vec::new();
    if let Some(at) = scored.vector.rows.find(row) {
        crate::offline::json::write_row(&scored.vector.block, &plan.vector.schema, at, &mut text);
    }
    let bits = |slot, at| {
        scored
            .vector
            .block
            .is_valid(slot, at)
            .then(|| scored.vector.block.float(slot, at).to_bits())
    };
    let vector = scored.vector.rows.find(row).map(|at| {
        let slots = plan.vector.schema.slots().iter();
        slots.map(|slot| bits(*slot, at)).collect::<Vec<_>>()
    });
    let lookups = plan.lookups().map(|(at, _)| {
        let looked = scored.lookups[at].as_ref()?;
        looked.wanted.find(row)?;
        let place = looked.rows.find(row)?;
        Some((looked.statuses[place], looked.event_times[place]))
    });
    let output = plan.output.as_ref().map(|output| {
        let places = output.places.iter().map(|place| {
            let source = &scored.sources[place.source];
            let at = source.rows.find(row)?;
            match (place.slot.pool, source.block.is_valid(place.slot, at)) {
                (_, false) => None,
                (crate::schema::Pool::Text, _) => {
                    Some(source.block.text(place.slot, at).to_owned())
                }
                _ => Some(source.block.float(place.slot, at).to_bits().to_string()),
            }
        });
        places.collect::<Vec<_>>()
    });
    let answered = matches!(scored.outcomes[row], Outcome::Answered);
    json!({
        "outcome": told(&scored.outcomes[row]),
        "score": scored.score(plan, row).map(f64::to_bits),
        // Of a row with another answer it says only what had run by then.
        "vector": vector.filter(|_| answered),
        "output": output.filter(|_| answered),
        "lookups": lookups.collect::<Vec<_>>(),
        "defaulted": scored.defaulted(row).iter().map(|d| (d.step, d.error.to_string())).collect::<Vec<_>>(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn shared_fields_answer_as_the_same_fields_in_each_row(
        rows in vec(any_row(), 1..20),
        common in any_row(),
        is_shared in vec(any::<bool>(), FIELDS.len()),
        shared_first: bool,
        waits: bool,
        bold: bool,
        falls_back: bool,
        wanted in prop::sample::select(vec![Wanted::Score, Wanted::Features]),
    ) {
        let (mut whole, mut apart) = (Vec::new(), Vec::new());
        for (row, leaves_out) in &rows {
            let (mut all, mut own) = (Map::new(), Map::new());
            for (at, field) in FIELDS.iter().enumerate() {
                if is_shared[at] {
                    all.insert((*field).to_owned(), common.0[at].clone());
                } else if !(*field == "luck" && *leaves_out) {
                    all.insert((*field).to_owned(), row[at].clone());
                    own.insert((*field).to_owned(), row[at].clone());
                }
            }
            whole.push(Value::Object(all));
            apart.push(Value::Object(own));
        }
        let given = FIELDS.iter().enumerate().filter(|(at, _)| is_shared[*at]);
        let given: Map<String, Value> = given.map(|(at, field)| ((*field).to_owned(), common.0[at].clone())).collect();
        let body = match shared_first {
            true => json!({ "shared": given, "rows": apart }),
            false => json!({ "rows": apart, "shared": given }),
        };

        let turns = waits.then(HashMap::new);
        let store = Arc::new(SpyStore::new(store(), turns));
        let features = if bold { &BOLD[..] } else { &FEATURES[..] };
        let shelf = views(Shelf::around(store.clone()), "", "").transform(echo()).sum_of(features);
        let toml = match falls_back {
            true => SERVICE.to_owned() + "[on_failure]\nscore = 9.0\n",
            false => SERVICE.to_owned(),
        };
        let (service, _) = shelf.service(&toml);
        let once = run(&service, &body.to_string(), wanted).unwrap();
        let reads = store.seen("tariff").keys;
        let each = run(&service, &json!({ "rows": whole }).to_string(), wanted).unwrap();
        for row in 0..rows.len() {
            prop_assert_eq!(seen(&service, &once, row), seen(&service, &each, row), "row {}", row);
        }
        // And it is looked up once.
        let key_is_shared = is_shared[1] && is_shared[2];
        prop_assert!(!key_is_shared || reads <= 1, "{} reads", reads);
    }
}
