//! The log in memory, for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{FeatureLog, Record};
use crate::error::Result;

/// Keeps the first `capacity` records.
pub struct MemoryLog {
    capacity: usize,
    records: Mutex<Vec<Record>>,
    dropped: AtomicU64,
}

impl MemoryLog {
    pub fn new(capacity: usize) -> MemoryLog {
        MemoryLog {
            capacity,
            records: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    /// What has been offered so far, in that order.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().clone()
    }
}

impl FeatureLog for MemoryLog {
    fn offer(&self, record: Record) -> bool {
        let mut records = self.records.lock();
        let room = records.len() < self.capacity;
        if room {
            records.push(record);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        room
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn failed(&self) -> u64 {
        0
    }

    fn written(&self) -> u64 {
        self.records.lock().len() as u64
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
