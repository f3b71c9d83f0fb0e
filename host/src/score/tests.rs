//! The sentence, over services of the tests' own and a store that is watched.

mod adapter;
mod apart;
mod graphs;
mod shared;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::*;
use crate::metrics::Metrics;
use crate::request::{self, Limits};
use crate::service::samples;
use crate::store::{AsOf, Fetched, OnlineStore, Read, ViewRows, Write, Written};
use crate::transform::Transform;

/// Compiled once: both texts and numbers may be null.
fn echo() -> &'static Transform {
    static ECHO: OnceLock<Transform> = OnceLock::new();
    ECHO.get_or_init(|| samples::echo(true))
}

/// A store that counts what is read of it, and may take its time.
struct SpyStore {
    inner: Arc<dyn OnlineStore>,
    /// Whether it waits, and then for how many turns, by view.
    turns: Option<HashMap<String, usize>>,
    seen: Arc<Mutex<HashMap<String, Seen>>>,
}

/// What was read of a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    calls: usize,
    keys: usize,
}

struct SpyRows {
    inner: Arc<dyn ViewRows>,
    turns: Option<usize>,
    seen: Arc<Mutex<HashMap<String, Seen>>>,
}

impl SpyStore {
    fn new(inner: Arc<dyn OnlineStore>, turns: Option<HashMap<String, usize>>) -> SpyStore {
        SpyStore {
            inner,
            turns,
            seen: Arc::default(),
        }
    }

    fn seen(&self, view: &str) -> Seen {
        self.seen.lock().get(view).copied().unwrap_or_default()
    }
}

impl OnlineStore for SpyStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        let turns = self.turns.as_ref();
        Ok(Arc::new(SpyRows {
            inner: self.inner.view(name)?,
            turns: turns.map(|turns| turns.get(name).copied().unwrap_or(0)),
            seen: self.seen.clone(),
        }))
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }
}

impl SpyRows {
    fn note(&self, keys: usize) {
        let mut all = self.seen.lock();
        let seen = all.entry(self.inner.name().to_owned()).or_default();
        seen.calls += 1;
        seen.keys += keys;
    }
}

impl ViewRows for SpyRows {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.note(1);
        self.inner.get(key, as_of, found)
    }

    fn waits(&self) -> bool {
        self.turns.is_some()
    }

    fn fetch(self: Arc<Self>, reads: Vec<Read>) -> Fetched {
        self.note(reads.len());
        let (inner, turns) = (self.inner.clone(), self.turns.unwrap_or(0));
        Box::pin(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            inner.fetch(reads).await
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

/// Runs a body as a request of the service.
fn run(service: &Service, body: &str, wanted: Wanted) -> Result<Scored> {
    let limits = Limits {
        rows: 10_000,
        ..service.plan.limits()
    };
    let request = request::decode(&service.plan.request, body.as_bytes(), limits)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(score(service, request, Arrived::now(), wanted))
}

/// How often a step has run, by the name it goes by.
fn times_run(metrics: &Metrics, step: &str) -> u64 {
    let wanted = format!("stage=\"{step}\"");
    let text = metrics.text();
    let mut lines = text.lines();
    let line = lines
        .find(|line| line.starts_with("tidemill_stage_seconds_count{") && line.contains(&wanted));
    let count = line.and_then(|line| line.rsplit_once(' '));
    count.map_or(0, |(_, count)| count.parse().unwrap())
}

/// The value of a counter, by its name and a label it has; zero where it has not been counted.
fn counted(metrics: &Metrics, name: &str, label: &str) -> u64 {
    let text = metrics.text();
    let mut lines = text.lines();
    let line = lines
        .find(|line| line.starts_with(&format!("{name}{{")) && line.contains(label))
        .and_then(|line| line.rsplit_once(' '));
    line.map_or(0, |(_, count)| count.parse().unwrap())
}

/// A row's outcome in a word, with what it says.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered => "answered".to_owned(),
        Outcome::Closed => "closed".to_owned(),
        Outcome::Refused(refusal) => format!("refused: {}", refusal.message),
        Outcome::Failed(error) => format!("failed: {error}"),
        Outcome::Fallback(error) => format!("fallback: {error}"),
    }
}
