//! The skew audit: a sample of what was answered is computed again, and must have the same bits.
//!
//! Again means another way: on instances made for this alone, and from the views' history as it was when the request came.
//! It happens after the answer, on a thread of its own, and what it finds is a metric that should stay 0. A difference
//! leaves its evidence in a file, and a transform that differs on the same inputs runs on fresh instances from then on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::log::{self, Outcome, Record, Role};
use crate::metrics::Metrics;
use crate::offline::json::write_row;
use crate::request::Request;
use crate::score::{Arrived, score};
use crate::service::{Plan, Service, Step, Wanted};
use crate::training::diff;
use crate::transform::Transform;

/// How many differences leave evidence; the metric counts on.
const EVIDENCE: u64 = 1_000;

/// A row that was being written while a request looked for it may have been seen or not: so much the clock of a row's
/// arrival can be before it is there, in µs.
const WRITING: i64 = 1_000_000;

/// What says when and whose an answer was, rather than what it was.
const OF_THE_ANSWER: [&str; 6] = ["request_id", "time", "row", "role", "micros", "error"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The share of answered requests that are computed again, from 0 to 1.
    pub share: f64,
    /// How many may wait; more are passed over.
    pub queue: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            share: 0.001,
            queue: 64,
        }
    }
}

/// The queue and the thread. When it is dropped, what still waits is given up.
pub struct Audit {
    /// One in so many requests.
    every: u64,
    seen: AtomicU64,
    queue: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer to be computed again.
struct Work {
    service: Arc<Service>,
    record: Record,
    wanted: Wanted,
}

/// What was answered, and what came out again.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub service: String,
    pub version: u32,
    pub request_id: String,
    pub row: usize,
    pub column: String,
    pub answered: String,
    pub again: String,
    /// The row's raw inputs.
    pub request: Box<serde_json::value::RawValue>,
}

impl Audit {
    /// Starts the thread; evidence goes to `dir`. None where nothing is to be audited.
    pub fn start(
        settings: &Settings,
        dir: PathBuf,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Audit>> {
        if settings.share <= 0.0 {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.map_err(|error| Error::Internal(error.to_string()))?;
        let (queue, work) = sync_channel(settings.queue.max(1));
        let auditor = Auditor {
            dir,
            metrics,
            kept: 0,
            runtime,
        };
        let thread = std::thread::Builder::new()
            .name("skew-audit".to_owned())
            .spawn(move || auditor.run(&work))
            .map_err(|error| Error::Internal(format!("a thread for the skew audit: {error}")))?;
        Ok(Some(Audit {
            every: (1.0 / settings.share).round().max(1.0) as u64,
            seen: AtomicU64::new(0),
            queue: Some(queue),
            thread: Some(thread),
        }))
    }

    /// Whether the next answer is one of the sample. The first is not, unless all are: it is slow enough as it is.
    pub fn wants(&self) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        seen.is_multiple_of(self.every)
    }

    /// Takes an answer of the sample. Waits for nothing: false where the queue is full.
    pub fn offer(&self, service: &Arc<Service>, record: Record, wanted: Wanted) -> bool {
        let work = Work {
            service: service.clone(),
            record,
            wanted,
        };
        self.queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(work).is_ok())
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been printed.
            let _ = thread.join();
        }
    }
}

struct Auditor {
    dir: PathBuf,
    metrics: Arc<Metrics>,
    kept: u64,
    runtime: tokio::runtime::Runtime,
}

impl Auditor {
    fn run(mut self, queue: &Receiver<Work>) {
        for work in queue {
            match self.audit(&work) {
                Ok(differences) => self.tell(&work, &differences),
                Err(error) => {
                    self.metrics.audit_failed();
                    tracing::warn!(service = work.service.name(), %error, "an answer could not be computed again");
                }
            }
        }
    }

    /// What differs. An answer that fell back for time or for the store cannot be repeated, and has none.
    fn audit(&self, work: &Work) -> Result<Vec<Difference>> {
        let record = &work.record;
        let repeatable =
            |outcome: &Outcome| !matches!(outcome, Outcome::Failed | Outcome::Fallback);
        if !record.outcomes.iter().all(repeatable) {
            return Ok(Vec::new());
        }
        let logged = batch(&work.service, record.clone())?;
        let mut found = Vec::new();
        // What was being written as the request came may have been seen or not.
        for arrival in [record.time, record.time - WRITING, record.time + WRITING] {
            let again = batch(&work.service, self.again(work, arrival)?)?;
            let differences = differences(work, &logged, &again)?;
            if differences.is_empty() {
                return Ok(Vec::new());
            }
            if found.is_empty() {
                found = differences;
            }
        }
        Ok(found)
    }

