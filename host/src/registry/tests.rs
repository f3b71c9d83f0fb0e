use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Manifest;
use crate::service::Definition;
use crate::store::MemoryStore;
use crate::transform::Limits;
use crate::transform::guests::Guest;
use crate::view::View;

/// A registry on a folder, as a server has it, and the database it keeps its records in.
fn open(dir: &Path) -> (Registry, sled::Db) {
    // One that is just being let go of is waited for: a test opens the same folder again.
    let db = crate::app::open_db(dir).unwrap();
    let engine = Engine::new(Limits::default(), Some(dir.join("compiled"))).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let store = Arc::new(MemoryStore::new());
    let registry = Registry::open(&db, dir, engine, store, metrics).unwrap();
    (registry, db)
}

fn guest(version: &str) -> Vec<u8> {
    Guest {
        version: version.to_owned(),
        ..Guest::default()
    }
    .module()
}

/// A service of a name that runs a version of the guest.
fn service(name: &str, uses: &str) -> Definition {
    Definition::from_toml(&format!(
        "name = \"{name}\"\n[request]\nx = \"f64\"\nlabel = \"text\"\n[[transform]]\nuse = \"{uses}\"\n"
    ))
    .unwrap()
}

fn view(columns: &str) -> View {
    View::from_toml(&format!(
        "name = \"v\"\nkey = \"id\"\n[columns]\nid = \"i64\"\n{columns}"
    ))
    .unwrap()
}

const ME: Mover<'static> = Mover {
    by: "test",
    reason: None,
};

fn to(version: u32) -> AliasSettings {
    AliasSettings {
        version,
        shadow: Vec::new(),
        canary: None,
    }
}

fn item(kind: Kind, id: &str) -> Item {
    Item::exact(kind, id).unwrap()
}

fn loaded(registry: &Registry) -> usize {
    let catalog = registry.catalog();
    let entries = catalog.transforms.values().flat_map(|all| all.values());
    entries.filter(|entry| entry.is_loaded()).count()
}

fn ready(registry: &Registry) -> usize {
    let catalog = registry.catalog();
    let entries = catalog.services.values().flat_map(|all| all.values());
    entries.filter(|entry| entry.is_ready()).count()
}

