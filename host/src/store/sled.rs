//! Views in sled, one tree a view.
//!
//! Behind each key's newest row lie all its rows, under the key with event time, arrival and place in the put behind it, so
//! that they sort as they are asked for. No key of a view is the beginning of another ([`key`](super::key)), so these are
//! no keys of the view themselves. The newest row and its history are written in one act.
//!
//! Newest rows that are asked for often are kept beside the tree, where finding one takes a tenth of the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, GuardResult};

use super::timed::{TIMES, timed};
use super::{AsOf, OnlineStore, ViewRows, Write, Written, cutoff, stamped, unstamped};
use crate::error::{Error, Result};

/// Views lie beside whatever else the database holds, in trees whose names begin so.
const TREE_PREFIX: &str = "view/";

/// How many rows are written in one act: readers wait that long.
const ACT: usize = 64;

/// About how many bytes a row that is kept beside the tree takes on top of its own.
const KEPT: usize = 128;

/// Keeps views in a sled database. Nobody else may write into its trees.
pub struct SledStore {
    db: sled::Db,
    history: Option<Duration>,
    hot_bytes: usize,
    views: Mutex<HashMap<String, Arc<SledRows>>>,
}

struct SledRows {
    name: String,
    tree: sled::Tree,
    /// The newest row of keys that were asked for, or that there is none. Whoever writes a key takes it out afterwards, also
    /// from under a reader that was about to put in what was there before.
    hot: Cache<Vec<u8>, Option<sled::IVec>, Bytes>,
    history: Option<Duration>,
    /// Held by whoever writes: to compare with the old row and to write the new one is one act. What it guards is the
    /// number of entities, once somebody has asked for it.
    writing: Mutex<Option<u64>>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Vec<u8>, Option<sled::IVec>> for Bytes {
    fn weight(&self, key: &Vec<u8>, row: &Option<sled::IVec>) -> u64 {
        (key.len() + row.as_ref().map_or(0, |row| row.len()) + KEPT) as u64
    }
}

impl SledStore {
    pub fn open(db: &sled::Db) -> SledStore {
        SledStore::with_history(db, None, 1 << 20)
    }

    /// Forgets rows that are older than `history`, but for the newest of them. Of each view about `hot_bytes` of rows are
    /// kept in memory.
    pub fn with_history(db: &sled::Db, history: Option<Duration>, hot_bytes: usize) -> SledStore {
        SledStore {
            db: db.clone(),
            history,
            hot_bytes,
            views: Mutex::default(),
        }
    }
}

impl OnlineStore for SledStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        let mut views = self.views.lock();
        if let Some(rows) = views.get(name) {
            return Ok(rows.clone());
        }
        let tree = self
            .db
            .open_tree(format!("{TREE_PREFIX}{name}"))
            .map_err(failed)?;
        let rows = Arc::new(SledRows {
            name: name.to_owned(),
            tree,
            hot: Cache::with_weighter(
                self.hot_bytes / (2 * KEPT) + 1,
                self.hot_bytes as u64,
                Bytes,
            ),
            history: self.history,
            writing: Mutex::new(None),
        });
        views.insert(name.to_owned(), rows.clone());
        Ok(rows)
    }

    fn flush(&self) -> Result<()> {
        self.db.flush().map(drop).map_err(failed)
    }
}

impl ViewRows for SledRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(newest) = self.newest(key)? else {
            return Ok(false);
        };
        let (times, row) = unstamped(&newest)?;
        if times.event <= as_of.event && times.arrival <= as_of.arrival {
            found(row);
            return Ok(true);
        }
        let last = timed(key, as_of.event, i64::MAX, u32::MAX);
        for item in self
            .tree
            .range(timed(key, i64::MIN, i64::MIN, 0)..=last)
            .rev()
        {
            let (_, value) = item.map_err(failed)?;
            let (times, row) = unstamped(&value)?;
            if times.arrival <= as_of.arrival {
                found(row);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn put(&self, writes: &[Write<'_>]) -> Result<Written> {
        let mut written = Written::default();
        let mut count = self.writing.lock();
        for (act, writes) in writes.chunks(ACT).enumerate() {
            self.act(writes, act * ACT, &mut count, &mut written)?;
        }
        Ok(written)
    }

    fn count(&self) -> Result<u64> {
        let mut count = self.writing.lock();
        if let Some(count) = *count {
            return Ok(count);
        }
        let mut entities = 0;
        let mut last: Option<sled::IVec> = None;
        for item in self.tree.iter().keys() {
            let key = item.map_err(failed)?;
            let is_history = last
                .as_ref()
                .is_some_and(|last| key.len() == last.len() + TIMES && key.starts_with(last));
            if !is_history {
                entities += 1;
                last = Some(key);
            }
        }
        *count = Some(entities);
        Ok(entities)
    }

    fn clear(&self) -> Result<()> {
        let mut count = self.writing.lock();
        // What clears the tree at a stroke leaves it half cleared after a crash, as this does: rows are whole or gone.
        let cleared = self.tree.clear().and_then(|()| self.tree.flush());
        // Also where it failed: what is left is read from the tree.
        self.hot.clear();
        *count = None;
        cleared.map_err(failed)?;
        *count = Some(0);
        Ok(())
    }
}

impl SledRows {
    fn newest(&self, key: &[u8]) -> Result<Option<sled::IVec>> {
        match self.hot.get_value_or_guard(key, Some(Duration::ZERO)) {
            GuardResult::Value(row) => Ok(row),
            GuardResult::Guard(guard) => {
                let row = self.tree.get(key).map_err(failed)?;
                // Where somebody wrote in between, this is not kept.
                let _ = guard.insert(row.clone());
                Ok(row)
            }
            // Another reads it just now.
            GuardResult::Timeout => self.tree.get(key).map_err(failed),
        }
    }

    /// Writes some rows of a put, of which the first is the put's `first`.
    fn act(
        &self,
        writes: &[Write<'_>],
        first: usize,
        count: &mut Option<u64>,
        written: &mut Written,
    ) -> Result<()> {
        let mut batch = sled::Batch::default();
        // The event time of the newest row of each key, as this act will have it.
        let mut newest: HashMap<&[u8], i64> = HashMap::new();
        let mut value = Vec::new();
        for (at, write) in writes.iter().enumerate() {
            let old = match newest.get(write.key) {
                Some(event) => Some(*event),
                None => match self.tree.get(write.key).map_err(failed)? {
                    Some(old) => Some(unstamped(&old)?.0.event),
                    None => None,
                },
            };
            stamped(write, &mut value);
            let place = (first + at) as u32;
            batch.insert(
                timed(write.key, write.event_time, write.arrival, place),
                value.as_slice(),
            );
            if old.is_some_and(|old| old > write.event_time) {
                written.outdated += 1;
            } else {
                batch.insert(write.key, value.as_slice());
                newest.insert(write.key, write.event_time);
                written.stored += 1;
            }
            if let (None, Some(count)) = (old, count.as_mut()) {
                *count += 1;
            }
            if let Some(cutoff) = cutoff(self.history, write.arrival) {
                let old =
                    timed(write.key, i64::MIN, i64::MIN, 0)..timed(write.key, cutoff, i64::MIN, 0);
                // The newest of them is still what was then.
                for item in self.tree.range(old).keys().rev().skip(1) {
                    batch.remove(item.map_err(failed)?);
                }
            }
        }
        let applied = self.tree.apply_batch(batch).map_err(failed);
        for key in newest.into_keys() {
            self.hot.remove(key);
        }
        applied
    }
}

pub(crate) fn failed(error: sled::Error) -> Error {
    Error::Store(error.to_string())
}
