//! `retire`, `restore` and `delete`, the same under every kind.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::client::ServerArg;
use super::service::text_of;

#[derive(Args)]
pub struct Retire {
    /// One version: name@1.0.0 of a transform, name@3 of anything else.
    id: String,
    /// Why; whoever is refused is told.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
pub struct Restore {
    /// One version.
    id: String,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Args)]
pub struct Delete {
    /// One version: name@1.0.0 of a transform, name@3 of anything else.
    id: String,
    #[command(flatten)]
    server: ServerArg,
}

impl Retire {
    pub fn run(self, kind: &str) -> Result<()> {
        let body = json!({ "reason": self.reason }).to_string();
        let path = format!("/v1/{kind}s/{}/retire", self.id);
        let client = self.server.client();
        let answer = client.post(&path, "application/json", body.as_bytes())?;
        println!("{kind} {} is retired", text_of(&answer["id"]));
        Ok(())
    }
}

impl Restore {
    pub fn run(self, kind: &str) -> Result<()> {
        let path = format!("/v1/{kind}s/{}/restore", self.id);
        let answer = self.server.client().post(&path, "application/json", b"")?;
        println!(
            "{kind} {} is there for new users again",
            text_of(&answer["id"])
        );
        Ok(())
    }
}

impl Delete {
    pub fn run(self, kind: &str) -> Result<()> {
        delete(&self.server, kind, &self.id, "")
    }
}

/// Deletes a version; `query` may say what goes with it.
pub fn delete(server: &ServerArg, kind: &str, id: &str, query: &str) -> Result<()> {
    let answer = server
        .client()
        .delete(&format!("/v1/{kind}s/{id}{query}"))?;
    println!("{kind} {} is deleted", text_of(&answer["id"]));
    Ok(())
}