/// Every version is registered and a service version pins it; code is in memory only for what a name means or somebody
/// has asked for. `TIDEMILL_VERSIONS=500` for as many as the target says.
#[test]
fn memory_grows_with_what_is_used() {
    let versions = std::env::var("TIDEMILL_VERSIONS").map_or(60, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    {
        let (registry, _db) = open(dir.path());
        for version in 0..versions {
            let (entry, outcome) = registry
                .register_transform(&guest(&format!("1.0.{version}")))
                .unwrap();
            assert_eq!(outcome, Outcome::Created);
            assert_eq!(loaded(&registry), usize::from(version > 0));
            registry
                .register_service(service("s", &entry.id()))
                .unwrap();
            assert_eq!((loaded(&registry), ready(&registry)), (1, 1));
        }
        registry.move_alias("s", STABLE, to(2), ME).unwrap();
        registry.move_alias("s", "canary", to(3), ME).unwrap();
        assert_eq!((loaded(&registry), ready(&registry)), (2, 2));
    }
    let started = std::time::Instant::now();
    let (registry, _db) = open(dir.path());
    eprintln!("{versions} versions opened in {:?}", started.elapsed());
    assert_eq!(registry.catalog().transforms["echo"].len(), versions);
    assert_eq!((loaded(&registry), ready(&registry)), (2, 2));

    // What nobody meant is made ready when somebody asks, and stays.
    let asked = registry.catalog().service_by_id("s@7").unwrap().clone();
    assert_eq!(asked.pins.transforms[0].id, "echo@1.0.6");
    registry.move_alias("s", STABLE, to(4), ME).unwrap();
    assert_eq!((loaded(&registry), ready(&registry)), (3, 3));
}

/// One broken record once stopped the server. Now it is named, nothing takes its place, and the others answer.
#[test]
fn a_broken_record_is_named_and_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (registry, db) = open(dir.path());
        registry.register_transform(&guest("1.0.0")).unwrap();
        registry.register_transform(&guest("1.1.0")).unwrap();
        registry.register_view(view("")).unwrap();
        for name in ["a", "b", "c", "d"] {
            registry
                .register_service(service(name, "echo@1.0.0"))
                .unwrap();
            registry
                .register_service(service(name, "echo@1.1.0"))
                .unwrap();
        }
        registry.move_alias("c", STABLE, to(1), ME).unwrap();
        registry.move_alias("d", "canary", to(1), ME).unwrap();
        let records = db.open_tree("registry").unwrap();
        for key in [
            "service/a/0000000001",
            "service/b/0000000002",
            "transform/echo/1.1.0",
            "view/v/0000000001",
            "alias/c/stable/0000000001",
        ] {
            assert!(
                records.insert(key, b"{\"number\":").unwrap().is_some(),
                "{key}"
            );
        }
        records.insert("model/nonsense", b"{}").unwrap();
        db.flush().unwrap();
    }
    let (registry, _db) = open(dir.path());
    let catalog = registry.catalog();
    let troubles = catalog.troubles().join("\n");
    for expected in [
        "service a@1 cannot be read: EOF while parsing",
        "service b@2 cannot be read",
        "transform echo@1.1.0 cannot be read",
        "view v@1 cannot be read",
        "service c@stable cannot be read",
        "model model/nonsense@? cannot be read",
        "service a@2 cannot be made ready: transform echo@1.1.0 cannot be read",
        "service c@2 cannot be used: transform echo@1.1.0 cannot be read",
    ] {
        assert!(
            troubles.contains(expected),
            "{expected} is not in\n{troubles}"
        );
    }
    // What can be read answers.
    for id in ["b@1", "c@1", "d@1", "d@canary"] {
        catalog.service_by_id(id).unwrap();
    }
    // A name never quietly means another version.
    let said = |id: &str| match catalog.service_by_id(id) {
        Ok(service) => panic!("{id} means {}", service.plan.number),
        Err(error) => error.to_string(),
    };
    assert!(said("a@1").contains("service a@1 cannot be read"));
    assert!(said("b").contains("service b means b@2, which cannot be read; name another version"));
    assert!(
        said("c").contains("service c@stable cannot be read"),
        "{}",
        said("c")
    );
    assert!(said("d").contains("cannot be made ready"));
    // Nor is a number given again, nor a version to other bytes, nor a column to rows that may not have it.
    drop(catalog);
    let (again, _) = registry
        .register_service(service("a", "echo@1.0.0"))
        .unwrap();
    assert_eq!(again.plan.number, 3);
    let refused = registry.register_transform(&guest("1.1.0")).err().unwrap();
    assert!(
        refused
            .to_string()
            .contains("raise the version in Cargo.toml"),
        "{refused}"
    );
    let refused = registry.register_view(view("")).err().unwrap();
    assert!(
        refused.to_string().contains("give this view another name"),
        "{refused}"
    );
    // An alias is mended by moving it, anything else by deleting it.
    registry.move_alias("c", STABLE, to(1), ME).unwrap();
    assert_eq!(
        registry.catalog().service_by_id("c").unwrap().plan.number,
        1
    );
    assert_eq!(registry.alias_history("c", STABLE).unwrap().len(), 2);
    registry
        .delete(&item(Kind::Service, "b@2"), false, ME)
        .unwrap();
    assert_eq!(
        registry.catalog().service_by_id("b").unwrap().plan.number,
        1
    );
    assert!(!registry.catalog().troubles().join("\n").contains("b@2"));
}

/// A file that is gone is somebody's mistake: what needs it says so, and works when the file is back.
#[test]
fn a_missing_artifact_is_named_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let digest = {
        let (registry, _db) = open(dir.path());
        let (entry, _) = registry.register_transform(&guest("1.0.0")).unwrap();
        registry.register_transform(&guest("1.1.0")).unwrap();
        registry
            .register_service(service("old", "echo@1.0.0"))
            .unwrap();
        registry
            .register_service(service("old", "echo@1.1.0"))
            .unwrap();
        registry
            .register_service(service("lost", "echo@1.0.0"))
            .unwrap();
        entry.record.digest.clone()
    };
    let path = dir.path().join("artifacts").join(&digest);
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (registry, _db) = open(dir.path());
    let troubles = registry.catalog().troubles();
    assert_eq!(troubles.len(), 2, "{troubles:?}");
    assert!(troubles[0].contains("service lost@1 cannot be made ready: cannot read"));
    assert!(troubles[1].contains("service old@1 cannot be used: cannot read"));
    registry.catalog().service_by_id("old").unwrap();
    registry.catalog().service_by_id("lost").err().unwrap();
    std::fs::write(&path, kept).unwrap();
    registry.catalog().service_by_id("lost").unwrap();
    registry.catalog().service_by_id("old@1").unwrap();
    assert_eq!(registry.catalog().troubles(), Vec::<String>::new());
}

