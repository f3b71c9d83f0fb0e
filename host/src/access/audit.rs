//! Who changed what, or tried to: a JSON line each, appended to `audit/YYYY-MM.ndjson` in the data folder.
//!
//! Each line holds the SHA-256 of the line before, over months too, so that a removed or edited line shows; the last one
//! is known to the database, so that a removed end shows as well. Whoever can write both can write another history: lines
//! that must outlive the machine belong on another one.
//!
//! A change gets two lines: `begun` before anything is changed, and what came of it, on disk before the answer is sent. So
//! a log that cannot be written refuses the change, and a crash between the two leaves a `begun` alone, which says that
//! nobody knows. Rows of a view are written often and get the second line only. An end that could not be written although
//! the change was made is kept in memory and goes before the next line.

mod files;
mod read;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Principal, Role};
use crate::error::{Error, Result};
use files::Files;
use writer::{Message, Writer};

pub use read::{Page, Query, page};
pub use verify::{Bad, Verified, verify};

/// The outcome of a line that announces a change.
pub const BEGUN: &str = "begun";
/// The outcome of a change that was made, or was there already.
pub const OK: &str = "ok";

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// The token's name, `loopback`, or none where nobody could be told.
    #[schema(required)]
    pub who: Option<String>,
    #[schema(required)]
    pub role: Option<Role>,
    /// The peer's address.
    pub from: String,
    /// `transform.register`, `token.revoke`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// SHA-256 of the artifact, where there is one.
    #[schema(required)]
    pub digest: Option<String>,
    /// `ok`, `begun`, or the type of the problem that was answered.
    pub outcome: String,
    #[schema(required)]
    pub detail: Option<String>,
    /// The number of the line that announced it.
    #[schema(required)]
    pub begun: Option<u64>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditLine)]
pub struct Line {
    /// From 1, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    #[serde(flatten)]
    pub entry: Entry,
    /// SHA-256 of the line before, without its newline; of the first one 64 zeros.
    pub previous: String,
}

/// The end of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditHead)]
pub struct Head {
    /// The last line's number; 0 where there is none.
    pub seq: u64,
    /// SHA-256 of the last line.
    pub digest: String,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            seq: 0,
            digest: "0".repeat(64),
        }
    }
}

/// The log, with the thread that writes it: lines that come together share one wait for the disk.
pub struct Audit {
    dir: PathBuf,
    inbox: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    failing: Arc<AtomicBool>,
    head: Arc<Mutex<Head>>,
}

/// Comes when the line is on disk: its number, or why it could not be written.
pub type Written = oneshot::Receiver<Result<u64, String>>;

impl Audit {
    /// Opens the log in `dir`, and mends what a crash left: half a line is kept aside in `cut-….txt`, and a line says so.
    pub fn open(dir: &Path, db: &sled::Db) -> Result<Audit> {
        let failed =
            |what: String| Error::Internal(format!("the audit log {}: {what}", dir.display()));
        let files = Files::open(dir, db).map_err(failed)?;
        let head = Arc::new(Mutex::new(files.head().clone()));
        let failing = Arc::new(AtomicBool::new(false));
        let (inbox, messages) = mpsc::channel();
        let writer = Writer::new(files, head.clone(), failing.clone());
        let thread = std::thread::Builder::new()
            .name("tidemill-audit".to_owned())
            .spawn(move || writer.run(&messages))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Audit {
            dir: dir.to_owned(),
            inbox: Some(inbox),
            thread: Some(thread),
            failing,
            head,
        })
    }

    /// Announces what is about to be done; nothing may be done where this fails.
    pub fn begin(&self, entry: Entry) -> Written {
        self.send(|done| Message::Line {
            entry,
            happened: false,
            done,
        })
    }

    /// Says what came of it. Where this fails the line is kept in memory and goes before the next.
    pub fn end(&self, entry: Entry) -> Written {
        self.send(|done| Message::Line {
            entry,
            happened: true,
            done,
        })
    }

    /// Notes an attempt that was turned away. Of the same kind some are written in a minute; the others are counted, and
    /// their number is a line when the minute is over.
    pub fn turned_away(&self, entry: Entry) -> Written {
        self.send(|done| Message::TurnedAway { entry, done })
    }

    /// Whether the last line could not be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub fn head(&self) -> Head {
        self.head.lock().clone()
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn send(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<u64, String>>) -> Message,
    ) -> Written {
        let (done, written) = oneshot::channel();
        if let Some(inbox) = &self.inbox {
            // Where the thread is gone, `done` is dropped and the receiver tells.
            let _ = inbox.send(message(done));
        }
        written
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Entry {
    /// An act of somebody; the outcome is `ok` until it is said otherwise.
    pub fn new(who: &Principal, from: &str, action: &str, subject: &str) -> Entry {
        Entry {
            who: Some(who.name.clone()),
            role: Some(who.role),
            ..Entry::by_nobody(from, action, subject)
        }
    }

    /// An act of somebody unknown.
    pub fn by_nobody(from: &str, action: &str, subject: &str) -> Entry {
        Entry {
            who: None,
            role: None,
            from: from.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            digest: None,
            outcome: OK.to_owned(),
            detail: None,
            begun: None,
        }
    }

    /// A line is bounded, whatever a path or a message holds.
    fn cut(&mut self) {
        shorten(&mut self.subject, 200);
        shorten(&mut self.action, 100);
        if let Some(detail) = &mut self.detail {
            shorten(detail, 1000);
        }
    }
}

fn shorten(text: &mut String, limit: usize) {
    if let Some((at, _)) = text.char_indices().nth(limit) {
        text.truncate(at);
        text.push('…');
    }
}

#[cfg(test)]
mod tests;
