//! A store whose reads take their time, fail, or never end, as a test wishes, and are counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tidemill::error::{Error, Result};
use tidemill::store::{AsOf, Fetched, OnlineStore, Read, ViewRows, Write, Written};
use tokio::sync::{Barrier, watch};

/// Around another store, which does the reading.
pub struct TestStore {
    inner: Arc<dyn OnlineStore>,
    watched: Arc<Watched>,
}

/// What a test holds of a [`TestStore`], to see and to steer.
pub struct Watched {
    /// How reads go that are not of the views below.
    usual: Mutex<Way>,
    views: Mutex<HashMap<String, Way>>,
    pub reads: AtomicUsize,
    outstanding: AtomicUsize,
    /// The most reads that were outstanding at once.
    pub most: AtomicUsize,
    /// How often a barrier has opened.
    pub rounds: AtomicUsize,
    /// Turns true when what hangs is to end, so that a server can.
    ended: watch::Sender<bool>,
}

/// How a read goes.
#[derive(Clone)]
pub enum Way {
    /// Well, and at once.
    Well,
    /// Well, after so long, and once as many others as the barrier wants have come as far.
    Together(Duration, Arc<Barrier>),
    Failing,
    Hanging,
}

struct TestRows {
    inner: Arc<dyn ViewRows>,
    watched: Arc<Watched>,
}

impl Watched {
    pub fn new() -> Arc<Watched> {
        Arc::new(Watched {
            usual: Mutex::new(Way::Well),
            views: Mutex::default(),
            reads: AtomicUsize::new(0),
            outstanding: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            rounds: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
        })
    }

    pub fn around(self: &Arc<Self>, inner: Arc<dyn OnlineStore>) -> Arc<dyn OnlineStore> {
        Arc::new(TestStore {
            inner,
            watched: self.clone(),
        })
    }

    /// From now on all reads go this way.
    pub fn all(&self, way: Way) {
        self.views.lock().expect("no panic").clear();
        *self.usual.lock().expect("no panic") = way;
    }

    /// From now on reads of this view go this way.
    pub fn only(&self, view: &str, way: Way) {
        let mut views = self.views.lock().expect("no panic");
        views.insert(view.to_owned(), way);
    }

    /// Lets end what hangs, at the latest when the value is dropped: a server waits for its threads.
    pub fn ends(self: &Arc<Self>) -> Ends {
        Ends(self.clone())
    }

    fn way(&self, view: &str) -> Way {
        let views = self.views.lock().expect("no panic");
        let way = views.get(view).cloned();
        way.unwrap_or_else(|| self.usual.lock().expect("no panic").clone())
    }

    async fn pass(&self, view: &str) -> Result<()> {
        let _outstanding = Outstanding::new(self);
        match self.way(view) {
            Way::Well => Ok(()),
            Way::Together(time, barrier) => {
                tokio::time::sleep(time).await;
                if barrier.wait().await.is_leader() {
                    self.rounds.fetch_add(1, SeqCst);
                }
                Ok(())
            }
            Way::Failing => Err(Error::Store("the test wants it so".to_owned())),
            Way::Hanging => {
                let mut ended = self.ended.subscribe();
                let _ = ended.wait_for(|ended| *ended).await;
                Err(Error::Store("it hung".to_owned()))
            }
        }
    }
}

/// Lets end what hangs when it is dropped.
pub struct Ends(Arc<Watched>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

/// A read for as long as it lasts, also where it is given up.
struct Outstanding<'a>(&'a Watched);

impl<'a> Outstanding<'a> {
    fn new(watched: &'a Watched) -> Outstanding<'a> {
        watched.reads.fetch_add(1, SeqCst);
        let now = watched.outstanding.fetch_add(1, SeqCst) + 1;
        watched.most.fetch_max(now, SeqCst);
        Outstanding(watched)
    }
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, SeqCst);
    }
}

impl OnlineStore for TestStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        Ok(Arc::new(TestRows {
            inner: self.inner.view(name)?,
            watched: self.watched.clone(),
        }))
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }
}

impl ViewRows for TestRows {
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// Blocks its thread, as a disk would.
    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let name = self.inner.name();
        if !matches!(self.watched.way(name), Way::Well) {
            tokio::runtime::Handle::current().block_on(self.watched.pass(name))?;
        }
        self.inner.get(key, as_of, found)
    }

    fn waits(&self) -> bool {
        true
    }

    fn fetch(self: Arc<Self>, reads: Vec<Read>) -> Fetched {
        Box::pin(async move {
            self.watched.pass(self.inner.name()).await?;
            self.inner.clone().fetch(reads).await
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
