//! `tidemill token …`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::ServerArg;
use super::service::text_of;
use super::table::Table;
use super::view::escaped;
use crate::access::audit::{Audit, BEGUN, Entry, Written};
use crate::access::tokens::{self, Tokens};
use crate::access::{Principal, Role};
use crate::app;
use crate::span::Span;

#[derive(Subcommand)]
pub enum Token {
    /// Make a token and print it. It is shown this once; the server keeps its SHA-256.
    #[command(after_help = "\
Roles, each of which may do what those before it may:
  client   scores, and reads what is registered
  author   registers transforms
  admin    everything else: views, rows, models, services, tokens, the audit log

Examples:
  tidemill token create ada --role admin --data-dir data    the first one, while the server is stopped
  tidemill token create ci --role author --expires 90d > ci.token")]
    Create {
        /// The name the audit log shows. It is never used again.
        name: String,
        /// client, author or admin.
        #[arg(long)]
        role: Role,
        /// From now, such as 12h or 90d; without it the token does not expire.
        #[arg(long, value_name = "SPAN", value_parser = super::audit::span)]
        expires: Option<Duration>,
        #[command(flatten)]
        at: Place,
    },
    /// List tokens: names, roles, and whether they are valid. Never the tokens themselves.
    List {
        #[command(flatten)]
        at: Place,
    },
    /// Refuse a token from now on.
    Revoke {
        name: String,
        #[command(flatten)]
        at: Place,
    },
}

/// A running server, or the data folder of one that is not.
#[derive(Args)]
pub struct Place {
    /// Work on this data folder directly; its server must be stopped.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArg,
}

impl Token {
    pub fn run(self) -> Result<()> {
        match self {
            Token::Create {
                name,
                role,
                expires,
                at,
            } => {
                let (token, until) = match at.data_dir {
                    Some(dir) => Folder::open(dir, true)?.create(&name, role, expires)?,
                    None => {
                        let mut wanted = json!({ "name": name, "role": role });
                        if let Some(span) = expires {
                            wanted["expires_in"] = json!(Span(span));
                        }
                        let made = at.server.client().post(
                            "/v1/tokens",
                            "application/json",
                            wanted.to_string().as_bytes(),
                        )?;
                        (
                            text_of(&made["token"]),
                            made["expires_at"].as_str().map(str::to_owned),
                        )
                    }
                };
                // The token alone on stdout, for `> file`.
                let until = until.map_or_else(String::new, |at| format!(", valid until {at}"));
                eprintln!("token {name}, role {role}{until}; it is shown this once:");
                println!("{token}");
            }
            Token::List { at } => {
                let answer = match at.data_dir {
                    Some(dir) => Folder::open(dir, false)?.list(),
                    None => at.server.client().get("/v1/tokens")?,
                };
                let mut table = Table::new(&[
                    "token", "role", "state", "created", "by", "expires", "revoked",
                ]);
                for token in answer["tokens"].as_array().into_iter().flatten() {
                    let moment = |name: &str| match token[name].as_str() {
                        Some(at) => super::audit::moment(at),
                        None => String::new(),
                    };
                    table.row([
                        text_of(&token["name"]),
                        text_of(&token["role"]),
                        text_of(&token["state"]),
                        moment("created_at"),
                        text_of(&token["created_by"]),
                        moment("expires_at"),
                        moment("revoked_at"),
                    ]);
                }
                print!("{table}");
            }
            Token::Revoke { name, at } => {
                match at.data_dir {
                    Some(dir) => Folder::open(dir, false)?.revoke(&name)?,
                    None => {
                        at.server
                            .client()
                            .delete(&format!("/v1/tokens/{}", escaped(&name)))?;
                    }
                }
                println!("token {name} is revoked");
            }
        }
        Ok(())
    }
}

/// A data folder whose server is not running. What is done to it stands in its audit log.
struct Folder {
    tokens: Tokens,
    audit: Audit,
}

impl Folder {
    /// A folder that is not there yet is made for the first token, and is a mistake otherwise.
    fn open(dir: PathBuf, make: bool) -> Result<Folder> {
        if !make && !dir.join("store").exists() {
            bail!(
                "{} is no data folder of Tidemill; a server's is its data_dir, ./data where nothing else is said",
                dir.display()
            );
        }
        let open = || -> crate::error::Result<Folder> {
            let db = app::open_db(&dir)?;
            Ok(Folder {
                tokens: Tokens::open(&db)?,
                audit: Audit::open(&dir.join("audit"), &db)?,
            })
        };
        open().with_context(|| {
            format!(
                "{} is not to be had; while its server runs, leave --data-dir out and send an admin's token \
                 (TIDEMILL_TOKEN) to it instead, or stop it first",
                dir.display()
            )
        })
    }

    fn create(
        &self,
        name: &str,
        role: Role,
        expires: Option<Duration>,
    ) -> Result<(String, Option<String>)> {
        let (token, secret) = self.recorded("token.create", name, || {
            let (token, secret) =
                self.tokens
                    .create(name, role, expires, &Principal::folder().name)?;
            let detail = token.grants();
            Ok(((token, secret), Some(detail)))
        })?;
        Ok((secret, token.expires_at.map(|at| at.to_string())))
    }

    fn revoke(&self, name: &str) -> Result<()> {
        self.recorded("token.revoke", name, || {
            self.tokens.revoke(name).map(|_| ((), None))
        })
    }

    fn list(&self) -> Value {
        let shown = |token: &Arc<tokens::Token>| {
            let mut shown = json!(**token);
            shown["state"] = json!(token.state());
            shown
        };
        let tokens: Vec<Value> = self.tokens.list().iter().map(shown).collect();
        json!({ "tokens": tokens })
    }

    /// Does something between its two lines of the audit log.
    fn recorded<T>(
        &self,
        action: &str,
        subject: &str,
        act: impl FnOnce() -> crate::error::Result<(T, Option<String>)>,
    ) -> Result<T> {
        let mut entry = Entry::new(&Principal::folder(), "local", action, subject);
        let mut begun = entry.clone();
        begun.outcome = BEGUN.to_owned();
        entry.begun = Some(wait(self.audit.begin(begun))?);
        let outcome = act();
        match &outcome {
            Ok((_, detail)) => entry.detail.clone_from(detail),
            Err(error) => {
                entry.outcome = "refused".to_owned();
                entry.detail = Some(error.to_string());
            }
        }
        wait(self.audit.end(entry))?;
        Ok(outcome?.0)
    }
}

fn wait(line: Written) -> Result<u64> {
    match line.blocking_recv() {
        Ok(Ok(seq)) => Ok(seq),
        Ok(Err(error)) => bail!("the audit log cannot be written: {error}"),
        Err(_) => bail!("the audit log cannot be written"),
    }
}