#[test]
fn what_is_in_use_stays_and_what_is_deleted_is_never_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, db) = open(dir.path());
    let (entry, _) = registry.register_transform(&guest("1.0.0")).unwrap();
    registry.register_transform(&guest("1.1.0")).unwrap();
    registry
        .register_service(service("s", "echo@1.0.0"))
        .unwrap();
    registry
        .register_service(service("s", "echo@1.1.0"))
        .unwrap();
    registry.move_alias("s", "canary", to(1), ME).unwrap();

    let transform = item(Kind::Transform, "echo@1.0.0");
    let first = item(Kind::Service, "s@1");
    let refused = |item: &Item| match registry.delete(item, false, ME) {
        Ok(_) => panic!("{item} is deleted"),
        Err(error) => error.to_string(),
    };
    assert!(refused(&transform).contains("transform echo@1.0.0 is used by service s@1, and stays"));
    assert!(refused(&first).contains("service s@1 is used by alias canary, and stays"));
    registry.remove_alias("s", "canary", ME).unwrap();
    registry.delete(&first, false, ME).unwrap();
    let path = dir.path().join("artifacts").join(&entry.record.digest);
    assert!(path.exists());
    registry.delete(&transform, false, ME).unwrap();
    assert!(!path.exists());
    assert!(refused(&transform).contains("there is echo@1.1.0"));

    // Other bytes under the version are refused for ever; the same come back. So do a service's number and definition.
    let other = Guest {
        version: "1.0.0".to_owned(),
        doc: "Something else.".to_owned(),
        ..Guest::default()
    };
    for _ in 0..2 {
        let message = registry
            .register_transform(&other.module())
            .err()
            .unwrap()
            .to_string();
        assert!(
            message.contains("was registered and deleted with digest sha256:"),
            "{message}"
        );
    }
    assert_eq!(
        registry
            .register_service(service("s", "echo@1.1.0"))
            .unwrap()
            .0
            .plan
            .number,
        2
    );
    let mut third = service("s", "echo@1.1.0");
    third.doc = "third".to_owned();
    assert_eq!(registry.register_service(third).unwrap().0.plan.number, 3);
    registry.register_transform(&guest("1.0.0")).unwrap();
    assert!(path.exists());
    assert_eq!(
        registry
            .register_service(service("s", "echo@1.0.0"))
            .unwrap()
            .0
            .plan
            .number,
        1
    );
    drop((registry, db));
    let (registry, _db) = open(dir.path());
    assert_eq!(registry.catalog().services["s"].len(), 3);
    assert!(registry.catalog().gone.is_empty());
}

/// Two names for the same bytes: the file goes with the last record that names it.
#[test]
fn a_shared_artifact_stays_until_the_last_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, _db) = open(dir.path());
    let model = |name: &str| {
        Manifest::from_json(
            &std::fs::read(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("../demo/flights/model/flight-delay.json"),
            )
            .unwrap(),
        )
        .map(|manifest| Manifest {
            name: name.to_owned(),
            ..manifest
        })
        .unwrap()
    };
    let onnx = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/flights/model/flight-delay.onnx"),
    )
    .unwrap();
    let (entry, _) = registry.register_model(&onnx, model("a"), None).unwrap();
    registry.register_model(&onnx, model("b"), None).unwrap();
    let path = dir.path().join("artifacts").join(&entry.record.digest);
    registry
        .delete(&item(Kind::Model, "a@1"), false, ME)
        .unwrap();
    assert!(path.exists());
    registry
        .delete(&item(Kind::Model, "b@1"), false, ME)
        .unwrap();
    assert!(!path.exists());
    assert_eq!(
        registry
            .register_model(&onnx, model("a"), None)
            .unwrap()
            .0
            .id(),
        "a@1"
    );
    let mut unknown = model("a");
    unknown.training_set = Some("flights@1".to_owned());
    let refused = registry
        .register_model(&onnx, unknown, None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("its manifest's training_set: there is no training-set \"flights\""),
        "{refused}"
    );
}

