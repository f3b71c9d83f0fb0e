//! Labels in sled: a tree a service, a record a report, each row's in order of time.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::join::later;
use super::report::said;
use super::{Declared, Report, Subject};
use crate::block::Block;
use crate::clock;
use crate::error::{Error, Result};
use crate::store::failed;
use crate::store::timed::{timed, times};

/// Labels lie beside whatever else the database holds, in trees whose names begin so.
const TREE_PREFIX: &str = "labels/";

/// All labels of all services.
pub struct Labels {
    db: sled::Db,
    /// Held by whoever writes: to see what is there and to write beside it is one act.
    writing: Mutex<()>,
}

/// What became of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The first of their rows.
    pub stored: u64,
    /// Those that count now in another's place, which is kept in the history.
    pub replaced: u64,
    /// Those of an earlier time than one that is there: kept in the history alone.
    pub outdated: u64,
    /// Those that were there already: of the same time of their own, saying the same.
    pub unchanged: u64,
}

/// A report as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Reported {
    /// The label's own time, or when it arrived: of the reports of a row the one with the latest counts.
    pub time: Timestamp,
    pub arrived_at: Timestamp,
    /// Whose token reported it.
    pub by: String,
    pub label: Map<String, Value>,
}

/// When a label was learnt (µs), and what it says as JSON.
type Learnt = (i64, Vec<u8>);

/// As it stands in the tree.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    by: &'a str,
    #[serde(borrow)]
    label: &'a RawValue,
}

impl Kept {
    pub fn reports(&self) -> u64 {
        self.stored + self.replaced + self.outdated + self.unchanged
    }
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, more: Kept) {
        self.stored += more.stored;
        self.replaced += more.replaced;
        self.outdated += more.outdated;
        self.unchanged += more.unchanged;
    }
}

impl Labels {
    pub fn open(db: &sled::Db) -> Labels {
        Labels {
            db: db.clone(),
            writing: Mutex::new(()),
        }
    }

    fn tree(&self, service: &str) -> Result<sled::Tree> {
        self.db
            .open_tree(format!("{TREE_PREFIX}{service}"))
            .map_err(failed)
    }

    /// Keeps what reports of a block of [`Declared::report`] say, all or none. It is on the disk once [`Labels::flush`] comes
    /// back.
    ///
    /// A report that says what the newest of its row and its time says is there already, so putting a file again adds
    /// nothing. One without a time has that of its arrival, which none before it has: each time it is put it is one more.
    pub fn put(
        &self,
        declared: &Declared,
        block: &Block,
        reports: &[Report],
        by: &str,
    ) -> Result<Kept> {
        let tree = self.tree(&declared.service)?;
        let by_json =
            serde_json::to_string(by).map_err(|error| Error::Internal(error.to_string()))?;
        let mut kept = Kept::default();
        let _writing = self.writing.lock();
        let arrived = clock::arrival();
        let mut batch = sled::Batch::default();
        // Of each row by time, what this put adds: it comes into the tree at the end, at once.
        let mut added: HashMap<&Subject, BTreeMap<i64, Vec<u8>>> = HashMap::new();
        for (place, report) in reports.iter().enumerate() {
            let said = said(declared, block, report.at);
            let time = report.time.unwrap_or(arrived);
            let added = added.entry(&report.subject).or_default();
            let newest = |until: i64| -> Result<Option<Learnt>> {
                let own = added.range(..=until).next_back();
                let own = own.map(|(time, said)| (*time, said.clone()));
                // Of equal times its own: the tree's came before.
                Ok(later(own, last(&tree, &report.subject, until)?))
            };
            let mut there = newest(i64::MAX)?;
            let outdated = there.as_ref().is_some_and(|(at, _)| *at > time);
            if outdated {
                there = newest(time)?;
            }
            match there {
                Some((at, before)) if at == time && before == said => {
                    kept.unchanged += 1;
                    continue;
                }
                _ if outdated => kept.outdated += 1,
                None => kept.stored += 1,
                Some(_) => kept.replaced += 1,
            }
            let label = String::from_utf8_lossy(&said);
            batch.insert(
                timed(report.subject.bytes(), time, arrived, place as u32),
                format!("{{\"by\":{by_json},\"label\":{label}}}").as_bytes(),
            );
            added.insert(time, said);
        }
        tree.apply_batch(batch).map_err(failed)?;
        Ok(kept)
    }

    /// Waits till all that was put would survive a crash of the machine.
    pub fn flush(&self) -> Result<()> {
        self.db.flush().map(drop).map_err(failed)
    }

    /// All that was reported of a row, by time, the last last.
    pub fn history(&self, service: &str, subject: &Subject) -> Result<Vec<Reported>> {
        let range = timed(subject.bytes(), i64::MIN, i64::MIN, 0)
            ..=timed(subject.bytes(), i64::MAX, i64::MAX, u32::MAX);
        let mut all = Vec::new();
        for item in self.tree(service)?.range(range) {
            let (key, value) = item.map_err(failed)?;
            let (time, arrived) = times(&key)?;
            let record = read(&value)?;
            all.push(Reported {
                time: moment(time),
                arrived_at: moment(arrived),
                by: record.by.to_owned(),
                label: serde_json::from_str(record.label.get()).map_err(unreadable)?,
            });
        }
        Ok(all)
    }

    /// Finds the label of a row that counts, of those whose time is not after `as_of` (µs).
    pub fn last(
        &self,
        service: &str,
        as_of: i64,
    ) -> Result<impl Fn(&Subject) -> Result<Option<Learnt>>> {
        let tree = self.tree(service)?;
        Ok(move |subject: &Subject| last(&tree, subject, as_of))
    }
}

fn last(tree: &sled::Tree, subject: &Subject, as_of: i64) -> Result<Option<Learnt>> {
    let range = timed(subject.bytes(), i64::MIN, i64::MIN, 0)
        ..=timed(subject.bytes(), as_of, i64::MAX, u32::MAX);
    let Some(item) = tree.range(range).next_back() else {
        return Ok(None);
    };
    let (key, value) = item.map_err(failed)?;
    let label = read(&value)?.label.get().as_bytes().to_vec();
    Ok(Some((times(&key)?.0, label)))
}

fn read(value: &[u8]) -> Result<Record<'_>> {
    serde_json::from_slice(value).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::Store(format!("a label cannot be read: {error}"))
}

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
