//! Views in memory: for tests, and for a server whose views are loaded anew at each start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::{AsOf, OnlineStore, ViewRows, Write, Written};
use crate::error::Result;

/// Keeps nothing beyond its own life.
#[derive(Default)]
pub struct MemoryStore {
    views: Mutex<HashMap<String, Arc<MemoryRows>>>,
    history: Option<Duration>,
}

struct MemoryRows {
    name: String,
    history: Option<Duration>,
    /// By key; of each key by event and arrival, the later of equals behind the earlier.
    rows: RwLock<HashMap<Box<[u8]>, History>>,
}

/// By event time, arrival and place in the put.
type History = BTreeMap<(i64, i64, u32), Box<[u8]>>;

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Forgets rows that are older than `history`, but for the newest of them.
    pub fn with_history(history: Option<Duration>) -> MemoryStore {
        MemoryStore {
            history,
            ..MemoryStore::default()
        }
    }
}

impl OnlineStore for MemoryStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        let mut views = self.views.lock();
        let rows = views.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(MemoryRows {
                name: name.to_owned(),
                history: self.history,
                rows: RwLock::default(),
            })
        });
        Ok(rows.clone())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

impl ViewRows for MemoryRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let rows = self.rows.read();
        let Some(rows) = rows.get(key) else {
            return Ok(false);
        };
        let row = rows
            .range(..=(as_of.event, i64::MAX, u32::MAX))
            .rev()
            .find(|((_, arrival, _), _)| *arrival <= as_of.arrival);
        match row {
            Some((_, row)) => {
                found(row);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn put(&self, writes: &[Write<'_>]) -> Result<Written> {
        let mut written = Written::default();
        let mut rows = self.rows.write();
        for (at, write) in writes.iter().enumerate() {
            let rows = rows.entry(write.key.into()).or_default();
            let newest = rows.last_key_value().map(|((event, _, _), _)| *event);
            match newest.is_some_and(|newest| newest > write.event_time) {
                true => written.outdated += 1,
                false => written.stored += 1,
            }
            let times = (write.event_time, write.arrival, at as u32);
            rows.insert(times, write.row.into());
            if let Some(cutoff) = super::cutoff(self.history, write.arrival)
                && let Some((&kept, _)) = rows.range(..(cutoff, i64::MIN, 0)).next_back()
            {
                *rows = rows.split_off(&kept);
            }
        }
        Ok(written)
    }

    fn count(&self) -> Result<u64> {
        Ok(self.rows.read().len() as u64)
    }

    fn clear(&self) -> Result<()> {
        self.rows.write().clear();
        Ok(())
    }
}
