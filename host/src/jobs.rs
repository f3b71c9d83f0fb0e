//! Answers that nobody waits for: work that is accepted, kept on disk, done when there is time, and fetched or sent.
//!
//! A job is on disk before its client hears of it, and pinned to the version of its service that was meant then. Its
//! answer is the very answer that a request with the same body would have got. A job that runs when the server dies runs
//! again: scoring changes nothing but the feature log, which then has its rows twice, under two request ids.
//!
//! This room knows neither HTTP nor how an answer is made: whoever starts its threads hands that in ([`Run`]).

mod address;
mod allowed;
mod callback;
mod kept;
mod metrics;
mod record;
mod settings;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::record::{Callback, Delivery, Kind, Record, State};
pub use self::settings::Settings;
pub use self::workers::Workers;

use self::allowed::Allowed;
use self::kept::Kept;
use self::metrics::JobMetrics;
use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// Makes the answer of a job from its body, or the problem that a request would have got, as JSON.
pub type Run = Arc<dyn Fn(&Record, &[u8]) -> Result<Vec<u8>, Value> + Send + Sync>;

/// The jobs of a server.
pub struct Jobs {
    settings: Settings,
    allowed: Allowed,
    kept: Kept,
    line: Mutex<Line>,
    /// For the workers: there is a job, or an end.
    work: Condvar,
    /// For those who send answers: one is due, or an end.
    due: Condvar,
    metrics: JobMetrics,
}

/// Who waits for what.
#[derive(Default)]
struct Line {
    queued: VecDeque<Uuid>,
    /// Finished jobs whose answer is to be sent, by when (µs).
    sending: BTreeSet<(i64, Uuid)>,
    /// Since when no job is begun any more.
    stopping: Option<Instant>,
    /// Whether nobody waits any more for what still runs: the runtime it needs may be gone.
    given_up: bool,
}

/// What a client asks for later.
pub struct Asked {
    pub service: String,
    pub service_version: u32,
    pub kind: Kind,
    /// Who asks.
    pub by: String,
    pub body: Vec<u8>,
    /// Where to send the answer, as [`Jobs::callback`] allowed it.
    pub callback: Option<Callback>,
}

impl Jobs {
    /// Opens the jobs kept in the database. Those that were running wait again, or have failed if they were begun too
    /// often.
    pub fn open(db: &sled::Db, settings: Settings, metrics: &Metrics) -> Result<Jobs> {
        let jobs = Jobs {
            allowed: Allowed::new(&settings)?,
            kept: Kept::open(db)?,
            line: Mutex::default(),
            work: Condvar::new(),
            due: Condvar::new(),
            metrics: JobMetrics::new(metrics)?,
            settings,
        };
        jobs.take_up()?;
        Ok(jobs)
    }

    fn take_up(&self) -> Result<()> {
        let mut line = self.line.lock();
        for record in self.kept.all() {
            let mut record = record?;
            match record.state {
                State::Running if record.attempts >= self.settings.attempts => {
                    let times = record.attempts;
                    record.fail(json!({
                        "type": "urn:tidemill:problem:internal",
                        "title": "The server failed",
                        "status": 500,
                        "detail": format!("the server stopped {times} times while it ran this job"),
                    }));
                    self.kept.finish(&record, None)?;
                    self.metrics.finished(State::Failed);
                }
                State::Running => {
                    record.state = State::Queued;
                    self.kept.put(&record)?;
                }
                _ => {}
            }
            match record.state {
                State::Queued => line.queued.push_back(record.id),
                _ => line.sending.extend(record.due()),
            }
        }
        self.metrics.queued.set(line.queued.len() as i64);
        self.kept.flush()
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A callback to this address, if the configuration allows it.
    pub fn callback(&self, url: &str) -> Result<Callback> {
        self.allowed.check(url)?;
        Ok(Callback::to(url))
    }

    /// Keeps a job; it is on disk when this returns. None: too many wait already.
    pub fn accept(&self, asked: Asked) -> Result<Option<Record>> {
        let record = {
            let mut line = self.line.lock();
            if line.queued.len() >= self.settings.queue {
                self.metrics.turned_away();
                return Ok(None);
            }
            // Made under the lock, so that the order of ids is the order of the queue.
            let record = Record::new(&asked);
            self.kept.accept(&record, &asked.body)?;
            line.queued.push_back(record.id);
            self.metrics.queued.inc();
            record
        };
        self.kept.flush()?;
        self.work.notify_one();
        Ok(Some(record))
    }

    /// The job of that id, if `by` is who asked for it, or none for whoever may see all.
    pub fn get(&self, id: &str, by: Option<&str>) -> Result<Record> {
        let found = match Uuid::try_parse(id) {
            Ok(id) => self.kept.record(id)?,
            Err(_) => None,
        };
        match found.filter(|record| record.is_of(by)) {
            Some(record) => Ok(record),
            None => Err(Error::NotFound {
                kind: "job",
                name: id.to_owned(),
                known: self
                    .newest(20, by)?
                    .iter()
                    .map(|record| record.id.to_string())
                    .collect(),
            }),
        }
    }

    /// The answer of a job that is done.
    pub fn answer(&self, id: Uuid) -> Result<Option<Vec<u8>>> {
        self.kept.answer(id)
    }

    /// The newest first.
    pub fn newest(&self, limit: usize, by: Option<&str>) -> Result<Vec<Record>> {
        self.kept
            .newest()
            .filter(|record| record.as_ref().map_or(true, |record| record.is_of(by)))
            .take(limit)
            .collect()
    }

    /// Forgets a job and all of it, whatever its state. One that runs is run to its end, for nobody.
    pub fn remove(&self, record: &Record) -> Result<()> {
        let id = record.id;
        let mut line = self.line.lock();
        self.kept.remove(id)?;
        let before = line.queued.len();
        line.queued.retain(|queued| *queued != id);
        line.sending.retain(|(_, sending)| *sending != id);
        self.metrics.queued.sub((before - line.queued.len()) as i64);
        drop(line);
        if record.finished_at.is_none() {
            self.metrics.cancelled();
        }
        self.kept.flush()
    }

    /// Forgets what was finished longer ago than answers are kept, but for what is still to be sent. How many.
    pub fn sweep(&self, now: Timestamp) -> Result<usize> {
        let keep = self.settings.keep.micros();
        let old =
            |time: Timestamp| now.as_microsecond().saturating_sub(time.as_microsecond()) > keep;
        let mut removed = 0;
        for record in self.kept.all() {
            let record = record?;
            if !old(record.created_at) {
                // Nor is any that was accepted after it.
                break;
            }
            if record.finished_at.is_some_and(old) && record.due().is_none() {
                self.kept.remove(record.id)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