    fn again(&self, work: &Work, arrival: i64) -> Result<Record> {
        let record = &work.record;
        let rows = record.groups[0].block.clone();
        let request = Request {
            arrivals: Some(vec![arrival; rows.rows()]),
            fresh: true,
            unhurried: true,
            ..Request::of(rows)
        };
        let arrived = Arrived {
            at: record.time,
            instant: Instant::now(),
        };
        let scored = score(&work.service, request, arrived, work.wanted);
        let scored = self.runtime.block_on(scored)?;
        let id = record.request_id;
        Ok(scored.into_record(&work.service, id, record.time, Role::Answer, Duration::ZERO))
    }

    fn tell(&mut self, work: &Work, differences: &[Difference]) {
        let service = &work.service;
        let columns: BTreeSet<&str> = differences.iter().map(|d| d.column.as_str()).collect();
        if let Some(first) = differences.first() {
            self.tell_difference(service, first, &columns, differences);
        }
        // Last, so that whoever sees the metric finds the evidence.
        self.metrics.audited(
            service.name(),
            service.plan.number,
            work.record.rows(),
            &columns,
        );
    }

    fn tell_difference(
        &mut self,
        service: &Service,
        first: &Difference,
        columns: &BTreeSet<&str>,
        differences: &[Difference],
    ) {
        tracing::error!(
            service = service.name(),
            version = service.plan.number,
            request_id = %first.request_id,
            columns = ?columns,
            "an answer computed again has other bits"
        );
        blamed(&service.plan, columns).for_each(Transform::only_fresh);
        if self.kept < EVIDENCE {
            self.kept += 1;
            let path = self.dir.join(format!("{}.json", first.request_id));
            if let Err(error) = keep(&self.dir, &path, differences) {
                tracing::error!(path = %path.display(), %error, "the evidence cannot be written");
            }
        }
    }
}

/// The transforms that kept something between calls: their columns differ, and nothing they stand on does. Of a look-up
/// that differs they are innocent, and so is one behind another that is to blame.
fn blamed<'p>(
    plan: &'p Plan,
    columns: &'p BTreeSet<&str>,
) -> impl Iterator<Item = &'p Transform> + 'p {
    let differs = |step: &Step| {
        let prefix = format!("{}.", step.alias);
        columns.iter().any(|column| column.starts_with(&prefix))
    };
    // Also through a model, whose outputs are not compared.
    let stands_on_one = move |step: &Step| plan.before(step).any(differs);
    let transforms = plan
        .transforms()
        .filter(move |(step, _)| differs(step) && !stands_on_one(step));
    transforms.map(|(_, transform)| transform)
}

fn keep(dir: &Path, path: &Path, differences: &[Difference]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(path, serde_json::to_vec_pretty(differences)?)
}

fn batch(service: &Service, record: Record) -> Result<RecordBatch> {
    let schema = log::arrow_schema(&service.shape);
    log::to_batch(&schema, &service.shape, vec![record])
        .map_err(|error| Error::Internal(error.to_string()))
}

fn differences(work: &Work, logged: &RecordBatch, again: &RecordBatch) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let group = &work.service.shape.groups[0];
    let request = &work.record.groups[0].block;
    for (at, field) in logged.schema().fields().iter().enumerate() {
        if OF_THE_ANSWER.contains(&field.name().as_str()) {
            continue;
        }
        let (before, after) = (logged.column(at), again.column(at));
        for row in 0..logged.num_rows() {
            if diff::same(before, row, after, row) {
                continue;
            }
            let mut inputs = Vec::new();
            write_row(request, &group.schema, row, &mut inputs);
            let inputs = serde_json::from_slice(&inputs)
                .map_err(|error| Error::Internal(error.to_string()))?;
            found.push(Difference {
                service: work.service.name().to_owned(),
                version: work.service.plan.number,
                request_id: work.record.request_id.to_string(),
                row,
                column: field.name().clone(),
                answered: diff::shown(before, row),
                again: diff::shown(after, row),
                request: inputs,
            });
        }
    }
    Ok(found)
}
