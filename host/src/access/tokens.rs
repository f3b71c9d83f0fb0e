//! Bearer tokens. A token is shown once, when it is made; only its SHA-256 is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{Principal, Role};
use crate::clock;
use crate::digest::{digest, hex};
use crate::error::{Error, Result};
use crate::store::failed;

/// How a token begins, so that scanners for secrets find it and people know it.
const PREFIX: &str = "tm_";

/// Names that stand for somebody without a token in the audit log.
const RESERVED: [&str; 2] = ["loopback", "data-folder"];

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub name: String,
    pub role: Role,
    /// SHA-256, lower-case hexadecimal.
    pub digest: String,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Whether a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TokenState)]
pub enum State {
    Valid,
    Expired,
    Revoked,
}

/// Why a token that was sent is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing is known of it.
    Unknown,
    /// The name it had.
    Expired(String),
    Revoked(String),
}

/// Every token there ever was. Requests read a snapshot without a lock.
pub struct Tokens {
    tree: sled::Tree,
    known: ArcSwap<Known>,
    /// Held by whoever makes or revokes one.
    changing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    /// By SHA-256: to find one takes no comparison of secrets, so its time tells nothing of them.
    by_digest: HashMap<[u8; 32], Arc<Token>>,
    by_name: BTreeMap<String, Arc<Token>>,
}

impl Tokens {
    pub fn open(db: &sled::Db) -> Result<Tokens> {
        let tree = db.open_tree("tokens").map_err(failed)?;
        let mut known = Known::default();
        for item in tree.iter() {
            let (name, record) = item.map_err(failed)?;
            let unreadable = |what: String| {
                Error::Internal(format!(
                    "the record of token {} cannot be read: {what}",
                    String::from_utf8_lossy(&name)
                ))
            };
            let token: Token =
                serde_json::from_slice(&record).map_err(|error| unreadable(error.to_string()))?;
            known
                .add(token)
                .ok_or_else(|| unreadable("its digest is no SHA-256".to_owned()))?;
        }
        Ok(Tokens {
            tree,
            known: ArcSwap::from_pointee(known),
            changing: Mutex::new(()),
        })
    }

    /// Who sent this token.
    pub fn check(&self, secret: &[u8]) -> Result<Principal, Wrong> {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let known = self.known.load();
        let token = known.by_digest.get(&digest).ok_or(Wrong::Unknown)?;
        match token.state() {
            State::Valid => Ok(Principal {
                name: token.name.clone(),
                role: token.role,
            }),
            State::Expired => Err(Wrong::Expired(token.name.clone())),
            State::Revoked => Err(Wrong::Revoked(token.name.clone())),
        }
    }

    /// Makes a token; answers what is kept, and the token itself, which nobody can be told again.
    pub fn create(
        &self,
        name: &str,
        role: Role,
        expires_in: Option<Duration>,
        created_by: &str,
    ) -> Result<(Arc<Token>, String)> {
        crate::schema::check_name(name).map_err(|reason| Error::invalid("name", reason))?;
        if RESERVED.contains(&name) {
            return Err(Error::invalid(
                "name",
                format!(
                    "\"{name}\" means somebody without a token in the audit log; choose another"
                ),
            ));
        }
        let created_at = clock::now();
        let expires_at = match expires_in {
            Some(Duration::ZERO) => {
                return Err(Error::invalid("expires_in", "0 would be over at once"));
            }
            Some(span) => Some(created_at.checked_add(span).map_err(|_| {
                Error::invalid(
                    "expires_in",
                    "that is beyond the year 9999; leave it out for a token that does not expire",
                )
            })?),
            None => None,
        };
        let secret = random()?;
        let token = Token {
            name: name.to_owned(),
            role,
            digest: digest(secret.as_bytes()),
            created_at,
            created_by: created_by.to_owned(),
            expires_at,
            revoked_at: None,
        };
        let _changing = self.changing.lock();
        if let Some(known) = self.known.load().by_name.get(name) {
            return Err(Error::Conflict(format!(
                "token \"{name}\" was made at {}{}; a name is never used again, so that the audit log stays clear: \
                 choose another, such as {name}-2",
                known.created_at,
                known
                    .revoked_at
                    .map(|at| format!(" and revoked at {at}"))
                    .unwrap_or_default()
            )));
        }
        Ok((self.keep(token)?, secret))
    }

    /// From now on the token is refused. One that is revoked stays as it is.
    pub fn revoke(&self, name: &str) -> Result<Arc<Token>> {
        let _changing = self.changing.lock();
        let known = self.known.load_full();
        let token = known.by_name.get(name).ok_or_else(|| Error::NotFound {
            kind: "token",
            name: name.to_owned(),
            known: known.by_name.keys().cloned().collect(),
        })?;
        if token.revoked_at.is_some() {
            return Ok(token.clone());
        }
        let mut token = Token::clone(token);
        token.revoked_at = Some(Timestamp::now());
        self.keep(token)
    }

    /// All, by name.
    pub fn list(&self) -> Vec<Arc<Token>> {
        self.known.load().by_name.values().cloned().collect()
    }

