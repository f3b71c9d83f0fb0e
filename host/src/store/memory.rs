//! Views in memory: for tests, and for a server whose views are loaded anew at each start.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{OnlineStore, ViewRows, Write, Written, stamped, unstamped};
use crate::error::Result;

/// Keeps nothing beyond its own life.
#[derive(Default)]
pub struct MemoryStore {
    views: Mutex<HashMap<String, Arc<MemoryRows>>>,
}

struct MemoryRows {
    name: String,
    /// By key.
    rows: RwLock<HashMap<Box<[u8]>, Value>>,
}

/// A stamped row.
type Value = Box<[u8]>;

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl OnlineStore for MemoryStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        let mut views = self.views.lock();
        let rows = views.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(MemoryRows {
                name: name.to_owned(),
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

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let rows = self.rows.read();
        let Some(value) = rows.get(key) else {
            return Ok(false);
        };
        found(unstamped(value)?.1);
        Ok(true)
    }

    fn put(&self, writes: &[Write<'_>]) -> Result<Written> {
        let mut written = Written::default();
        let mut value = Vec::new();
        let mut rows = self.rows.write();
        for write in writes {
            match rows.get(write.key) {
                Some(old) if unstamped(old)?.0 > write.event_time => written.outdated += 1,
                _ => {
                    stamped(write, &mut value);
                    rows.insert(write.key.into(), value.as_slice().into());
                    written.stored += 1;
                }
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