#[test]
fn retired_versions_are_passed_over_and_named_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, _db) = open(dir.path());
    for version in ["1.0.0", "1.1.0"] {
        registry.register_transform(&guest(version)).unwrap();
    }
    let why = Mover {
        by: "ada",
        reason: Some("wrong unit"),
    };
    let pinned = |uses: &str| match registry.register_service(service("s", uses)) {
        Ok((service, _)) => service.pins.transforms[0].id.clone(),
        Err(error) => error.to_string(),
    };
    assert_eq!(pinned("echo@1"), "echo@1.1.0");
    registry
        .retire(&item(Kind::Transform, "echo@1.1.0"), why)
        .unwrap();
    assert_eq!(pinned("echo"), "echo@1.0.0");
    assert_eq!(pinned("echo@1"), "echo@1.0.0");
    let message = pinned("echo@1.1.0");
    assert!(
        message.contains("service \"s\" is refused: transform echo@1.1.0 was retired by ada at ")
            && message.ends_with("(wrong unit); use another version, or restore it first"),
        "{message}"
    );
    registry
        .retire(&item(Kind::Transform, "echo@1.0.0"), why)
        .unwrap();
    assert!(pinned("echo@1").contains("transform echo@1.1.0 was retired"));

    // Old services go on; a bare name passes over a retired version of the service, an alias does not.
    let means = |id: &str| registry.catalog().service_by_id(id).unwrap().plan.number;
    assert_eq!(means("s"), 3);
    registry.retire(&item(Kind::Service, "s@3"), ME).unwrap();
    assert_eq!((means("s"), means("s@3")), (2, 3));
    let refused = registry
        .move_alias("s", STABLE, to(3), ME)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("service s@3 was retired by test"),
        "{refused}"
    );
    registry.restore(&item(Kind::Service, "s@3")).unwrap();
    registry.move_alias("s", STABLE, to(3), ME).unwrap();
    registry.retire(&item(Kind::Service, "s@3"), ME).unwrap();
    assert_eq!(means("s"), 3);
    for number in [1, 2] {
        registry
            .retire(&item(Kind::Service, &format!("s@{number}")), ME)
            .unwrap();
    }
    registry.remove_alias("s", STABLE, ME).unwrap();
    assert_eq!(means("s"), 3);
    registry
        .restore(&item(Kind::Transform, "echo@1.1.0"))
        .unwrap();
    assert_eq!(pinned("echo@1"), "echo@1.1.0");
}

#[test]
fn views_grow_at_the_end_and_in_no_other_way() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, db) = open(dir.path());
    let register = |columns: &str| match registry.register_view(view(columns)) {
        Ok((entry, _)) => entry.id(),
        Err(error) => error.to_string(),
    };
    let null = |name: &str| format!("{name} = {{ type = \"f64\", nullable = true }}\n");
    assert_eq!(register("a = \"f64\"\n"), "v@1");
    assert_eq!(register(&format!("a = \"f64\"\n{}", null("b"))), "v@2");
    assert_eq!(register("a = \"f64\"\n"), "v@1");
    for (columns, expected) in [
        (
            null("a"),
            "its column \"a\" is of type f64 and may be null, and in v@2 of type f64",
        ),
        (
            "a = \"f64\"\n".to_owned() + "b = \"f64\"\n",
            "its column \"b\" is of type f64, and in v@2 of type f64 and may be null",
        ),
        (
            "a = \"f64\"\n".to_owned() + &null("c"),
            "column \"b\" of v@2 is not in it",
        ),
        (
            null("b") + "a = \"f64\"\n",
            "its column \"a\" is not column 2 any more, as in v@2",
        ),
        (
            "a = \"f64\"\n".to_owned() + &null("b") + "c = \"f64\"\n",
            "its new column \"c\" is never null",
        ),
    ] {
        let message = register(&columns);
        assert!(message.contains(expected), "{message}");
        assert!(
            message.ends_with("anything else needs another view name"),
            "{message}"
        );
    }
    let ranged = "a = { type = \"f64\", minimum = 0 }\n".to_owned() + &null("b");
    assert!(register(&ranged).contains("is of type f64 from 0 to …, and in v@2 of type f64"));
    let mut other = view(&("a = \"f64\"\n".to_owned() + &null("b")));
    other.key = vec!["id".to_owned(), "a".to_owned()];
    other.columns =
        View::from_toml("name = \"v\"\nkey = \"id\"\n[columns]\nid = \"i64\"\na = \"i64\"")
            .unwrap()
            .columns;
    let message = registry.register_view(other).err().unwrap().to_string();
    assert!(
        message.contains("its key is (id, a), and that of v@2 (id)"),
        "{message}"
    );

    // What was deleted still binds what follows: its rows may be there. The same comes back under its number.
    registry
        .delete(&item(Kind::View, "v@2"), false, ME)
        .unwrap();
    assert!(
        register(&("a = \"f64\"\n".to_owned() + "b = \"text\"\n"))
            .contains("and in v@2 of type f64")
    );
    assert_eq!(
        register(&("a = \"f64\"\n".to_owned() + &null("b") + &null("c"))),
        "v@3"
    );
    assert_eq!(register(&("a = \"f64\"\n".to_owned() + &null("b"))), "v@2");
    drop((registry, db));
    let (registry, _db) = open(dir.path());
    assert_eq!(registry.catalog().view("v").unwrap().id(), "v@3");
    assert_eq!(
        registry.catalog().view("v@1").unwrap().view.columns.len(),
        2
    );
}