    /// Whether anybody could come in as an admin.
    pub fn has_admin(&self) -> bool {
        let admin = |token: &Arc<Token>| token.role == Role::Admin && token.state() == State::Valid;
        self.known.load().by_name.values().any(admin)
    }

    /// Writes a token, waits until it is on disk, and lets requests see it.
    fn keep(&self, token: Token) -> Result<Arc<Token>> {
        let record =
            serde_json::to_vec(&token).map_err(|error| Error::Internal(error.to_string()))?;
        self.tree
            .insert(&token.name, record)
            .and_then(|_| self.tree.flush())
            .map_err(failed)?;
        let mut next = Known::clone(&self.known.load());
        let token = next
            .add(token)
            .ok_or_else(|| Error::Internal("a digest is no SHA-256".to_owned()))?;
        self.known.store(Arc::new(next));
        Ok(token)
    }
}

impl Known {
    /// None where the digest is not one.
    fn add(&mut self, token: Token) -> Option<Arc<Token>> {
        let mut digest = [0; 32];
        if token.digest.len() != 64 || !token.digest.is_ascii() {
            return None;
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&token.digest[2 * at..2 * at + 2], 16).ok()?;
        }
        let token = Arc::new(token);
        self.by_digest.insert(digest, token.clone());
        self.by_name.insert(token.name.clone(), token.clone());
        Some(token)
    }
}

impl Token {
    /// What it gives, in words for the audit log: `role author until 2026-12-01T00:00:00Z`.
    pub fn grants(&self) -> String {
        match self.expires_at {
            Some(at) => format!("role {} until {at}", self.role),
            None => format!("role {}", self.role),
        }
    }

    pub fn state(&self) -> State {
        if self.revoked_at.is_some() {
            return State::Revoked;
        }
        // Most do not expire: the clock is not asked for them.
        match self.expires_at {
            Some(at) if at <= clock::now() => State::Expired,
            _ => State::Valid,
        }
    }
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Valid => "valid",
            State::Expired => "expired",
            State::Revoked => "revoked",
        }
    }
}

/// 256 bits from the operating system, as text.
fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::Internal(format!(
            "the operating system gives no random bits: {error}"
        ))
    })?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db() -> sled::Db {
        sled::Config::new().temporary(true).open().unwrap()
    }

    #[test]
    fn a_token_is_known_again_after_a_restart_and_its_text_is_kept_nowhere() {
        let db = db();
        let tokens = Tokens::open(&db).unwrap();
        let (kept, secret) = tokens.create("ci", Role::Author, None, "ada").unwrap();
        assert!(secret.starts_with("tm_") && secret.len() == 67, "{secret}");
        let ci = Principal {
            name: "ci".to_owned(),
            role: Role::Author,
        };
        let again = Tokens::open(&db).unwrap();
        for tokens in [&tokens, &again] {
            assert_eq!(tokens.check(secret.as_bytes()), Ok(ci.clone()));
            assert_eq!(tokens.check(b"tm_"), Err(Wrong::Unknown));
            assert_eq!(
                tokens.check(kept.digest.as_bytes()),
                Err(Wrong::Unknown),
                "the digest is no token"
            );
        }
        for item in tokens.tree.iter() {
            let (_, record) = item.unwrap();
            assert!(!String::from_utf8_lossy(&record).contains(&secret[3..]));
        }
    }

    #[test]
    fn revoked_and_expired_ones_are_refused_and_say_whose_they_were() {
        let tokens = Tokens::open(&db()).unwrap();
        let (_, revoked) = tokens.create("gone", Role::Admin, None, "ada").unwrap();
        assert!(tokens.has_admin());
        let first = tokens.revoke("gone").unwrap();
        assert_eq!(tokens.revoke("gone").unwrap(), first, "once is enough");
        assert!(!tokens.has_admin());
        assert_eq!(
            tokens.check(revoked.as_bytes()),
            Err(Wrong::Revoked("gone".to_owned()))
        );
        let (_, brief) = tokens
            .create("brief", Role::Client, Some(Duration::from_nanos(1)), "ada")
            .unwrap();
        while Timestamp::now() <= tokens.list()[0].expires_at.unwrap() {}
        assert_eq!(
            tokens.check(brief.as_bytes()),
            Err(Wrong::Expired("brief".to_owned()))
        );
    }

    #[test]
    fn names_are_used_once_and_refusals_say_what_to_do() {
        let tokens = Tokens::open(&db()).unwrap();
        tokens.create("ci", Role::Author, None, "ada").unwrap();
        tokens.revoke("ci").unwrap();
        let refused = |name: &str, span| {
            tokens
                .create(name, Role::Client, span, "ada")
                .unwrap_err()
                .to_string()
        };
        assert!(refused("ci", None).contains("a name is never used again"));
        assert!(refused("loopback", None).contains("choose another"));
        assert!(refused("CI", None).contains("is no name"));
        assert!(refused("x", Some(Duration::ZERO)).contains("over at once"));
        assert!(refused("x", Some(Duration::MAX)).contains("9999"));
        let unknown = tokens.revoke("cj").unwrap_err().to_string();
        assert_eq!(unknown, "there is no token \"cj\"; there is ci");
    }
}
