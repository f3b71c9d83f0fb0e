//! The threads that run jobs and send answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use thread_priority::{ThreadPriority, set_current_thread_priority};
use uuid::Uuid;

use super::callback::{Tried, send};
use super::{Delivery, Jobs, Record, Run};
use crate::clock;
use crate::error::{Error, Result};

/// Threads that send answers: a receiver that hangs should not make all others wait.
const SENDERS: usize = 2;

/// How often what is too old is looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// From 0, the lowest, to 100. On Linux this is a niceness of about 10: a tenth of the time of a thread that answers
/// requests, where there is not enough for both, and all of it where there is.
const PRIORITY: u8 = 25;

/// Runs jobs while it lives. When it is dropped no job is begun any more.
pub struct Workers {
    jobs: Arc<Jobs>,
    /// How many threads have not ended.
    alive: Arc<(Mutex<usize>, Condvar)>,
    _threads: Vec<JoinHandle<()>>,
}

impl Jobs {
    /// Starts the threads; `run` makes the answers.
    pub fn start(self: &Arc<Jobs>, run: Run) -> std::io::Result<Workers> {
        {
            let mut line = self.line.lock();
            (line.stopping, line.given_up) = (None, false);
        }
        let alive = Arc::new((Mutex::new(0), Condvar::new()));
        let mut workers = Workers {
            jobs: self.clone(),
            alive,
            _threads: Vec::new(),
        };
        for _ in 0..self.settings.workers {
            let (jobs, run) = (self.clone(), run.clone());
            workers.spawn("tidemill-job", move || jobs.work(&run))?;
        }
        for _ in 0..SENDERS {
            let jobs = self.clone();
            workers.spawn("tidemill-send", move || jobs.send())?;
        }
        Ok(workers)
    }

    /// No job is begun from here on.
    pub fn stop(&self) {
        self.line.lock().stopping.get_or_insert_with(Instant::now);
        self.work.notify_all();
        self.due.notify_all();
    }

    fn work(&self, run: &Run) {
        give_way();
        while let Some(id) = self.next() {
            self.metrics.running.inc();
            let outcome = self.run(id, run);
            self.metrics.running.dec();
            if let Err(error) = outcome {
                // It is on disk as running, and begun again when the server is.
                tracing::error!(job = %id, "a job could not be run: {error}");
            }
        }
    }

    /// The job that has waited longest; none when it is time to stop.
    fn next(&self) -> Option<Uuid> {
        let mut line = self.line.lock();
        loop {
            if line.stopping.is_some() {
                return None;
            }
            if let Some(id) = line.queued.pop_front() {
                self.metrics.queued.dec();
                return Some(id);
            }
            self.work.wait(&mut line);
        }
    }

