//! The time of day, as the server counts it: while it runs, it does not go back.
//!
//! A system's clock may be set back by an hour or by a year. Were it followed, an answer would be earlier than the rows
//! it stands on, so that nobody could compute it again; a row would be younger than the one that came before it; what
//! waits for its time would wait an hour or a year longer; and a token that had expired would be good again. So where the
//! system's clock is behind what was said before, time goes on from there, at its pace. A clock that is set forward is
//! followed. After a start nothing is known of what was said before.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Instant;

use jiff::Timestamp;
use uuid::Uuid;

/// µs since 1970-01-01T00:00:00Z, from two clocks: `system` is the time of day as the system has it, `steady` how long
/// this process counts already.
struct Clock {
    /// By how much the time of day was ahead of the steady clock, at the most.
    ahead: AtomicI64,
    /// The newest of those of which no two are equal.
    last: AtomicI64,
    /// Whether the system's clock was behind when last compared.
    behind: AtomicBool,
}

/// Before anything was said; so far back that nothing added to it comes near a time.
const NEVER: i64 = i64::MIN / 2;

static CLOCK: Clock = Clock::new();

/// By how many µs the system's clock may be behind before it is worth a word: small corrections are common.
const NOTICED: i64 = 1_000_000;

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now.
pub fn now() -> Timestamp {
    // The system's clock first: a pause between the two can only make the other one late, which costs nothing.
    let system = system();
    let micros = CLOCK.tell(system, steady(Instant::now()));
    compare(system, micros);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// An id of now. Ids sort as they were made, and no answer that comes from now on has an earlier one.
pub fn id() -> Uuid {
    now();
    Uuid::now_v7()
}

/// Now, in µs, for a request that came at `instant`, a moment ago. It writes nothing that other requests read, so of two
/// requests neither need be the later; both are later than every row that had come.
pub fn of_request(instant: Instant) -> i64 {
    CLOCK.read(system(), steady(instant))
}

/// Now, in µs, but later than all that this has ever said: of a row, of a label.
pub fn arrival() -> i64 {
    let system = system();
    let arrival = CLOCK.next(system, steady(Instant::now()));
    compare(system, arrival);
    arrival
}

/// Tells the operator of a clock that was set back.
fn compare(system: i64, told: i64) {
    if let Some(micros) = CLOCK.notices(system, told) {
        tracing::warn!(
            seconds = micros / 1_000_000,
            "the system's clock was set back; until the next start time goes on from where it was"
        );
    }
}

fn system() -> i64 {
    Timestamp::now().as_microsecond()
}

fn steady(instant: Instant) -> i64 {
    let elapsed = instant.saturating_duration_since(*BEGUN);
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

impl Clock {
    const fn new() -> Clock {
        Clock {
            ahead: AtomicI64::new(NEVER),
            last: AtomicI64::new(NEVER),
            behind: AtomicBool::new(false),
        }
    }

    fn read(&self, system: i64, steady: i64) -> i64 {
        system.max(steady.saturating_add(self.ahead.load(Relaxed)))
    }

    fn tell(&self, system: i64, steady: i64) -> i64 {
        let now = self.read(system, steady);
        self.ahead.fetch_max(now.saturating_sub(steady), Relaxed);
        now
    }

    fn next(&self, system: i64, steady: i64) -> i64 {
        let now = self.read(system, steady);
        let last = self.last.fetch_max(now, Relaxed);
        let next = match last < now {
            true => now,
            false => self.last.fetch_add(1, Relaxed) + 1,
        };
        // No request that comes from now on is before this row.
        self.ahead.fetch_max(next.saturating_sub(steady), Relaxed);
        next
    }

    /// By how many µs the system's clock is behind what was told, once until it has caught up.
    fn notices(&self, system: i64, told: i64) -> Option<i64> {
        let micros = told.saturating_sub(system);
        let behind = micros > NOTICED;
        let changed =
            behind != self.behind.load(Relaxed) && behind != self.behind.swap(behind, Relaxed);
        (changed && behind).then_some(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const START: i64 = 1_700_000_000_000_000;

    /// A row, the clock set back by two hours, requests and rows: time goes on from the row, a second a second.
    #[test]
    fn set_back_it_goes_on_at_its_pace() {
        let clock = Clock::new();
        assert_eq!(clock.next(START, 0), START);
        for seconds in 1..100 {
            let micros = seconds * 1_000_000;
            assert_eq!(
                clock.read(START + micros - 2 * HOUR, micros),
                START + micros
            );
        }
        assert_eq!(clock.next(START - HOUR, HOUR), START + HOUR);
        assert_eq!(clock.tell(i64::MIN, 2 * HOUR), START + 2 * HOUR);
    }

    #[test]
    fn set_forward_it_is_followed_and_not_back_again() {
        let clock = Clock::new();
        assert_eq!(clock.tell(START, 0), START);
        assert_eq!(clock.tell(START + 10 * HOUR, 1), START + 10 * HOUR);
        assert_eq!(clock.tell(START + 2, 2), START + 10 * HOUR + 1);
        // Nobody was told of this one: it was a request's.
        assert_eq!(clock.read(START + 50 * HOUR, 3), START + 50 * HOUR);
        assert_eq!(clock.read(START + 4, 4), START + 10 * HOUR + 3);
    }

    #[test]
    fn no_two_arrivals_are_equal_and_no_request_is_before_one() {
        let clock = Clock::new();
        let mut last = NEVER;
        // The steady clock stands still, and the other runs back.
        for at in 0..10_000 {
            let next = clock.next(START - at * HOUR, 0);
            assert!(next > last, "{next} after {last}");
            assert!(clock.read(START - at * HOUR, 0) >= next);
            last = next;
        }
        assert_eq!(last, START + 9_999);
    }

    #[test]
    fn it_is_told_once_that_the_clock_is_behind() {
        let clock = Clock::new();
        assert_eq!(clock.notices(START, START + NOTICED), None);
        assert_eq!(clock.notices(START, START + HOUR), Some(HOUR));
        assert_eq!(clock.notices(START, START + HOUR), None);
        assert_eq!(clock.notices(START + HOUR, START + HOUR), None);
        assert_eq!(clock.notices(START, START + 2 * HOUR), Some(2 * HOUR));
    }

    #[test]
    fn the_ends_of_time_are_times() {
        for (system, steady) in [
            (i64::MIN, 0),
            (i64::MAX, 0),
            (0, i64::MAX),
            (i64::MIN, i64::MAX),
        ] {
            let clock = Clock::new();
            let told = clock.tell(system, steady);
            assert!(clock.read(i64::MIN, steady) >= told);
        }
    }

    #[test]
    fn many_threads_never_get_the_same_arrival() {
        let clock = Clock::new();
        let mut all: Vec<i64> = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|thread| {
                let clock = &clock;
                scope.spawn(move || {
                    let back = |at: i64| START - (at * 7 + thread) % 5;
                    (0..10_000)
                        .map(|at| clock.next(back(at), 0))
                        .collect::<Vec<_>>()
                })
            });
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("it ends"))
                .collect()
        });
        all.sort_unstable();
        let whole = all.len();
        all.dedup();
        assert_eq!(all.len(), whole);
    }
}
