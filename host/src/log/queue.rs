//! The queue between the answers and the writer.
//!
//! The writer looks into it a few times a second rather than being woken for each record: to wake a thread would cost
//! an answer more than to append to a list does.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Record;
use crate::error::{Error, Result};

pub(super) struct Queue {
    /// Above this many bytes records are dropped.
    limit: usize,
    state: Mutex<State>,
    /// For the writer: there is something to do before its time.
    work: Condvar,
    /// For those who flush.
    flushed: Condvar,
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    bytes: usize,
    dropped: u64,
    /// How many flushes have been asked for, and how many are done.
    asked: u64,
    done: u64,
    stopping: bool,
    /// The writer is gone.
    stopped: bool,
}

/// What the writer gets at a time.
pub(super) struct Taken {
    pub records: Vec<Record>,
    /// Close all files, then say [`Queue::done`] with this.
    pub flush: Option<u64>,
    pub stop: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Queue {
        Queue {
            limit,
            state: Mutex::default(),
            work: Condvar::new(),
            flushed: Condvar::new(),
        }
    }

    /// False: the record was dropped. The lock is held for an append or for a swap, never while anybody writes.
    pub fn offer(&self, record: Record) -> bool {
        let bytes = record.bytes();
        let mut state = self.state.lock();
        // A record larger than the whole queue may pass alone, or it never could.
        let full = state.bytes + bytes > self.limit && state.bytes > 0;
        if full || state.stopping || state.stopped {
            state.dropped += 1;
            // Freeing it is not for others to wait for.
            drop(state);
            return false;
        }
        state.bytes += bytes;
        state.records.push(record);
        let hurry = state.bytes > self.limit / 2;
        drop(state);
        if hurry {
            self.work.notify_one();
        }
        true
    }

    pub fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// Waits up to `patience` for something to do, and takes all there is.
    pub fn take(&self, patience: Duration) -> Taken {
        let mut state = self.state.lock();
        let idle = |state: &State| {
            state.asked == state.done && !state.stopping && state.bytes <= self.limit / 2
        };
        if idle(&state) {
            self.work.wait_for(&mut state, patience);
        }
        state.bytes = 0;
        // As much room as was needed this time: answers should not wait for the list to grow.
        let room = Vec::with_capacity(state.records.len());
        let records = std::mem::replace(&mut state.records, room);
        let flush = (state.asked != state.done).then_some(state.asked);
        Taken {
            records,
            flush,
            stop: state.stopping,
        }
    }

    /// The flushes up to this one are done.
    pub fn done(&self, flush: u64) {
        self.state.lock().done = flush;
        self.flushed.notify_all();
    }

    /// Asks for a flush and waits for it.
    pub fn flush(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.asked += 1;
        let mine = state.asked;
        self.work.notify_one();
        while state.done < mine && !state.stopped {
            self.flushed.wait(&mut state);
        }
        if state.done < mine {
            return Err(Error::Internal(
                "the feature log's writer has stopped".to_owned(),
            ));
        }
        Ok(())
    }

    /// Asks the writer to write what is left, and to end.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.work.notify_one();
    }

    /// Held by the writer: when it ends, however it ends, nobody waits for it any more.
    pub fn writer(&self) -> Writer<'_> {
        Writer(self)
    }
}

pub(super) struct Writer<'a>(&'a Queue);

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.0.state.lock().stopped = true;
        self.0.flushed.notify_all();
    }
}
