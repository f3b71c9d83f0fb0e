//! How much is being worked on, and whether more can be taken.
//!
//! A request is computed where it was read, on a worker of the runtime, so an overloaded server has no queue that one could
//! measure: what waits is in sockets and among the runtime's tasks. While requests are light (below [`HEAVY`] on the
//! average) that is as it should be. To turn one away costs some 15 µs, so that at ten times what can be done the refusals
//! would take the time of the answers; left in their sockets they cost nothing, and with one a connection they do
//! not wait long. Once requests are heavy the queue is made visible: each waits for its turn (as many as there are
//! workers), in order, and lets the sockets be read before it takes it. What has been asked is then counted as it
//! comes, and what is too much is turned away at once, by two rules:
//!
//! - as many are in flight as there are places (`server.in_flight`), whatever they wait for;
//! - those in flight, at the work that the last ones took, would keep a new one waiting longer than `server.wait_ms`.
//!   This says what will be, where a measured delay would say what was. Work is CPU time, and where few are in flight it
//!   is not asked for: a machine that is busy with something else turns nobody away.
//!
//! Work nobody waits for at a screen asks [`Load::is_high`], or takes [`Load::batch_turn`].

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Server;
use crate::metrics::Metrics;

/// Mean work of a request from which on requests take turns.
const HEAVY: Duration = Duration::from_micros(500);

/// So many requests in flight for each worker are never turned away for the time they would wait.
const FEW: usize = 8;

/// Of the places, large requests may have one in so many.
const BATCH_SHARE: usize = 4;

/// How long large and later work waits for the requests at hand, at most: it crawls rather than starves.
const GIVES_WAY: Duration = Duration::from_secs(1);

/// The most that `Retry-After` says, in seconds.
const LONGEST: u64 = 30;

/// What is in flight, shared by all who answer.
pub struct Load {
    places: usize,
    /// None where `server.wait_ms` is 0.
    wait: Option<Duration>,
    bytes_limit: usize,
    workers: usize,
    in_flight: AtomicUsize,
    /// Those of them that are large.
    large: AtomicUsize,
    /// Bytes of bodies that are read or being read.
    bytes: AtomicUsize,
    /// Nanoseconds of work of a request; a moving mean.
    work: AtomicU64,
    /// Of the last requests, the share that was turned away, from 0 to [`ALL`]; a moving mean.
    away: AtomicU64,
    turns: Semaphore,
    /// Bounds the threads that work on large requests.
    batch: Arc<Semaphore>,
    busy: Mutex<Option<Busy>>,
    told: Mutex<Option<Instant>>,
    counters: [IntCounter; Overload::ALL.len()],
}

/// All of the last requests, in the fixed point of `Load::away`.
const ALL: u64 = 1 << 20;

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// All places are taken.
    InFlight,
    /// It would wait too long.
    Wait,
    /// Bodies take up all the memory they may.
    Bytes,
    /// All places for large requests are taken.
    Batch,
    /// All connections are taken.
    Connections,
}

/// How busy the runtime's workers are.
struct Busy {
    runtime: Handle,
    since: Instant,
    spent: Duration,
    high: bool,
}

impl Load {
    pub fn new(server: &Server, metrics: &Metrics) -> Load {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let workers = match server.threads {
            0 => cores,
            threads => threads,
        };
        Load {
            places: server.in_flight,
            wait: Some(Duration::from_millis(server.wait_ms)).filter(|wait| !wait.is_zero()),
            bytes_limit: server.in_flight_bytes,
            workers,
            in_flight: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            work: AtomicU64::new(0),
            away: AtomicU64::new(0),
            turns: Semaphore::new(workers),
            batch: Arc::new(Semaphore::new(cores)),
            busy: Mutex::new(None),
            told: Mutex::new(None),
            counters: Overload::ALL.map(|why| metrics.overloaded(why.as_str())),
        }
    }