    fn run(&self, id: Uuid, run: &Run) -> Result<()> {
        let (Some(mut record), Some(body)) = (self.kept.record(id)?, self.kept.body(id)?) else {
            return Ok(());
        };
        record.begin();
        // On disk before it runs: a job that kills the server is to be known by it.
        if !self.kept.put(&record)? {
            return Ok(());
        }
        self.kept.flush()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&record, &body)));
        if self.line.lock().given_up {
            // It is begun anew at the next start.
            return Ok(());
        }
        let answer = match outcome.unwrap_or_else(|_| Err(panicked())) {
            Ok(answer) => {
                record.finish();
                Some(answer)
            }
            Err(problem) => {
                record.fail(problem);
                None
            }
        };
        if self.kept.finish(&record, answer.as_deref())? {
            self.kept.flush()?;
            self.metrics.finished(record.state);
            self.line.lock().sending.extend(record.due());
            self.due.notify_one();
        }
        Ok(())
    }

    fn send(&self) {
        while let Some(id) = self.next_due() {
            if let Err(error) = self.deliver(id) {
                tracing::error!(job = %id, "an answer could not be sent: {error}");
            }
        }
    }

    /// The job whose answer is to be sent now; none when it is time to stop. Sweeps in between.
    fn next_due(&self) -> Option<Uuid> {
        let mut swept = Instant::now().checked_sub(SWEEP);
        let mut line = self.line.lock();
        loop {
            if line.stopping.is_some() {
                return None;
            }
            if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
                drop(line);
                if let Err(error) = self.sweep(clock::now()) {
                    tracing::error!("old jobs could not be forgotten: {error}");
                }
                swept = Some(Instant::now());
                line = self.line.lock();
                continue;
            }
            let now = clock::now().as_microsecond();
            let wait = match line.sending.first().copied() {
                Some((due, id)) if due <= now => {
                    line.sending.pop_first();
                    return Some(id);
                }
                Some((due, _)) => Duration::from_micros((due - now).unsigned_abs()).min(SWEEP),
                None => SWEEP,
            };
            self.due.wait_for(&mut line, wait);
        }
    }

    fn deliver(&self, id: Uuid) -> Result<()> {
        let Some(mut record) = self.kept.record(id)? else {
            return Ok(());
        };
        let Some(mut callback) = record.callback.take() else {
            return Ok(());
        };
        let body = self.sent(&record)?;
        let outcome = send(&self.allowed, &self.settings, &record, &callback.url, &body);
        if let Tried::Failed(error) | Tried::Refused(error) = &outcome {
            tracing::warn!(job = %id, url = callback.url, "an answer was not taken: {error}");
        }
        callback.tried(outcome, &self.settings);
        self.metrics.callback(match callback.state {
            Delivery::Delivered => "delivered",
            Delivery::Pending => "to_repeat",
            Delivery::Failed => "given_up",
        });
        record.callback = Some(callback);
        if self.kept.put(&record)? {
            self.kept.flush()?;
            self.line.lock().sending.extend(record.due());
            self.due.notify_one();
        }
        Ok(())
    }

    /// What a receiver gets: the answer, or the problem.
    fn sent(&self, record: &Record) -> Result<Vec<u8>> {
        match &record.problem {
            Some(problem) => Ok(problem.to_string().into_bytes()),
            None => self
                .kept
                .answer(record.id)?
                .ok_or_else(|| Error::Internal(format!("the answer of job {} is gone", record.id))),
        }
    }
}

impl Workers {
    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        *self.alive.0.lock() += 1;
        let alive = Alive(self.alive.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Within the closure, so that a thread that never starts is not waited for.
                let _alive = alive;
                run();
            })?;
        self._threads.push(thread);
        Ok(())
    }

    /// Begins no more, and waits for what runs, up to `patience` from when the stop was first asked for. False: something still does; what it does is begun anew
    /// with the next start.
    pub fn stop(self, patience: Duration) -> bool {
        self.jobs.stop();
        let since = self.jobs.line.lock().stopping;
        let until = since.unwrap_or_else(Instant::now) + patience;
        let (alive, ended) = &*self.alive;
        let mut alive = alive.lock();
        while *alive > 0 {
            if ended.wait_until(&mut alive, until).timed_out() {
                drop(alive);
                self.jobs.line.lock().given_up = true;
                return false;
            }
        }
        true
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs.stop();
    }
}

/// Counts a thread for as long as it runs, however it ends.
struct Alive(Arc<(Mutex<usize>, Condvar)>);

impl Drop for Alive {
    fn drop(&mut self) {
        *self.0.0.lock() -= 1;
        self.0.1.notify_all();
    }
}

fn panicked() -> Value {
    json!({
        "type": "urn:tidemill:problem:internal",
        "title": "The server failed",
        "status": 500,
        "detail": "the server panicked; its log says where",
    })
}

/// Requests come first.
fn give_way() {
    let low = ThreadPriority::Crossplatform(PRIORITY.try_into().expect("it is from 0 to 99"));
    if let Err(error) = set_current_thread_priority(low) {
        tracing::debug!("jobs run at the priority of requests: {error:?}");
    }
}
