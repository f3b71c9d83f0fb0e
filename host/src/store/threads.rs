//! A store whose reads may wait, read on threads of their own: a slow disk holds up one look-up, not a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{AsOf, Fetched, OnlineStore, Read, ViewRows, Write, Written, read_all};
use crate::error::{Error, Result};

/// Another store, of which look-ups are given up when they are late.
pub struct ThreadedStore {
    inner: Arc<dyn OnlineStore>,
    threads: Arc<Threads>,
}

struct ThreadedRows {
    inner: Arc<dyn ViewRows>,
    threads: Arc<Threads>,
}

/// A read waits for a thread that will be free. One that hangs keeps its thread, though nobody waits for it any more: with
/// all of them lost so, further reads fail at once.
struct Threads {
    count: usize,
    free: Arc<Semaphore>,
    /// How many are busy with what was given up.
    lost: AtomicIsize,
}

/// A read on a thread. Thread and waiter each let go of it once; the first to do so has ended it.
struct Reading {
    threads: Arc<Threads>,
    ended: AtomicBool,
}

/// The thread's end of a reading.
struct Thread {
    reading: Arc<Reading>,
    _permit: OwnedSemaphorePermit,
}

/// The end of whoever waits for a reading.
struct Waiter(Arc<Reading>);

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.0.ended.swap(true, Ordering::AcqRel) {
            self.0.threads.lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if self.reading.ended.swap(true, Ordering::AcqRel) {
            self.reading.threads.lost.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl ThreadedStore {
    /// Reads `inner` on at most `threads` threads.
    pub fn new(inner: Arc<dyn OnlineStore>, threads: usize) -> ThreadedStore {
        let count = threads.max(1);
        ThreadedStore {
            inner,
            threads: Arc::new(Threads {
                count,
                free: Arc::new(Semaphore::new(count)),
                lost: AtomicIsize::new(0),
            }),
        }
    }
}

impl Threads {
    /// Waits for a free one.
    async fn take(self: &Arc<Self>) -> Result<(Waiter, Thread)> {
        let hanging = || {
            let reason = format!(
                "all of its {} threads hang in reads that were given up",
                self.count
            );
            Error::Store(reason)
        };
        if self.lost.load(Ordering::Acquire) >= self.count as isize {
            return Err(hanging());
        }
        let permit = self
            .free
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| hanging())?;
        let reading = Arc::new(Reading {
            threads: self.clone(),
            ended: AtomicBool::new(false),
        });
        let thread = Thread {
            reading: reading.clone(),
            _permit: permit,
        };
        Ok((Waiter(reading), thread))
    }
}

impl OnlineStore for ThreadedStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        Ok(Arc::new(ThreadedRows {
            inner: self.inner.view(name)?,
            threads: self.threads.clone(),
        }))
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }
}

impl ViewRows for ThreadedRows {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.get(key, as_of, found)
    }

    fn waits(&self) -> bool {
        true
    }

    fn fetch(self: Arc<Self>, reads: Vec<Read>) -> Fetched {
        Box::pin(async move {
            let (_waiter, thread) = self.threads.take().await?;
            let read = move || {
                let _thread = thread;
                read_all(self.inner.as_ref(), &reads)
            };
            tokio::task::spawn_blocking(read)
                .await
                .unwrap_or_else(|error| Err(Error::Store(error.to_string())))
        })
    }

    fn put(&self, rows: &[Write<'_>]) -> Result<Written> {
        self.inner.put(rows)
    }

    fn count(&self) -> Result<u64> {
        self.inner.count()
    }

    fn clear(&self) -> Result<()> {
        self.inner.clear()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures_util::future::join_all;
    use parking_lot::{Condvar, Mutex};

    use super::*;
    use crate::store::MemoryStore;

    /// Reads that begin, and end when they are let go.
    #[derive(Default)]
    struct Gate {
        /// How many have begun, and whether they may end.
        state: Mutex<(usize, bool)>,
        changed: Condvar,
    }

    struct Gated {
        gate: Arc<Gate>,
        inner: Arc<dyn ViewRows>,
    }

    impl Gate {
        fn pass(&self) {
            let mut state = self.state.lock();
            state.0 += 1;
            self.changed.notify_all();
            while !state.1 {
                self.changed.wait(&mut state);
            }
        }

        fn let_go(&self) {
            self.state.lock().1 = true;
            self.changed.notify_all();
        }

        fn wait_for(&self, begun: usize) {
            let mut state = self.state.lock();
            while state.0 < begun {
                self.changed.wait(&mut state);
            }
        }
    }

    impl ViewRows for Gated {
        fn name(&self) -> &str {
            "gated"
        }

        fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
            self.gate.pass();
            self.inner.get(key, as_of, found)
        }

        fn put(&self, rows: &[Write<'_>]) -> Result<Written> {
            self.inner.put(rows)
        }

        fn count(&self) -> Result<u64> {
            self.inner.count()
        }

        fn clear(&self) -> Result<()> {
            self.inner.clear()
        }
    }

    impl OnlineStore for Gated {
        fn view(&self, _: &str) -> Result<Arc<dyn ViewRows>> {
            Ok(Arc::new(Gated {
                gate: self.gate.clone(),
                inner: self.inner.clone(),
            }))
        }

        fn flush(&self) -> Result<()> {
            Ok(())
        }
    }

    fn gated(threads: usize) -> (Arc<Gate>, Arc<dyn ViewRows>) {
        let gate = Arc::new(Gate::default());
        let store = ThreadedStore::new(
            Arc::new(Gated {
                gate: gate.clone(),
                inner: MemoryStore::new().view("gated").unwrap(),
            }),
            threads,
        );
        (gate, store.view("gated").unwrap())
    }

    fn read(rows: &Arc<dyn ViewRows>) -> Fetched {
        rows.clone().fetch(vec![(b"key".to_vec(), AsOf::NEWEST)])
    }

    #[tokio::test]
    async fn reads_beyond_the_threads_wait_for_one() {
        let (gate, rows) = gated(2);
        gate.let_go();
        for answer in join_all((0..20).map(|_| read(&rows))).await {
            assert_eq!(answer.unwrap(), [None]);
        }
    }

    #[tokio::test]
    async fn with_all_threads_lost_reads_fail_at_once_until_one_comes_back() {
        let (gate, rows) = gated(2);
        let mut hanging = [read(&rows), read(&rows)];
        let mut context = Context::from_waker(Waker::noop());
        for fetch in &mut hanging {
            assert!(fetch.as_mut().poll(&mut context).is_pending());
        }
        gate.wait_for(2);
        // They may yet come: who asks now waits for them.
        let mut third = read(&rows);
        assert!(third.as_mut().poll(&mut context).is_pending());

        drop(hanging);
        let Poll::Ready(Err(error)) = read(&rows).as_mut().poll(&mut context) else {
            panic!("it waits for threads that are lost");
        };
        assert_eq!(
            error.to_string(),
            "the online store failed: all of its 2 threads hang in reads that were given up"
        );
        gate.let_go();
        assert_eq!(third.await.unwrap(), [None]);
        assert_eq!(read(&rows).await.unwrap(), [None]);
    }
}
