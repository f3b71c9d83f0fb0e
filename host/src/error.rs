//! What can go wrong, in words a person can act on. This room knows nothing of HTTP.
//!
//! Three voices: the caller was wrong ([`Error::Invalid`], [`Error::NotFound`], [`Error::Conflict`],
//! [`Error::TooLarge`], [`Error::Refused`], [`Error::Rejected`]); a transform failed ([`Error::Transform`]); we failed
//! ([`Error::Model`], [`Error::Store`], [`Error::Late`], [`Error::Internal`]) or have no time ([`Error::Busy`]). What
//! the caller is told is the display; what only the log is told is in `source`.

use std::fmt;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What was sent does not fit. `path` names the place: `rows[3].departed`.
    #[error("{path}: {message}")]
    Invalid { path: String, message: String },

    /// No thing of that kind and name; `known` are those there are.
    #[error("there is no {kind} \"{name}\"; {}", listed(.kind, .known))]
    NotFound {
        kind: &'static str,
        name: String,
        known: Vec<String>,
    },

    /// The name is taken by something else.
    #[error("{0}")]
    Conflict(String),

    #[error("{what} is over the limit of {limit}")]
    TooLarge { what: String, limit: String },

    /// An artifact or a definition is not admitted. Nothing of it was kept. `report` says what was found out, for
    /// programs.
    #[error("{what} is refused: {reason}")]
    Refused {
        what: String,
        reason: String,
        report: Option<Box<serde_json::Value>>,
    },

    /// There is more to do than is done at once. Nothing of it was begun; later it may be.
    #[error("{0}")]
    Busy(String),

    /// A transform refused the row: the row is wrong, not the transform.
    #[error("{transform} refused the row: {message}")]
    Rejected {
        transform: Arc<TransformName>,
        row: usize,
        message: String,
    },

    /// A transform trapped, ran out of something, or answered nonsense.
    #[error("transform {transform} failed: {fault}")]
    Transform {
        transform: Arc<TransformName>,
        fault: Fault,
    },

    #[error("model {model} failed: {message}")]
    Model { model: String, message: String },

    #[error("the online store failed: {0}")]
    Store(String),

    /// Something had not come when its time was up.
    #[error("{what} was not there within {budget:?}")]
    Late {
        what: String,
        budget: std::time::Duration,
    },

    #[error("{0}")]
    Internal(String),
}

/// `name@version` and the SHA-256 of a component.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransformName {
    pub name: String,
    pub version: semver::Version,
    /// Lower-case hexadecimal.
    pub digest: String,
}

/// How a transform failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It trapped: a panic, an unreachable, a stack overflow, memory out of bounds. `frames` are the guest's functions,
    /// innermost first.
    Trap {
        message: String,
        frames: Vec<String>,
    },
    OutOfFuel {
        limit: u64,
        frames: Vec<String>,
    },
    OutOfMemory {
        limit: usize,
        frames: Vec<String>,
    },
    AnswerTooLarge {
        limit: usize,
    },
    /// It answered something that is not what its description says.
    BadAnswer(String),
    /// It said that the block it got was not what it asked for.
    Failure(String),
}

impl fmt::Display for TransformName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl Fault {
    /// One word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Trap { .. } => "trap",
            Fault::OutOfFuel { .. } => "out_of_fuel",
            Fault::OutOfMemory { .. } => "out_of_memory",
            Fault::AnswerTooLarge { .. } => "answer_too_large",
            Fault::BadAnswer(_) => "bad_answer",
            Fault::Failure(_) => "failure",
        }
    }

    /// The guest's functions at the fault, innermost first; empty where none are known.
    pub fn frames(&self) -> &[String] {
        match self {
            Fault::Trap { frames, .. }
            | Fault::OutOfFuel { frames, .. }
            | Fault::OutOfMemory { frames, .. } => frames,
            _ => &[],
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Trap { message, .. } => write!(f, "it trapped: {message}")?,
            Fault::OutOfFuel { limit, .. } => write!(f, "it ran out of its {limit} units of fuel")?,
            Fault::OutOfMemory { limit, .. } => {
                write!(f, "it wanted more than its {limit} bytes of memory")?
            }
            Fault::AnswerTooLarge { limit } => {
                write!(f, "its answer is over the limit of {limit} bytes")?
            }
            Fault::BadAnswer(what) => write!(f, "its answer is not what it declared: {what}")?,
            Fault::Failure(what) => write!(f, "it could not read the block: {what}")?,
        }
        match self.frames().iter().find(|name| !is_plumbing(name)) {
            Some(name) => write!(f, " in `{name}`"),
            None => Ok(()),
        }
    }
}

impl Error {
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Invalid {
            path: path.into(),
            message: message.into(),
        }
    }

    pub fn refused(what: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Refused {
            what: what.into(),
            reason: reason.into(),
            report: None,
        }
    }
}

/// "there are a, b and c", or that there is none yet.
pub fn listed(kind: &str, known: &[String]) -> String {
    const SHOWN: usize = 20;
    match known {
        [] => format!("no {kind} is there yet"),
        [one] => format!("there is {one}"),
        many if many.len() > SHOWN => format!(
            "there are {} and {} more",
            many[..SHOWN].join(", "),
            many.len() - SHOWN
        ),
        [first @ .., last] => format!("there are {} and {last}", first.join(", ")),
    }
}

/// Whether a guest function is the way to a trap, of the standard library or the SDK, rather than the author's own.
fn is_plumbing(name: &str) -> bool {
    const CRATES: [&str; 8] = [
        "core",
        "std",
        "alloc",
        "__rust",
        "rust_",
        "dlmalloc",
        "tidemill_sdk",
        "wit_bindgen",
    ];
    let path = name.trim_start_matches('<');
    CRATES.iter().any(|start| path.starts_with(start))
        || name.contains("panic")
        || name == "cabi_realloc"
}
