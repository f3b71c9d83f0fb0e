//! Whose turn it is to compile and to prove: work that takes seconds and every core it can get, beside requests that
//! take microseconds.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

/// Lets a few in at once, lets as many wait for a while, and refuses the others.
pub struct Turns {
    at_once: usize,
    waiting: usize,
    patience: Duration,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    inside: usize,
    waiting: usize,
}

/// Leave to work. Gives the turn on when it goes.
pub struct Turn<'a>(&'a Turns);

impl Turns {
    pub fn new(at_once: usize, waiting: usize, patience: Duration) -> Turns {
        Turns {
            at_once,
            waiting,
            patience,
            state: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// Waits for a turn. [`Error::Busy`] at once where too many wait already, and where the wait is too long.
    pub fn take(&self) -> Result<Turn<'_>> {
        let mut state = self.state.lock();
        if state.inside >= self.at_once {
            if state.waiting >= self.waiting {
                return Err(Error::Busy(format!(
                    "{} registrations are at work or waiting, and no more may: try again in a minute",
                    state.inside + state.waiting
                )));
            }
            state.waiting += 1;
            let end = Instant::now() + self.patience;
            while state.inside >= self.at_once {
                if self.left.wait_until(&mut state, end).timed_out() && state.inside >= self.at_once
                {
                    state.waiting -= 1;
                    return Err(Error::Busy(format!(
                        "other registrations took longer than {} seconds: try again in a minute",
                        self.patience.as_secs()
                    )));
                }
            }
            state.waiting -= 1;
        }
        state.inside += 1;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().inside -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_works_one_waits_and_the_third_is_refused() {
        let turns = Turns::new(1, 1, Duration::from_secs(60));
        let first = turns.take().ok().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| turns.take().map(drop).is_ok());
            while turns.state.lock().waiting == 0 {
                std::thread::yield_now();
            }
            let error = turns.take().err().unwrap().to_string();
            assert_eq!(
                error,
                "2 registrations are at work or waiting, and no more may: try again in a minute"
            );
            drop(first);
            assert!(second.join().unwrap());
        });
        let state = turns.state.lock();
        assert_eq!((state.inside, state.waiting), (0, 0));
    }

    #[test]
    fn patience_ends() {
        let turns = Turns::new(1, 1, Duration::ZERO);
        let first = turns.take().ok().unwrap();
        let error = turns.take().err().unwrap().to_string();
        assert!(error.contains("took longer than 0 seconds"), "{error}");
        drop(first);
        assert!(turns.take().is_ok());
    }

    #[test]
    fn a_panic_gives_the_turn_on() {
        let turns = Turns::new(1, 0, Duration::ZERO);
        let worker = std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let _turn = turns.take().ok().unwrap();
                panic!("in the middle of it");
            });
            worker.join()
        });
        assert!(worker.is_err() && turns.take().is_ok());
    }
}
