//! What every online store must do, written once and run for each.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::block::RowsBuilder;

fn temporary() -> ::sled::Db {
    ::sled::Config::new().temporary(true).open().unwrap()
}

fn read(rows: &dyn ViewRows, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = None;
    let there = rows
        .get(key, AsOf::NEWEST, &mut |row| out = Some(row.to_vec()))
        .unwrap();
    assert_eq!(there, out.is_some());
    out
}

fn write<'a>(key: &'a str, event_time: i64, row: &'a str) -> Write<'a> {
    Write {
        key: key.as_bytes(),
        event_time,
        arrival: 0,
        row: row.as_bytes(),
    }
}

fn conforms(store: &dyn OnlineStore) {
    let (plane, airport) = (store.view("plane").unwrap(), store.view("airport").unwrap());
    assert_eq!(plane.name(), "plane");
    assert_eq!((read(&*plane, b"a"), plane.count().unwrap()), (None, 0));

    // The newest event time stays, whatever the order; of equal ones the later arrival.
    let all = [
        write("a", 5, "first"),
        write("b", -9, "b"),
        write("a", 4, "older"),
        write("a", 5, "again"),
    ];
    assert_eq!(
        plane.put(&all).unwrap(),
        Written {
            stored: 3,
            outdated: 1
        }
    );
    assert_eq!(read(&*plane, b"a").unwrap(), b"again");
    assert_eq!(
        plane.put(&[write("a", i64::MIN, "oldest")]).unwrap(),
        Written {
            stored: 0,
            outdated: 1
        }
    );
    assert_eq!(
        plane.put(&[write("a", 6, "")]).unwrap(),
        Written {
            stored: 1,
            outdated: 0
        }
    );
    assert_eq!(read(&*plane, b"a").unwrap(), b"");
    assert_eq!(plane.put(&[]).unwrap(), Written::default());

    // Views do not see each other; two handles of one view do.
    assert_eq!((plane.count().unwrap(), airport.count().unwrap()), (2, 0));
    let again = store.view("plane").unwrap();
    again.put(&[write("c", 0, "another")]).unwrap();
    assert_eq!(read(&*plane, b"c").unwrap(), b"another");
    assert_eq!((plane.count().unwrap(), again.count().unwrap()), (3, 3));

    airport.put(&[write("a", 0, "of the airport")]).unwrap();
    let reads = [&b"a"[..], b"b", b"c", b"d"].map(|key| (key.to_vec(), AsOf::NEWEST));
    let mut fetched = plane.clone().fetch(reads.into());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // A store that does not wait has its rows when it is first asked.
    let std::task::Poll::Ready(fetched) = fetched.as_mut().poll(&mut context) else {
        panic!("it waits");
    };
    let expected = [Some(""), Some("b"), Some("another"), None];
    let expected = expected.map(|row| row.map(|row| row.as_bytes().to_vec()));
    assert_eq!(fetched.unwrap(), expected);
    store.flush().unwrap();

    airport.clear().unwrap();
    assert_eq!((airport.count().unwrap(), plane.count().unwrap()), (0, 3));
    assert_eq!(read(&*airport, b"a"), None);
    airport.put(&[write("a", -1, "anew")]).unwrap();
    assert_eq!(read(&*airport, b"a").unwrap(), b"anew");
}

/// Many writers of one key: the newest is what stays.
fn survives_a_crowd(store: &dyn OnlineStore) {
    let rows = store.view("crowd").unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4_i64 {
            let rows = &rows;
            scope.spawn(move || {
                for at in 0..100 {
                    let time = at * 4 + writer;
                    rows.put(&[write("a", time, &time.to_string())]).unwrap();
                }
            });
        }
    });
    assert_eq!(
        (read(&*rows, b"a").unwrap(), rows.count().unwrap()),
        (b"399".to_vec(), 1)
    );
}

#[test]
fn memory_conforms() {
    conforms(&MemoryStore::new());
    survives_a_crowd(&MemoryStore::new());
}

#[test]
fn sled_conforms() {
    conforms(&SledStore::open(&temporary()));
    survives_a_crowd(&SledStore::open(&temporary()));
}

