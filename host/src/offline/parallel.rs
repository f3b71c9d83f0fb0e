//! Work on all cores, results in order.

use std::collections::BTreeMap;

use parking_lot::{Condvar, Mutex};

/// Calls `work` for each item and `sink` for each result, in the order of the items, on `threads` threads in all: whoever
/// finishes the result whose turn it is hands it over, and those that wait behind it. Only a few items a thread are under
/// way at a time. Stops at the first error, which of several is the one of the earliest item that was seen.
pub fn ordered<T: Send, R: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    work: impl Fn(T) -> Result<R, E> + Sync,
    mut sink: impl FnMut(R) -> Result<(), E> + Send,
) -> Result<(), E> {
    if threads <= 1 {
        for item in items {
            sink(work(item)?)?;
        }
        return Ok(());
    }
    let line = Line {
        items: Mutex::new(items.enumerate()),
        sink: Mutex::new(sink),
        state: Mutex::new(State::default()),
        moved: Condvar::new(),
        ahead: 2 * threads,
    };
    std::thread::scope(|scope| {
        // The caller's thread is one of them.
        for _ in 1..threads {
            scope.spawn(|| line.run(&work));
        }
        line.run(&work);
    });
    line.state.into_inner().failed.map_or(Ok(()), Err)
}

struct Line<I, S, R, E> {
    items: Mutex<I>,
    sink: Mutex<S>,
    state: Mutex<State<R, E>>,
    /// Tells those that are too far ahead that a result went, or that all is over.
    moved: Condvar,
    /// How many results may wait for their turn.
    ahead: usize,
}

struct State<R, E> {
    early: BTreeMap<usize, Result<R, E>>,
    /// Whose turn it is.
    next: usize,
    /// Whether somebody hands results over.
    handing: bool,
    failed: Option<E>,
    over: bool,
}

impl<R, E> Default for State<R, E> {
    fn default() -> State<R, E> {
        State {
            early: BTreeMap::new(),
            next: 0,
            handing: false,
            failed: None,
            over: false,
        }
    }
}

impl<T, R, E, I, S> Line<I, S, R, E>
where
    I: Iterator<Item = (usize, T)>,
    S: FnMut(R) -> Result<(), E>,
{
    fn run(&self, work: &impl Fn(T) -> Result<R, E>) {
        // Whoever panics stops the others, and the panic is told when all have stopped.
        let _stop = Stop(self);
        loop {
            let mut state = self.state.lock();
            while !state.over && state.early.len() >= self.ahead {
                self.moved.wait(&mut state);
            }
            let over = state.over;
            drop(state);
            if over {
                return;
            }
            let next = self.items.lock().next();
            let Some((at, item)) = next else { return };
            let result = work(item);
            self.hand_over(at, result);
        }
    }

    fn hand_over(&self, at: usize, result: Result<R, E>) {
        let mut state = self.state.lock();
        state.early.insert(at, result);
        if state.handing {
            return;
        }
        state.handing = true;
        while !state.over {
            let next = state.next;
            let Some(result) = state.early.remove(&next) else {
                break;
            };
            drop(state);
            let outcome = result.and_then(|result| (self.sink.lock())(result));
            state = self.state.lock();
            state.next += 1;
            if let Err(error) = outcome {
                state.failed = Some(error);
                state.over = true;
            }
            self.moved.notify_all();
        }
        state.handing = false;
    }
}

/// Ends the line where its thread panics.
struct Stop<'a, I, S, R, E>(&'a Line<I, S, R, E>);

impl<I, S, R, E> Drop for Stop<'_, I, S, R, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.lock().over = true;
            self.0.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn results_come_in_order_and_errors_stop() {
        let mut seen = Vec::new();
        let outcome: Result<(), u32> = ordered(
            0..1_000_u32,
            3,
            |item| Ok(item * 2),
            |result| {
                seen.push(result);
                Ok(())
            },
        );
        outcome.unwrap();
        assert_eq!(seen, (0..1_000).map(|item| item * 2).collect::<Vec<_>>());

        let mut count = 0;
        let outcome = ordered(
            0..,
            2,
            |item: u32| if item == 100 { Err(item) } else { Ok(item) },
            |_| {
                count += 1;
                Ok(())
            },
        );
        assert_eq!((outcome, count), (Err(100), 100));
    }

    #[test]
    fn one_slow_item_holds_the_others_to_a_few() {
        for threads in [2, 3, 7] {
            let seen = AtomicUsize::new(0);
            let held = AtomicUsize::new(0);
            let mut order = Vec::new();
            let outcome: Result<(), ()> = ordered(
                0..500_usize,
                threads,
                |item| {
                    seen.fetch_add(1, Relaxed);
                    // The first waits until the others have gone as far as they go without it: for long no item was taken.
                    let (mut last, mut still) = (0, 0);
                    while item == 0 && still < 20_000 {
                        let now = seen.load(Relaxed);
                        still = if now == last { still + 1 } else { 0 };
                        last = now;
                        if now <= 2 * threads {
                            still = 0;
                        }
                        held.store(now, Relaxed);
                        std::thread::yield_now();
                    }
                    Ok(item)
                },
                |item| {
                    order.push(item);
                    Ok(())
                },
            );
            outcome.unwrap();
            assert_eq!(order, (0..500).collect::<Vec<_>>(), "{threads} threads");
            // Two results a thread wait for their turn, and each thread may have one item in hand.
            let held = held.into_inner();
            assert!(held <= 3 * threads, "{held} items, {threads} threads");
        }
    }

    #[test]
    fn a_panic_ends_the_others_and_is_told() {
        for threads in [2, 5] {
            let outcome = std::panic::catch_unwind(|| {
                ordered(
                    0..,
                    threads,
                    |item: u32| match item {
                        20 => panic!("item 20"),
                        item => Ok::<u32, ()>(item),
                    },
                    |_| Ok(()),
                )
            });
            assert!(outcome.is_err());
        }
    }
}
