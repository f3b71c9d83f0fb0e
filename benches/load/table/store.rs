//! A look-up in sled against a hash map of the same rows, the keys in no order.

use std::collections::HashMap;
use std::hint::black_box;

use anyhow::Result;
use tidemill::store::{AsOf, OnlineStore, SledStore, Write};

use super::Lines;
use super::demo::{Demo, in_turn};
use crate::timing::Subject;

const ROWS: usize = 100_000;
/// As many bytes as a plane of the demo has, about.
const BYTES: usize = 100;
/// How many keys are asked for before they come again.
const ASKED: usize = 1 << 17;

pub fn measure(_: &Demo, lines: &Lines) -> Result<()> {
    lines.group("a look-up in sled, of 100,000 rows");
    let rows: Vec<([u8; 12], Vec<u8>)> = (0..ROWS)
        .map(|at| (key(at), vec![at as u8; BYTES]))
        .collect();
    for (what, hot_bytes, among) in [
        ("any row, all kept at hand", 256 << 20, ROWS),
        ("any row, hardly one kept at hand", 1 << 16, ROWS),
        ("one of 1,000", 32 << 20, 1_000),
    ] {
        let db = sled::Config::new().temporary(true).open()?;
        let view = SledStore::with_history(&db, None, hot_bytes).view("rows")?;
        let mut map: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for rows in rows.chunks(1_000) {
            let writes: Vec<Write> = (rows.iter())
                .map(|(key, row)| Write {
                    key,
                    event_time: 0,
                    arrival: 0,
                    row,
                })
                .collect();
            view.put(&writes)?;
            map.extend(rows.iter().map(|(key, row)| (key.to_vec(), row.clone())));
        }
        // Knuth's multiplicative hash: an order that is none, and costs nothing while it is measured.
        let keys: Vec<[u8; 12]> = (0..ASKED)
            .map(|at| key((at.wrapping_mul(2_654_435_761) >> 7) % among))
            .collect();
        let look_up = |key: &[u8]| {
            let found = view.get(key, AsOf::NEWEST, &mut |row| {
                black_box(row[BYTES / 2]);
            });
            assert!(found.expect("a read"), "every key has a row");
        };
        keys.iter().for_each(|key| look_up(key));
        let (mut ours, mut theirs) = (in_turn(&keys), in_turn(&keys));
        lines.compare(
            Subject::new("HashMap", || {
                let row = map.get(black_box(theirs()).as_slice());
                black_box(row.expect("every key has a row")[BYTES / 2]);
            }),
            vec![Subject::new(what, || look_up(black_box(ours())))],
        );
    }
    Ok(())
}

/// As the store writes a text of eight characters.
fn key(at: usize) -> [u8; 12] {
    let mut key = [0; 12];
    key[0] = 8;
    key[4..].copy_from_slice(format!("N{at:07}").as_bytes());
    key
}