#[test]
fn sled_keeps_what_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let db = crate::app::open_db(folder.path()).unwrap();
    let store = SledStore::open(&db);
    store
        .view("plane")
        .unwrap()
        .put(&[write("a", 5, "kept"), write("b", 5, "kept too")])
        .unwrap();
    store.flush().unwrap();
    drop((store, db));

    let store = SledStore::open(&crate::app::open_db(folder.path()).unwrap());
    let rows = store.view("plane").unwrap();
    assert_eq!(
        (read(&*rows, b"a").unwrap(), rows.count().unwrap()),
        (b"kept".to_vec(), 2)
    );
    assert_eq!(
        rows.put(&[write("a", 4, "older"), write("c", 0, "new")])
            .unwrap()
            .outdated,
        1
    );
    assert_eq!(rows.count().unwrap(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Random puts of random sizes, against a map that knows the rule and nothing else.
    #[test]
    fn stores_equal_the_naive_model(puts in vec(vec((0..6_u8, -3..4_i64), 0..8), 0..12)) {
        let db = temporary();
        let stores: [&dyn OnlineStore; 2] = [&MemoryStore::new(), &SledStore::open(&db)];
        for store in stores {
            let rows = store.view("v").unwrap();
            let mut model: HashMap<u8, (i64, String)> = HashMap::new();
            for (arrival, put) in puts.iter().enumerate() {
                let named: Vec<_> = put
                    .iter()
                    .enumerate()
                    .map(|(at, (key, time))| ([*key], *time, format!("{arrival}.{at}")))
                    .collect();
                let writes: Vec<_> = named
                    .iter()
                    .map(|(key, event_time, row)| Write { key, event_time: *event_time, arrival: arrival as i64, row: row.as_bytes() })
                    .collect();
                let mut expected = Written::default();
                for ([key], time, row) in &named {
                    if model.get(key).is_some_and(|(newest, _)| newest > time) {
                        expected.outdated += 1;
                    } else {
                        model.insert(*key, (*time, row.clone()));
                        expected.stored += 1;
                    }
                }
                prop_assert_eq!(rows.put(&writes).unwrap(), expected);
                prop_assert_eq!(rows.count().unwrap(), model.len() as u64);
            }
            for key in 0..6_u8 {
                let expected = model.get(&key).map(|(_, row)| row.clone().into_bytes());
                prop_assert_eq!(read(&*rows, &[key]), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Rows that come late, twice, out of order, with equal event times or from the future: whatever is asked for, a store
    /// gives what a list of all that ever came gives, one that forgets as much of it as is still to be asked for.
    #[test]
    fn any_moment_of_the_past_equals_the_naive_model(
        puts in vec(vec((0..4_u8, -3..6_i64), 0..5), 1..10),
        kept in prop::option::of(1..6_i64),
    ) {
        let db = temporary();
        let history = kept.map(|kept| std::time::Duration::from_micros(kept as u64));
        let stores: [&dyn OnlineStore; 2] =
            [&MemoryStore::with_history(history), &SledStore::with_history(&db, history, 300)];
        for store in stores {
            let rows = store.view("v").unwrap();
            let mut all: Vec<(u8, i64, i64, String)> = Vec::new();
            let mut cutoff = [i64::MIN; 4];
            for (arrival, put) in puts.iter().enumerate() {
                let arrival = arrival as i64;
                let named: Vec<_> = put.iter().enumerate()
                    .map(|(at, (key, event))| (*key, *event, arrival, format!("{arrival}.{at}")))
                    .collect();
                let keys: Vec<_> = named.iter().map(|(key, ..)| [*key]).collect();
                let writes: Vec<_> = named.iter().zip(&keys)
                    .map(|((_, event, arrival, row), key)| Write {
                        key, event_time: *event, arrival: *arrival, row: row.as_bytes(),
                    })
                    .collect();
                rows.put(&writes).unwrap();
                for (key, ..) in &named {
                    cutoff[usize::from(*key)] = kept.map_or(i64::MIN, |kept| arrival - kept);
                }
                all.extend(named);
            }
            for key in 0..4_u8 {
                for event in (-4..8).chain([i64::MAX]) {
                    for arrival in (-1..puts.len() as i64).chain([i64::MAX]) {
                        // Of what has been forgotten nothing is promised, nor of what forgetting hides.
                        if kept.is_some() && (event < cutoff[usize::from(key)] || arrival != i64::MAX) {
                            continue;
                        }
                        let expected = all.iter()
                            .filter(|(k, e, a, _)| *k == key && *e <= event && *a <= arrival)
                            // The last of the greatest: `max_by_key` gives it.
                            .max_by_key(|(_, e, a, _)| (*e, *a))
                            .map(|(.., row)| row.clone());
                        let mut found = None;
                        rows.get(&[key], AsOf { event, arrival }, &mut |row| {
                            found = Some(String::from_utf8(row.to_vec()).unwrap());
                        }).unwrap();
                        prop_assert_eq!(&found, &expected, "key {} event {} arrival {}", key, event, arrival);
                    }
                }
            }
        }
    }
}

#[test]
fn a_block_is_put_and_read_back() {
    let view: View = toml::from_str(
        "name = \"weather\"\nkey = [\"origin\", \"id\"]\nevent_time = \"at\"\n\
         [columns]\nid = \"i64\"\nat = \"timestamp\"\norigin = \"text\"\ntemp = { type = \"f64\", nullable = true }",
    )
    .unwrap();
    let columns = &view.columns;
    let mut builder = RowsBuilder::new(columns);
    for (id, at, temp) in [(1, 20, Some(1.5)), (1, 10, Some(9.0)), (2, 10, None)] {
        builder.begin_row();
        builder.set_integer(columns.slot(0), id);
        builder.set_integer(columns.slot(1), at);
        builder.set_text(columns.slot(2), "EWR");
        temp.into_iter()
            .for_each(|temp| builder.set_float(columns.slot(3), temp));
    }
    let block = builder.finish();
    let store = MemoryStore::new();
    let rows = store.view("weather").unwrap();
    assert_eq!(
        put_block(&view, &*rows, &block, 99).unwrap(),
        Written {
            stored: 2,
            outdated: 1
        }
    );

    let parts = [key::Part::of(columns, 2), key::Part::of(columns, 0)];
    let (mut found, mut key) = (RowsBuilder::new(columns), Vec::new());
    for row in [0, 2] {
        assert!(key::encode(&block, &parts, row, &mut key));
        let there = rows.get(&key, AsOf::NEWEST, &mut |bytes| {
            let times = row::decode(columns, bytes, columns, &mut found).unwrap();
            assert_eq!(
                times,
                row::Times {
                    event: [20, 0, 10][row],
                    arrival: 99
                }
            );
        });
        assert!(there.unwrap());
    }
    assert!(
        found
            .finish()
            .same_bits(&block.permuted(columns, &[0, 2]), columns)
    );
}

#[test]
fn statuses_have_one_spelling() {
    for status in Status::ALL {
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            format!("\"{}\"", status.as_str())
        );
    }
}
