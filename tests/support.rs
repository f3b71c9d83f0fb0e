//! What the tests stand on: components built once, and a server a test can have to itself or share.

mod components;
mod conforms;
mod process;
mod random;
mod raw;
mod server;
mod store;
mod wait;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub use components::{good, guest, newer, plugin};
pub use conforms::document;
pub use process::{Process, send, serve, serving, signal, started, stop};
pub use random::{Random, damaged};
pub use raw::{Raw, RawAnswer};
pub use server::{Answer, Server, cards, flights, guests, register_flights};
pub use store::{Watched, Way};
pub use wait::{Over, until};

/// A file of the checkout.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A file of the checkout, as text.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder whose names end so, sorted; none where there is no folder.
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path, end)),
            false => found.extend(Some(path).filter(|path| path.to_string_lossy().ends_with(end))),
        }
    }
    found.sort();
    found
}

/// What a training set says of itself.
pub fn manifest(set: &Path) -> Value {
    let text = std::fs::read_to_string(set.join("manifest.json")).expect("a manifest");
    serde_json::from_str(&text).expect("JSON")
}

/// The sum of a metric over its labels.
pub fn count(metrics: &str, name: &str) -> u64 {
    let lines = metrics.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// A flight as the gate knows it. The weather of its hour is not in the store: its age is beyond three hours.
pub fn flight() -> Value {
    serde_json::json!({
        "flight_id": "UA1545/2013-01-01/EWR", "carrier": "UA", "tailnum": "N14228", "origin": "EWR", "dest": "IAH",
        "scheduled": "2013-01-01T05:15:00-05:00", "departed": "2013-01-01T05:17:00-05:00",
    })
}
