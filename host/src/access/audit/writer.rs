//! The thread that writes the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::files::Files;
use super::{Entry, Head};

/// Lines a minute of attempts that were turned away, for each outcome.
const A_MINUTE: u64 = 10;

type Done = oneshot::Sender<Result<u64, String>>;

pub(super) enum Message {
    Line {
        entry: Entry,
        /// What it says cannot be undone, so it must not be lost.
        happened: bool,
        done: Done,
    },
    TurnedAway {
        entry: Entry,
        done: Done,
    },
}

pub(super) struct Writer {
    files: Files,
    head: Arc<Mutex<Head>>,
    failing: Arc<AtomicBool>,
    /// What happened and could not be written yet. Bounded: while there is any, nothing more is done.
    owed: Vec<(Timestamp, Entry)>,
    flood: Flood,
}

/// What was turned away in this minute, by outcome.
struct Flood {
    since: Instant,
    /// How many, and the newest.
    seen: BTreeMap<String, (u64, Option<Entry>)>,
}

impl Writer {
    pub fn new(files: Files, head: Arc<Mutex<Head>>, failing: Arc<AtomicBool>) -> Writer {
        Writer {
            files,
            head,
            failing,
            owed: Vec::new(),
            flood: Flood::new(),
        }
    }

    /// Until nobody can send any more.
    pub fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match messages.recv_timeout(self.flood.left()) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let batch = first.into_iter().chain(messages.try_iter()).collect();
            self.write(batch);
        }
        let rest = self.flood.sum();
        let now = Timestamp::now();
        self.owed.extend(rest.into_iter().map(|entry| (now, entry)));
        self.write(Vec::new());
    }

    /// Everything that waits, with one wait for the disk.
    fn write(&mut self, batch: Vec<Message>) {
        let now = Timestamp::now();
        let mut lines: Vec<(Timestamp, Entry)> = std::mem::take(&mut self.owed);
        let owed = lines.len();
        if self.flood.left() == Duration::ZERO {
            lines.extend(self.flood.sum().into_iter().map(|entry| (now, entry)));
        }
        let summed = lines.len() - owed;
        let mut waiting = Vec::new();
        for message in batch {
            let (mut entry, happened, done) = match message {
                Message::Line {
                    entry,
                    happened,
                    done,
                } => (entry, happened, done),
                Message::TurnedAway { entry, done } => {
                    if !self.flood.takes(&entry) {
                        let _ = done.send(Ok(0));
                        continue;
                    }
                    (entry, false, done)
                }
            };
            entry.cut();
            lines.push((now, entry));
            waiting.push((happened, done));
        }
        if lines.is_empty() {
            return;
        }
        let outcome = self.files.append(&lines);
        self.failing.store(outcome.is_err(), Ordering::Relaxed);
        *self.head.lock() = self.files.head().clone();
        match outcome {
            Ok(first) => {
                for (at, (_, done)) in waiting.into_iter().enumerate() {
                    let _ = done.send(Ok(first + (owed + summed + at) as u64));
                }
            }
            Err(error) => {
                tracing::error!("the audit log cannot be written: {error}");
                let mut lines = lines.into_iter();
                self.owed.extend(lines.by_ref().take(owed + summed));
                for (line, (happened, done)) in lines.zip(waiting) {
                    if happened {
                        self.owed.push(line);
                    }
                    let _ = done.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Flood {
    fn new() -> Flood {
        Flood {
            since: Instant::now(),
            seen: BTreeMap::new(),
        }
    }

    /// How long until the minute is over; long where nothing waits for it.
    fn left(&self) -> Duration {
        match self.seen.is_empty() {
            true => Duration::from_secs(3600),
            false => Duration::from_secs(60).saturating_sub(self.since.elapsed()),
        }
    }

    /// Whether this one gets a line of its own.
    fn takes(&mut self, entry: &Entry) -> bool {
        if self.seen.is_empty() {
            self.since = Instant::now();
        }
        let (count, newest) = self.seen.entry(entry.outcome.clone()).or_default();
        *count += 1;
        if *count > A_MINUTE {
            *newest = Some(entry.clone());
        }
        *count <= A_MINUTE
    }

    /// When the minute is over: a line for each outcome with more than were written.
    fn sum(&mut self) -> Vec<Entry> {
        let seen = std::mem::take(&mut self.seen);
        seen.into_values()
            .filter_map(|(count, newest)| {
                let mut entry = newest?;
                entry.detail = Some(format!(
                    "{} more such attempts in a minute; this is the last of them",
                    count - A_MINUTE
                ));
                entry.cut();
                Some(entry)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_summed() {
        let mut flood = Flood::new();
        let attempt = |outcome: &str, from: String| {
            let mut entry = Entry::by_nobody(&from, "transform.register", "transforms");
            entry.outcome = outcome.to_owned();
            entry
        };
        let taken = (0..5_000)
            .filter(|n| flood.takes(&attempt("unauthenticated", format!("192.0.2.{}", n % 7))))
            .count();
        assert_eq!(taken, 10);
        assert!(
            flood.takes(&attempt("forbidden", "192.0.2.9".to_owned())),
            "one kind does not hide another"
        );
        assert!(flood.left() <= Duration::from_secs(60));
        let [summed] = flood.sum().try_into().expect("one line");
        assert_eq!(summed.outcome, "unauthenticated");
        assert_eq!(
            summed.detail.as_deref(),
            Some("4990 more such attempts in a minute; this is the last of them")
        );
        assert_eq!(flood.left(), Duration::from_secs(3600), "nothing waits");
        assert!(flood.takes(&attempt("unauthenticated", "192.0.2.1".to_owned())));
    }
}
