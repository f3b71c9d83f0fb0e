//! A store whose reads may wait, read on threads of their own: a slow disk holds up one look-up, not a server.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{AsOf, Fetched, OnlineStore, Read, ViewRows, Write, Written, read_all};
use crate::error::{Error, Result};

/// Another store, of which look-ups are given up when they are late.
pub struct ThreadedStore {
    inner: Arc<dyn OnlineStore>,
    /// A read that hangs keeps its thread, whoever has given it up: with all of them hanging, further reads fail at once.
    threads: Arc<Semaphore>,
}

struct ThreadedRows {
    inner: Arc<dyn ViewRows>,
    threads: Arc<Semaphore>,
}

impl ThreadedStore {
    /// Reads `inner` on at most `threads` threads.
    pub fn new(inner: Arc<dyn OnlineStore>, threads: usize) -> ThreadedStore {
        ThreadedStore {
            inner,
            threads: Arc::new(Semaphore::new(threads.max(1))),
        }
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
            let Ok(permit) = self.threads.clone().try_acquire_owned() else {
                return Err(Error::Store(
                    "as many reads as may be are waiting for an answer".to_owned(),
                ));
            };
            let read = move || {
                let _permit = permit;
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
