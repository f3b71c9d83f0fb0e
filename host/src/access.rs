//! Who is asking, what they may do, and what they did: tokens and the audit log.
//!
//! This room never sees a request: `http::access` asks it. What a route needs stands in one table, [`rules::rule`].

pub mod audit;
pub mod guesses;
pub mod local;
pub mod rules;
pub mod tls;
pub mod tokens;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Config;
use crate::error::{Error, Result};
use audit::Audit;
use guesses::Guesses;
use tls::Certificate;
use tokens::Tokens;

/// Everything that decides who may do what.
pub struct Access {
    pub tokens: Tokens,
    pub audit: Audit,
    pub guesses: Guesses,
    /// None where the server speaks plain HTTP.
    pub tls: Option<Certificate>,
}

/// What a principal may do; each role may do what those before it may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
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

/// What the audit log says beside a [`Change`]: how many rows, until when a token holds. An extension of the answer too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(pub String);

impl Access {
    /// Reads tokens, the end of the audit log and the certificate. Whatever can fail fails here.
    pub fn open(db: &sled::Db, config: &Config) -> Result<Access> {
        Ok(Access {
            tokens: Tokens::open(db)?,
            audit: Audit::open(&config.data_dir.join("audit"), db)?,
            guesses: Guesses::default(),
            tls: config
                .server
                .tls
                .clone()
                .map(Certificate::load)
                .transpose()?,
        })
    }

    /// Whether every request needs a token, whatever the address it comes from: a proxy on the same machine makes all of
    /// them look local.
    pub fn tokens_needed(config: &Config, listening: SocketAddr) -> bool {
        config.access.required || !listening.ip().is_loopback()
    }

    /// Refuses to listen where nobody could ever be let in.
    pub fn may_listen(&self, config: &Config, listening: SocketAddr) -> Result<()> {
        if !Access::tokens_needed(config, listening) || self.tokens.has_admin() {
            return Ok(());
        }
        let why = match config.access.required {
            true => "access.required is true".to_owned(),
            false => format!("{listening} is not loopback"),
        };
        Err(Error::refused(
            "to listen",
            format!(
                "{why}, so every request needs a token, and no admin token is on record; make one first:\n  \
                 tidemill token create NAME --role admin --data-dir {}",
                shell(&config.data_dir)
            ),
        ))
    }
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Author => "author",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        match text {
            "client" => Ok(Role::Client),
            "author" => Ok(Role::Author),
            "admin" => Ok(Role::Admin),
            other => Err(format!(
                "\"{other}\" is no role; there are client, author and admin"
            )),
        }
    }
}

impl Principal {
    /// Whoever comes over loopback without a token.
    pub fn loopback() -> Principal {
        Principal {
            name: "loopback".to_owned(),
            role: Role::Admin,
        }
    }

    /// Whoever works on the data folder of a server that is not running.
    pub fn folder() -> Principal {
        Principal {
            name: "data-folder".to_owned(),
            role: Role::Admin,
        }
    }
}