    /// Whether a request could be taken now; asked before anything of its body is read.
    pub fn knock(&self) -> Result<(), Overload> {
        self.fits(self.in_flight.load(Relaxed))
            .map_err(|why| self.turn_away(why))
    }

    /// Takes a place. `large`: one of those that are computed on the batch threads, of whose places there are fewer.
    pub fn enter(self: &Arc<Load>, large: bool) -> Result<Place, Overload> {
        let before = self.in_flight.fetch_add(1, Relaxed);
        // From here on the place gives back what was taken, also where it is refused.
        let mut place = Place {
            load: self.clone(),
            large: false,
        };
        self.fits(before).map_err(|why| self.turn_away(why))?;
        if large {
            place.large = true;
            if self.large.fetch_add(1, Relaxed) >= (self.places / BATCH_SHARE).max(1) {
                return Err(self.turn_away(Overload::Batch));
            }
        }
        let away = self.away.load(Relaxed);
        self.away.store(away - away / 64, Relaxed);
        Ok(place)
    }

    fn fits(&self, in_flight: usize) -> Result<(), Overload> {
        if in_flight >= self.places {
            return Err(Overload::InFlight);
        }
        match self.wait {
            Some(wait) if in_flight > FEW * self.workers && self.expected(in_flight) > wait => {
                Err(Overload::Wait)
            }
            _ => Ok(()),
        }
    }

    /// Counts a request that is turned away, and says so in the log now and then.
    pub fn turn_away(&self, why: Overload) -> Overload {
        self.counters[why as usize].inc();
        let away = self.away.load(Relaxed);
        self.away.store(away + (ALL - away) / 64, Relaxed);
        if let Some(mut told) = self.told.try_lock()
            && told.is_none_or(|told| told.elapsed() > Duration::from_secs(10))
        {
            *told = Some(Instant::now());
            tracing::warn!(
                why = why.as_str(),
                in_flight = self.in_flight.load(Relaxed),
                expected_wait = ?self.expected_wait(),
                "requests are turned away; tidemill_overloaded_total counts them"
            );
        }
        why
    }

    /// How long the requests in flight keep the workers busy, going by what the last ones took.
    pub fn expected_wait(&self) -> Duration {
        self.expected(self.in_flight.load(Relaxed))
    }

    fn expected(&self, in_flight: usize) -> Duration {
        let work = self.work.load(Relaxed).saturating_mul(in_flight as u64);
        Duration::from_nanos(work / self.workers as u64)
    }

    /// Seconds after which asking again is worth while: until what is in flight is done, and then spread, so that those
    /// turned away do not come back together. Where one in ten was taken, ten times as much is asked as can be
    /// done, and what returns over ten seconds is what can be done in one.
    pub fn retry_after(&self) -> u64 {
        let away = self.away.load(Relaxed).min(ALL - ALL / 64);
        let times = ALL / (ALL - away);
        // Any number that differs from one to the next will do.
        let spread = self.counters.iter().map(IntCounter::get).sum::<u64>() % times.max(1);
        (1 + self.expected_wait().as_secs() + spread).min(LONGEST)
    }

    /// Whether requests are near a limit, or keep the workers busy. Shadows, jobs and other work that can wait then should.
    pub fn is_high(&self) -> bool {
        let in_flight = self.in_flight.load(Relaxed);
        in_flight * 4 >= self.places * 3
            || self
                .wait
                .is_some_and(|wait| self.expected(in_flight) > wait / 2)
            || self.is_busy()
    }

    /// Whether the workers had next to no pause of late.
    fn is_busy(&self) -> bool {
        let mut busy = self.busy.lock();
        let Some(busy) = busy.as_mut() else {
            return false;
        };
        let window = busy.since.elapsed();
        if window < Duration::from_millis(100) {
            return busy.high;
        }
        let metrics = busy.runtime.metrics();
        let workers = metrics.num_workers();
        let spent = (0..workers)
            .map(|worker| metrics.worker_total_busy_duration(worker))
            .sum();
        // What was long ago says nothing; the next to ask will know.
        busy.high = window < Duration::from_secs(2)
            && spent - busy.spent.min(spent) > window.mul_f64(0.9 * workers as f64);
        (busy.since, busy.spent) = (Instant::now(), spent);
        busy.high
    }

