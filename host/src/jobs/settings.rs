//! The `[jobs]` table of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Every key has a default that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Threads that run jobs, at a low priority.
    pub workers: usize,
    /// Jobs that may wait; a client that brings one more is asked to come again.
    pub queue: usize,
    /// Bytes of a job's body.
    pub body_limit: usize,
    /// How long answers are kept.
    pub keep: Span,
    /// How often a job is begun, where the server dies each time.
    pub attempts: u32,
    /// Where answers may be sent: `hooks.example.com`, `hooks.example.com:8443`, `*.example.com`; with `http://` before it,
    /// without TLS. An address that is loopback, private or link-local is connected to only where it is listed itself:
    /// `http://127.0.0.1:9000`.
    pub callback_hosts: Vec<String>,
    /// What callbacks are signed with. Without one there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_secret_file: Option<PathBuf>,
    /// How often sending an answer is tried.
    pub callback_attempts: u32,
    /// The wait before the second try; it doubles from try to try, up to an hour.
    pub callback_backoff: Span,
    /// How long one try may take.
    pub callback_timeout: Span,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workers: 1,
            queue: 100,
            body_limit: 16 << 20,
            keep: Span(Duration::from_secs(24 * 3600)),
            attempts: 3,
            callback_hosts: Vec::new(),
            callback_secret_file: None,
            callback_attempts: 8,
            callback_backoff: Span(Duration::from_secs(2)),
            callback_timeout: Span(Duration::from_secs(10)),
        }
    }
}

impl Settings {
    /// Says what cannot run, by the name of its key.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [
            ("workers", self.workers),
            ("body_limit", self.body_limit),
            ("attempts", self.attempts as usize),
            ("callback_attempts", self.callback_attempts as usize),
            (
                "callback_timeout",
                self.callback_timeout.0.as_millis() as usize,
            ),
        ] {
            if value == 0 {
                return Err(format!("jobs.{key} must be at least 1"));
            }
        }
        super::allowed::hosts(self).map(drop)
    }
}
