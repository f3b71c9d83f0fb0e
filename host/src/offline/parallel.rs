//! Work on all cores, results in order.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

/// Calls `work` for each item on `threads` threads and `sink` for each result on this one, in the order of the items. Only
/// a few items a thread are under way at a time. Stops at the first error, which of several is the one of the earliest
/// item that was seen.
pub fn ordered<T: Send, R: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    work: impl Fn(T) -> Result<R, E> + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.max(1);
    let items = Mutex::new(items.enumerate());
    let (sender, results) = sync_channel(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, items, work) = (sender.clone(), &items, &work);
            scope.spawn(move || {
                loop {
                    // A worker that panicked has poisoned it: then the others stop, and the panic is told at the end.
                    let next = match items.lock() {
                        Ok(mut items) => items.next(),
                        Err(_) => None,
                    };
                    let Some((at, item)) = next else { return };
                    if sender.send((at, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (at, result) in results {
            early.insert(at, result);
            while let Some(result) = early.remove(&next) {
                sink(result?)?;
                next += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
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
}
