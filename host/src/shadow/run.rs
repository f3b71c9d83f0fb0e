//! The threads that run shadows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thread_priority::{ThreadPriority, set_current_thread_priority};

use super::{Shared, Work};
use crate::error::{Error, Result};
use crate::log::Role;
use crate::request::{Limits, decode};
use crate::score::{Arrived, Outcome, score};
use crate::service::Wanted;

/// How often the queue is looked into while shadows come: to wake a thread would cost an answer more than to queue does.
const TICK: Duration = Duration::from_millis(2);

/// How many times in a row nothing is there before a thread waits to be woken.
const IDLE: usize = 500;

/// How often a failing shadow is worth a line in the program's log.
const COMPLAINT: Duration = Duration::from_secs(10);

/// Runs shadows until nobody can send any more.
pub(super) fn works(works: &Mutex<Receiver<Work>>, shared: &Shared) {
    // Answers come first. Threads that are started from here inherit it.
    if let Err(error) = set_current_thread_priority(ThreadPriority::Min) {
        tracing::warn!("shadows run at the priority of requests: {error:?}");
    }
    // Of its own, and not the requests': what a shadow waits for is nobody else's turn.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "no shadow is run"),
    };
    let mut complained: Option<Instant> = None;
    while let Some(work) = next(works) {
        if shared.stopping.load(Ordering::Relaxed) {
            shared.count(&work.service, "dropped");
            shared.release(work.body.len());
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(&work, shared))));
        let outcome = outcome.unwrap_or_else(|_| {
            let what = "the server panicked; its log says where".to_owned();
            Err(Failure::Failed(Error::Internal(what)))
        });
        let (word, error) = match &outcome {
            Ok(()) => ("ok", None),
            Err(Failure::Undecoded(error)) => ("undecoded", Some(error)),
            Err(Failure::Failed(error)) => ("failed", Some(error)),
        };
        shared.count(&work.service, word);
        if let Some(error) = error
            && complained.is_none_or(|at| at.elapsed() >= COMPLAINT)
        {
            complained = Some(Instant::now());
            let (service, version) = (work.service.name(), work.service.plan.number);
            tracing::warn!(service, version, request_id = %work.request_id, "a shadow failed: {error}");
        }
        shared.release(work.body.len());
    }
}

fn next(works: &Mutex<Receiver<Work>>) -> Option<Work> {
    for _ in 0..IDLE {
        match works.lock().try_recv() {
            Ok(work) => return Some(work),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        std::thread::sleep(TICK);
    }
    works.lock().recv().ok()
}

/// Why a request has no row that a shadow answered.
enum Failure {
    /// Its body is not what the shadow's version reads.
    Undecoded(Error),
    Failed(Error),
}

/// Decodes the body as the shadow's version reads it, runs it, and logs what came of it, under the request's own id.
async fn run(work: &Work, shared: &Shared) -> Result<(), Failure> {
    let service = &work.service;
    let arrived = Arrived {
        at: work.at,
        instant: Instant::now(),
    };
    let limits = Limits {
        rows: shared.row_limit,
        // What another version wants to be told, this one may not know.
        ignore_unknown: true,
        ..service.plan.limits()
    };
    let request = decode(&service.plan.request, &work.body, limits);
    let mut request = request.map_err(Failure::Undecoded)?;
    // What the answer could see: rows that came to a view since would be differences of no version.
    request.arrivals = Some(vec![work.at; request.rows.rows()]);
    let wanted = match service.plan.is_scored() {
        true => work.wanted,
        false => Wanted::Features,
    };
    let outcome = score(service, request, arrived, wanted).await;
    let scored = outcome.map_err(Failure::Failed)?;
    let answered = |outcome: &Outcome| matches!(outcome, Outcome::Answered | Outcome::Closed);
    let failure = match scored.outcomes.iter().any(answered) {
        true => None,
        false => scored.outcomes.iter().find_map(error_of),
    };
    let took = arrived.instant.elapsed();
    if let Some(log) = &shared.log {
        log.offer(scored.into_record(service, work.request_id, work.at, Role::Shadow, took));
    }
    failure.map_or(Ok(()), |error| Err(Failure::Failed(error)))
}

/// Why a row has no answer of its own. A row refused is an answer too: the row is wrong, not the shadow.
fn error_of(outcome: &Outcome) -> Option<Error> {
    match outcome {
        Outcome::Failed(error) | Outcome::Fallback(error) => Some(Error::clone(error)),
        Outcome::Answered | Outcome::Closed | Outcome::Refused(_) => None,
    }
}
