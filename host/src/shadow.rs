//! Shadows: other versions of a service that run on the requests an alias has answered, for the feature log alone.
//!
//! They begin when the answer is made, on threads of their own that give way to all others, and have a log of their own:
//! an answer waits for nothing that they hold. What an answer pays is a handle of its body and a place in a queue; where
//! there is none, the shadow is dropped, and counted.

mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::log::FeatureLog;
use crate::metrics::Metrics;
use crate::registry::Rollout;
use crate::service::{Service, Wanted};

/// Another version that runs on a share of the requests, as an alias' settings have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    pub version: u32,
    /// From 0 to 1, of the requests.
    #[serde(default = "whole")]
    #[schema(minimum = 0, maximum = 1)]
    pub share: f64,
}

fn whole() -> f64 {
    1.0
}

/// How much shadows may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Threads that run shadows.
    pub threads: usize,
    /// How many requests may wait for a shadow; more are dropped.
    pub queue_requests: usize,
    /// How many bytes of requests may wait; more are dropped.
    pub queue_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            threads: 1,
            queue_requests: 1_000,
            queue_bytes: 16 << 20,
        }
    }
}

/// A request that has been answered.
pub struct Answered<'a> {
    pub request_id: Uuid,
    /// When it came, µs.
    pub at: i64,
    pub wanted: Wanted,
    /// The version that answered it.
    pub version: u32,
    pub body: &'a Bytes,
}

/// A request that a shadow is to run on.
struct Work {
    service: Arc<Service>,
    request_id: Uuid,
    at: i64,
    wanted: Wanted,
    body: Bytes,
}

/// The queue of shadows and the threads that run them. When it is dropped, what still waits is given up.
pub struct Shadows {
    queue: Option<SyncSender<Work>>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and those who offer share.
struct Shared {
    settings: Settings,
    /// Rows of a request, at most.
    row_limit: usize,
    /// What waits. Counted here rather than by the channel, which has room for twice as much: a channel that is full makes
    /// those who send wait for those who receive.
    requests: AtomicUsize,
    bytes: AtomicUsize,
    stopping: AtomicBool,
    log: Option<Box<dyn FeatureLog>>,
    metrics: Arc<Metrics>,
}

impl Shadows {
    /// Starts the threads. What they run goes into `log`, which should be nobody else's: shadows are not to take the place
    /// of what answers leave there.
    pub fn start(
        settings: Settings,
        row_limit: usize,
        log: Option<Box<dyn FeatureLog>>,
        metrics: Arc<Metrics>,
    ) -> Result<Shadows> {
        let (queue, works) = sync_channel(settings.queue_requests.saturating_mul(2).max(1));
        let works = Arc::new(Mutex::new(works));
        let shared = Arc::new(Shared {
            settings,
            row_limit,
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            log,
            metrics,
        });
        let threads = (0..shared.settings.threads).map(|_| {
            let (works, shared) = (works.clone(), shared.clone());
            std::thread::Builder::new()
                .name("shadow".to_owned())
                .spawn(move || run::works(&works, &shared))
                .map_err(|error| Error::Internal(format!("a thread for shadows: {error}")))
        });
        Ok(Shadows {
            queue: Some(queue),
            threads: threads.collect::<Result<_>>()?,
            shared,
        })
    }

    /// Lets the shadows of an alias have a request, each its share: which, the random end of the request's id says. Waits
    /// for nothing.
    pub fn offer(&self, rollout: &Rollout, answered: &Answered<'_>) {
        for (shadow, entry) in &rollout.shadows {
            // The canary may be a shadow of the others' requests.
            if shadow.version == answered.version || !shadow.has(answered.request_id) {
                continue;
            }
            let Some(service) = entry.if_ready() else {
                continue;
            };
            self.push(Work {
                service: service.clone(),
                request_id: answered.request_id,
                at: answered.at,
                wanted: answered.wanted,
                body: answered.body.clone(),
            });
        }
    }

    fn push(&self, work: Work) {
        let Some(queue) = &self.queue else {
            return;
        };
        let bytes = work.body.len();
        if !self.shared.reserve(bytes) {
            self.shared.count(&work.service, "dropped");
        } else if let Err(refused) = queue.try_send(work) {
            self.shared.release(bytes);
            let (std::sync::mpsc::TrySendError::Full(work)
            | std::sync::mpsc::TrySendError::Disconnected(work)) = refused;
            self.shared.count(&work.service, "dropped");
        }
    }

    /// Where their records go.
    pub fn log(&self) -> Option<&dyn FeatureLog> {
        self.shared.log.as_deref()
    }
}

impl Shared {
    /// Takes a place for one more request of so many bytes, if there is one.
    fn reserve(&self, bytes: usize) -> bool {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = requests < self.settings.queue_requests
            && before.saturating_add(bytes) <= self.settings.queue_bytes;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    fn release(&self, bytes: usize) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn count(&self, service: &Service, outcome: &str) {
        let version = service.plan.number.to_string();
        let labels = [service.name(), &version, outcome];
        self.metrics.shadows.with_label_values(&labels).inc();
    }
}

impl Shadow {
    /// Whether a request is within the share: the last 32 bits of its id, which are random, as a fraction of 2^32.
    fn has(&self, request_id: Uuid) -> bool {
        let random = request_id.as_u128() as u32;
        f64::from(random) / ((1u64 << 32) as f64) < self.share
    }
}

impl Drop for Shadows {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.queue = None;
        for thread in self.threads.drain(..) {
            // Its panic, if any, has been printed.
            let _ = thread.join();
        }
    }
}