    /// From now on the workers of this runtime are those that answer.
    pub fn watch(&self, runtime: Handle) {
        *self.busy.lock() = Some(Busy {
            runtime,
            since: Instant::now(),
            spent: Duration::ZERO,
            high: false,
        });
    }

    /// A turn on the batch threads: where requests are near their limit, a second later.
    pub async fn batch_turn(&self) -> OwnedSemaphorePermit {
        let turn = self.batch.clone().acquire_owned().await;
        let since = Instant::now();
        while self.is_high() && since.elapsed() < GIVES_WAY {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        turn.expect("nobody closes it")
    }

    /// Takes note of bytes of a body that is being read.
    pub fn weigh(self: &Arc<Load>) -> Weight {
        Weight {
            load: self.clone(),
            bytes: 0,
        }
    }

    /// Takes note of what a request cost.
    fn learn(&self, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.work.load(Relaxed);
        // Two that do so at once may lose one: it is a mean.
        self.work.store(mean - mean / 16 + spent / 16, Relaxed);
    }
}

/// A place among those in flight, as long as it lives.
pub struct Place {
    load: Arc<Load>,
    large: bool,
}

impl Place {
    /// Does the work of a request on this thread, in turn, and takes note of what it cost. What it waits for is no work.
    pub async fn work<T>(&self, work: impl Future<Output = T>) -> T {
        let load = &self.load;
        let mut work = pin!(work);
        let mut spent = Duration::ZERO;
        loop {
            let polled = if load.work.load(Relaxed) < HEAVY.as_nanos() as u64 {
                poll_fn(|cx| {
                    let started = Instant::now();
                    let polled = work.as_mut().poll(cx);
                    // A thread that was held up may seem to have worked for long. Should this one really have, the next
                    // few will say the same, and from then on the clock is a better one.
                    spent += started.elapsed().min(4 * HEAVY);
                    Poll::Ready(polled)
                })
                .await
            } else {
                let _turn = load.turns.acquire().await;
                // Whoever has just asked is heard before this one is worked on: turned away, if it must be, at once.
                tokio::task::yield_now().await;
                poll_fn(|cx| {
                    // By the clock of this thread, which others on the machine do not hold up.
                    let started = ThreadTime::now();
                    let polled = work.as_mut().poll(cx);
                    spent += started.elapsed();
                    Poll::Ready(polled)
                })
                .await
            };
            if let Poll::Ready(answer) = polled {
                load.learn(spent);
                return answer;
            }
            // The work has seen to it that this task is woken.
            let mut asked = false;
            poll_fn(|_| match std::mem::replace(&mut asked, true) {
                false => Poll::Pending,
                true => Poll::Ready(()),
            })
            .await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Relaxed);
        if self.large {
            self.load.large.fetch_sub(1, Relaxed);
        }
    }
}

/// Bytes of a body, counted as long as this lives.
pub struct Weight {
    load: Arc<Load>,
    bytes: usize,
}

impl Weight {
    /// So many bytes more, if there is room for them.
    pub fn add(&mut self, bytes: usize) -> Result<(), Overload> {
        let before = self.load.bytes.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        match before + bytes > self.load.bytes_limit {
            true => Err(self.load.turn_away(Overload::Bytes)),
            false => Ok(()),
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

impl Overload {
    pub const ALL: [Overload; 5] = [
        Overload::InFlight,
        Overload::Wait,
        Overload::Bytes,
        Overload::Batch,
        Overload::Connections,
    ];

    /// One word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Overload::InFlight => "in_flight",
            Overload::Wait => "wait",
            Overload::Bytes => "bytes",
            Overload::Batch => "batch",
            Overload::Connections => "connections",
        }
    }
}

#[cfg(test)]
mod tests;