#[derive(Clone, Debug)]
enum Act {
    Move(u32),
    Back,
    Remove,
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random moves and rollbacks against a stack that knows the rule and nothing else.
    #[test]
    fn rollbacks_go_further_back(acts in prop::collection::vec(
        prop_oneof![
            4 => (1..4_u32).prop_map(Act::Move),
            4 => Just(Act::Back),
            1 => Just(Act::Remove),
            1 => Just(Act::Restart),
        ],
        1..24,
    )) {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Some(open(dir.path()));
        {
            let registry = &registry.as_ref().unwrap().0;
            for doc in ["one", "two", "three"] {
                let mut definition = service("s", "echo");
                definition.transforms.clear();
                definition.features = Some(vec!["x".to_owned()]);
                definition.doc = doc.to_owned();
                registry.register_service(definition).unwrap();
            }
        }
        let mut stack: Vec<u32> = Vec::new();
        let mut changes = 0;
        for act in acts {
            let done = |registry: &Registry| match act {
                Act::Move(version) => registry.move_alias("s", STABLE, to(version), ME).map(|(_, outcome)| outcome),
                Act::Back => registry.roll_back_alias("s", STABLE, ME).map(|_| Outcome::Created),
                Act::Remove => registry.remove_alias("s", STABLE, ME).map(|_| Outcome::Created),
                Act::Restart => Ok(Outcome::Unchanged),
            };
            let outcome = done(&registry.as_ref().unwrap().0);
            match act {
                Act::Move(version) if stack.last() == Some(&version) => {
                    prop_assert_eq!(outcome.unwrap(), Outcome::Unchanged);
                }
                Act::Move(version) => {
                    stack.push(version);
                    changes += 1;
                    prop_assert!(outcome.is_ok());
                }
                Act::Back if stack.len() > 1 => {
                    stack.pop();
                    changes += 1;
                    prop_assert!(outcome.is_ok());
                }
                Act::Remove if !stack.is_empty() => {
                    stack.clear();
                    changes += 1;
                    prop_assert!(outcome.is_ok());
                }
                Act::Restart => {
                    drop(registry.take());
                    registry = Some(open(dir.path()));
                }
                Act::Back | Act::Remove => {
                    let message = outcome.unwrap_err().to_string();
                    let expected = match stack.is_empty() {
                        true => "there is no alias \"s@stable\"",
                        false => "alias stable of service s has no earlier settings to go back to",
                    };
                    prop_assert!(message.contains(expected), "{}", message);
                }
            }
            let registry = &registry.as_ref().unwrap().0;
            let means = registry.catalog().service_by_id("s").unwrap().plan.number;
            prop_assert_eq!(means, stack.last().copied().unwrap_or(3));
            let history = registry.alias_history("s", STABLE).unwrap();
            prop_assert_eq!(history.len(), changes);
            let last = history.last().and_then(|change| change.to.clone());
            prop_assert_eq!(last.map(|settings| settings.version), stack.last().copied());
        }
    }
}

#[test]
fn aliases_have_names_and_point_at_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, _db) = open(dir.path());
    registry.register_transform(&guest("1.0.0")).unwrap();
    registry.register_service(service("s", "echo")).unwrap();
    for (service, alias, version, expected) in [
        ("t", STABLE, 1, "there is no service \"t\"; there is s"),
        ("s", "3", 1, "\"3\" is a number, and numbers are versions"),
        ("s", "Best", 1, "\"Best\" is no name"),
        (
            "s",
            STABLE,
            2,
            "there is no service version \"s@2\"; there is s@1",
        ),
        (
            "s",
            STABLE,
            0,
            "there is no service version \"s@0\"; there is s@1",
        ),
    ] {
        let error = registry
            .move_alias(service, alias, to(version), ME)
            .err()
            .unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let settings: Result<AliasSettings, _> =
        serde_json::from_value(json!({ "version": 1, "shadw": 2 }));
    assert!(
        settings
            .unwrap_err()
            .to_string()
            .contains("unknown field `shadw`")
    );
}
