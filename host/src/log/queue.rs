//! The queue between the answers and the writer.
//!
//! Each thread that answers has a place of its own in it, so that none waits for another. The writer looks into all of them
//! a few times a second rather than being woken for each record: to wake a thread would cost an answer more than to append
//! to a list does.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thread_local::ThreadLocal;

use super::Record;
use super::batch::Batch;
use crate::error::{Error, Result};

const MICROS_A_DAY: i64 = 86_400_000_000;

pub(super) struct Queue {
    /// Above this many bytes records are dropped.
    limit: usize,
    /// What waits, by the thread that offered it.
    places: ThreadLocal<Mutex<Vec<Batch>>>,
    bytes: AtomicUsize,
    dropped: AtomicU64,
    /// Nothing more is taken. Set before the writer looks for the last time, and read with a place's lock held.
    closed: AtomicBool,
    state: Mutex<State>,
    /// For the writer: there is something to do before its time.
    work: Condvar,
    /// For those who flush.
    flushed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many flushes have been asked for, and how many are done.
    asked: u64,
    done: u64,
    stopping: bool,
    /// The writer is gone.
    stopped: bool,
}

/// What the writer gets at a time.
pub(super) struct Taken {
    pub batches: Vec<Batch>,
    /// Close all files, then say [`Queue::done`] with this.
    pub flush: Option<u64>,
    pub stop: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Queue {
        Queue {
            limit,
            places: ThreadLocal::new(),
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            state: Mutex::default(),
            work: Condvar::new(),
            flushed: Condvar::new(),
        }
    }

    /// Takes a record without [`fault`](super::columns::fault). False: it was dropped.
    pub fn offer(&self, record: Record) -> bool {
        let bytes = record.bytes();
        let before = self.bytes.fetch_add(bytes, Relaxed);
        // A record larger than the whole queue may pass alone, or it never could.
        let full = before + bytes > self.limit && before > 0;
        if full || !self.append(record, bytes) {
            self.bytes.fetch_sub(bytes, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
            return false;
        }
        if before + bytes > self.limit / 2 {
            self.work.notify_one();
        }
        true
    }

    /// Nobody but the writer, for a moment now and then, has the lock of another's place.
    fn append(&self, record: Record, bytes: usize) -> bool {
        let mut place = self.places.get_or_default().lock();
        if self.closed.load(Relaxed) {
            return false;
        }
        let day = record.time.div_euclid(MICROS_A_DAY);
        let same = |batch: &&mut Batch| {
            std::sync::Arc::ptr_eq(&batch.shape, &record.shape) && batch.day == day
        };
        let batch = match place.iter_mut().find(same) {
            Some(batch) => batch,
            None => place.push_mut(Batch::new(&record.shape, day)),
        };
        batch.bytes += bytes;
        batch.push(record);
        true
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits up to `patience` for something to do, and takes all there is.
    pub fn take(&self, patience: Duration) -> Taken {
        let mut state = self.state.lock();
        let much = self.bytes.load(Relaxed) > self.limit / 2;
        if state.asked == state.done && !state.stopping && !much {
            self.work.wait_for(&mut state, patience);
        }
        let flush = (state.asked != state.done).then_some(state.asked);
        let stop = state.stopping;
        drop(state);
        let mut batches = Vec::new();
        for place in &self.places {
            batches.append(&mut place.lock());
        }
        let bytes = batches.iter().map(|batch| batch.bytes).sum();
        self.bytes.fetch_sub(bytes, Relaxed);
        Taken {
            batches,
            flush,
            stop,
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
        self.closed.store(true, Relaxed);
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
        self.0.closed.store(true, Relaxed);
        self.0.state.lock().stopped = true;
        self.0.flushed.notify_all();
    }
}
