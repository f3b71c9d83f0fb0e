//! Labels in sled: a tree a service, a record a report, each row's in order of time.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::report::said;
use super::{Declared, Report, Subject};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::ingest::arrival;

/// Labels lie beside whatever else the database holds, in trees whose names begin so.
const TREE_PREFIX: &str = "labels/";

/// Bytes behind a subject: time, arrival, place in the put.
const TIMES: usize = 8 + 8 + 4;

/// How many reports are written in one act.
const ACT: usize = 1_000;

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

    /// Keeps what reports of a block of [`Declared::report`] say. It is on the disk once [`Labels::flush`] comes back.
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
        let arrived = arrival();
        for (act, reports) in reports.chunks(ACT).enumerate() {
            let mut batch = sled::Batch::default();
            // The last of each row, as this act will have it.
            let mut lasts: HashMap<&Subject, (i64, Vec<u8>)> = HashMap::new();
            for (place, report) in reports.iter().enumerate() {
                let said = said(declared, block, report.at);
                let time = report.time.unwrap_or(arrived);
                let last = match lasts.remove(&report.subject) {
                    Some(last) => Some(last),
                    None => last(&tree, &report.subject, i64::MAX)?,
                };
                let counts = match &last {
                    Some((at, before)) if *at == time && *before == said => {
                        kept.unchanged += 1;
                        lasts.extend(last.map(|last| (&report.subject, last)));
                        continue;
                    }
                    None => {
                        kept.stored += 1;
                        true
                    }
                    Some((at, _)) if *at > time => {
                        kept.outdated += 1;
                        false
                    }
                    Some(_) => {
                        kept.replaced += 1;
                        true
                    }
                };
                let place = (act * ACT + place) as u32;
                let key = timed(&report.subject, time, arrived, place);
                let label = String::from_utf8_lossy(&said);
                batch.insert(
                    key,
                    format!("{{\"by\":{by_json},\"label\":{label}}}").as_bytes(),
                );
                let now = match counts {
                    true => Some((time, said)),
                    false => last,
                };
                lasts.extend(now.map(|now| (&report.subject, now)));
            }
            tree.apply_batch(batch).map_err(failed)?;
        }
        Ok(kept)
    }

    /// Waits till all that was put would survive a crash of the machine.
    pub fn flush(&self) -> Result<()> {
        self.db.flush().map(drop).map_err(failed)
    }

    /// All that was reported of a row, by time, the last last.
    pub fn history(&self, service: &str, subject: &Subject) -> Result<Vec<Reported>> {
        let range =
            timed(subject, i64::MIN, i64::MIN, 0)..=timed(subject, i64::MAX, i64::MAX, u32::MAX);
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

    /// The label of a row that counts, of those whose time is not after `as_of` (µs): its time, and what it says as JSON.
    pub fn last(
        &self,
        service: &str,
        subject: &Subject,
        as_of: i64,
    ) -> Result<Option<(i64, Vec<u8>)>> {
        last(&self.tree(service)?, subject, as_of)
    }
}

fn last(tree: &sled::Tree, subject: &Subject, as_of: i64) -> Result<Option<(i64, Vec<u8>)>> {
    let range = timed(subject, i64::MIN, i64::MIN, 0)..=timed(subject, as_of, i64::MAX, u32::MAX);
    let Some(item) = tree.range(range).next_back() else {
        return Ok(None);
    };
    let (key, value) = item.map_err(failed)?;
    let label = read(&value)?.label.get().as_bytes().to_vec();
    Ok(Some((times(&key)?.0, label)))
}

/// Keys of one subject sort by time, arrival and place.
fn timed(subject: &Subject, time: i64, arrived: i64, place: u32) -> Vec<u8> {
    let ordered = |time: i64| ((time as u64) ^ (1 << 63)).to_be_bytes();
    let mut out = subject.bytes().to_vec();
    out.extend_from_slice(&ordered(time));
    out.extend_from_slice(&ordered(arrived));
    out.extend_from_slice(&place.to_be_bytes());
    out
}

/// Time and arrival of a key.
fn times(key: &[u8]) -> Result<(i64, i64)> {
    let ordered = |bytes: [u8; 8]| (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64;
    let split = key.len().checked_sub(TIMES).and_then(|at| {
        let (time, rest) = key[at..].split_first_chunk()?;
        let (arrived, _) = rest.split_first_chunk()?;
        Some((ordered(*time), ordered(*arrived)))
    });
    split.ok_or_else(|| Error::Store("a label's key is too short".to_owned()))
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

fn failed(error: sled::Error) -> Error {
    Error::Store(error.to_string())
}
