//! Who is asking, and what they may do.

use serde::{Deserialize, Serialize};

/// What a principal may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Scores, and reads what is registered.
    Client,
    /// Registers transforms as well.
    Author,
    /// Does the rest.
    Admin,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: String,
    pub role: Role,
}

/// What a request changed, or tried to: an answer carries it as an extension, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `transform.register`, `alias.move`.
    pub action: &'static str,
    /// `great-circle@1.0.0`, `flight-delay/stable`.
    pub subject: String,
    /// SHA-256 of the artifact, where there is one.
    pub digest: Option<String>,
}

impl Principal {
    /// Whoever comes over loopback without a token.
    pub fn loopback() -> Principal {
        Principal {
            name: "loopback".to_owned(),
            role: Role::Admin,
        }
    }
}
