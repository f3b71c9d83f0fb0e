//! `tidemill service …`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::ServerArg;
use super::compare;
use super::lifecycle;
use super::rollout::{self, last_change, words};
use super::table::Table;
use super::view::escaped;
use crate::service::Definition;

#[derive(Subcommand)]
pub enum Service {
    /// Register a service file (TOML, or the same as .json). A change makes the next version.
    Register {
        file: PathBuf,
        /// Point the alias stable at it at once: the bare name means it from then on.
        #[arg(long)]
        promote: bool,
        /// Register it although its model was trained with other transforms or another vector. The reason stands in the
        /// version, its lineage and the audit log for ever.
        #[arg(long, value_name = "REASON")]
        force: Option<String>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show what a service version pins, wants and answers.
    Show {
        /// name@3, name@alias, or name: what the alias stable points at, without one the newest.
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Write a service with all that it is made of to one file, from which `tidemill replay` runs anywhere.
    Export {
        /// `name`, `name@3` or `name@alias`.
        id: String,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Print a service's plan: what runs at the same time, what waits for what, the longest chain.
    Plan {
        /// `name`, `name@3` or `name@alias`.
        id: String,
        #[arg(long, value_enum, default_value = "text")]
        format: PlanFormat,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List services, and where their aliases point.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
    /// Point an alias at a version. Requests in flight finish on the version they began with.
    Promote(rollout::Promote),
    /// Run another version on what an alias has answered, for the feature log alone.
    Shadow(rollout::Shadow),
    /// Let another version answer a share of the entities in an alias' place.
    Canary(rollout::Canary),
    /// Compare what two versions made of the same requests, or of their own, from the feature log.
    Compare(compare::Compare),
    /// Give an alias the settings it had before its last change. Twice goes further back, not back and forth.
    Rollback {
        name: String,
        /// The alias to move back.
        #[arg(long, default_value = "stable", value_name = "NAME")]
        alias: String,
        /// Why; it stands in the alias' history.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show where a service's aliases point and everywhere they ever did.
    Aliases {
        name: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Refuse a version to new aliases; those that have it keep it.
    Retire(lifecycle::Retire),
    /// Take a retirement back.
    Restore(lifecycle::Restore),
    /// Delete a version that nothing refers to. Its number is never given again.
    Delete(lifecycle::Delete),
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum PlanFormat {
    Text,
    /// A Mermaid graph, for documents.
    Mermaid,
    Json,
}

impl Service {
    pub fn run(self) -> Result<()> {
        match self {
            Service::Register {
                file,
                promote,
                force,
                server,
            } => {
                let text = std::fs::read(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let json = file
                    .extension()
                    .is_some_and(|extension| extension == "json");
                let kind = if json {
                    "application/json"
                } else {
                    "application/toml"
                };
                let client = server.client();
                let path = match &force {
                    Some(reason) => format!("/v1/services?forced={}", escaped(reason)),
                    None => "/v1/services".to_owned(),
                };
                let shown = client.post(&path, kind, &text)?;
                println!(
                    "service {}, version {}",
                    text_of(&shown["name"]),
                    shown["version"]
                );
                show_pins(&shown);
                print_forced(&shown);
                if promote {
                    let version = shown["version"].as_u64().context("a version")?;
                    let (name, reason) = (text_of(&shown["name"]), "as it was registered");
                    let moved = rollout::promoted(&client, &name, version, "stable", Some(reason))?;
                    println!("  {}", last_change(&moved));
                }
            }
            Service::Retire(retire) => retire.run("service")?,
            Service::Restore(restore) => restore.run("service")?,
            Service::Delete(delete) => delete.run("service")?,
            Service::Promote(promote) => promote.run()?,
            Service::Shadow(shadow) => shadow.run()?,
            Service::Canary(canary) => canary.run()?,
            Service::Compare(compare) => compare.run()?,
            Service::Rollback {
                name,
                alias,
                reason,
                server,
            } => {
                let path = format!("/v1/services/{name}/aliases/{alias}/rollback");
                let body = json!({ "reason": reason }).to_string();
                let client = server.client();
                let moved = client.post(&path, "application/json", body.as_bytes())?;
                println!("{}", last_change(&moved));
            }
            Service::Aliases { name, server } => {
                let answer = server
                    .client()
                    .get(&format!("/v1/services/{name}/aliases"))?;
                show_aliases(&answer);
            }
            Service::Show { id, server } => {
                let shown = server.client().get(&format!("/v1/services/{id}"))?;
                println!(
                    "service {}, version {}",
                    text_of(&shown["name"]),
                    shown["version"]
                );
                println!("registered {}", text_of(&shown["registered_at"]));
                let aliases = shown["aliases"].as_array().into_iter().flatten();
                let aliases: Vec<String> = aliases.map(text_of).collect();
                if !aliases.is_empty() {
                    println!("aliases {}", aliases.join(", "));
                }
                print_retired(&shown);
                print_forced(&shown);
                show_pins(&shown);
                let mut table = Table::new(&["feature", "type", "null"]);
                for field in shown["features"].as_array().into_iter().flatten() {
                    let null = if field["nullable"] == Value::Bool(true) {
                        "may be"
                    } else {
                        ""
                    };
                    table.row([
                        text_of(&field["name"]),
                        text_of(&field["type"]),
                        null.to_owned(),
                    ]);
                }
                print!("\n{table}");
                let definition: Definition = serde_json::from_value(shown["definition"].clone())?;
                println!("\n{}", toml::to_string(&definition)?);
            }
            Service::Export { id, out, server } => {
                let tar = server
                    .client()
                    .get_raw(&format!("/v1/services/{id}/bundle"))?;
                std::fs::write(&out, &tar)
                    .with_context(|| format!("cannot write {}", out.display()))?;
                println!("{id} in {} ({} bytes)", out.display(), tar.len());
            }
            Service::Plan { id, format, server } => {
                let format = match format {
                    PlanFormat::Text => "text",
                    PlanFormat::Mermaid => "mermaid",
                    PlanFormat::Json => "json",
                };
                let path = format!("/v1/services/{id}/plan?format={format}");
                print!(
                    "{}",
                    String::from_utf8_lossy(&server.client().get_raw(&path)?)
                );
            }
            Service::List { server } => {
                let answer = server.client().get("/v1/services")?;
                let mut table = Table::new(&["service", "versions", "aliases", "doc"]);
                for service in answer["services"].as_array().into_iter().flatten() {
                    let aliases = service["aliases"].as_object().into_iter().flatten();
                    let aliases: Vec<String> = aliases
                        .map(|(alias, version)| format!("{alias} → {version}"))
                        .collect();
                    table.row([
                        text_of(&service["name"]),
                        service["versions"].to_string(),
                        aliases.join(", "),
                        text_of(&service["doc"]),
                    ]);
                }
                print!("{table}");
            }
        }
        Ok(())
    }
}

fn show_pins(shown: &Value) {
    let pins = &shown["pins"];
    let model = pins["model"].as_object().map(|_| &pins["model"]);
    let pinned = ["views", "transforms"].map(|kind| pins[kind].as_array());
    for pin in pinned.into_iter().flatten().flatten().chain(model) {
        println!(
            "  pins {}  sha256:{}",
            text_of(&pin["id"]),
            text_of(&pin["digest"])
        );
    }
}

fn show_aliases(answer: &Value) {
    let aliases = answer["aliases"].as_array().map_or(&[][..], Vec::as_slice);
    if aliases.is_empty() {
        let name = text_of(&answer["service"]);
        println!("service {name} has no alias; its bare name means its newest version");
        return;
    }
    let mut table = Table::new(&["alias", "version", "since", "by"]);
    for alias in aliases {
        let last = alias["history"].as_array().and_then(|all| all.last());
        let last = last.unwrap_or(&Value::Null);
        table.row([
            text_of(&alias["alias"]),
            words(&alias["settings"]),
            text_of(&last["at"]),
            text_of(&last["by"]),
        ]);
    }
    print!("{table}");
    for alias in aliases {
        println!("\n{}", text_of(&alias["alias"]));
        let mut table = Table::new(&["at", "by", "from", "to", "", "reason"]);
        for change in alias["history"].as_array().into_iter().flatten() {
            table.row([
                text_of(&change["at"]),
                text_of(&change["by"]),
                words(&change["from"]),
                words(&change["to"]),
                said(&change["rollback"], "rollback"),
                change["reason"].as_str().unwrap_or("").to_owned(),
            ]);
        }
        print!("{table}");
    }
}

/// The word, if it is true.
pub fn said(value: &Value, word: &str) -> String {
    match value {
        Value::Bool(true) => word.to_owned(),
        _ => String::new(),
    }
}

/// When, by whom and why a version was retired, if it was.
pub fn print_retired(shown: &Value) {
    let retired = &shown["retired"];
    if retired.is_object() {
        let (at, by) = (text_of(&retired["at"]), text_of(&retired["by"]));
        let reason = retired["reason"].as_str().unwrap_or("no reason was given");
        println!("retired {at} by {by}: {reason}");
    }
}

/// By whom and why a service was registered although its model was trained on something else, and in what they differ.
fn print_forced(shown: &Value) {
    let forced = &shown["forced"];
    if forced.is_object() {
        println!(
            "forced against training set {} {} by {}: {}",
            text_of(&forced["training_set"]),
            text_of(&forced["at"]),
            text_of(&forced["by"]),
            text_of(&forced["reason"])
        );
        for difference in forced["differences"].as_array().into_iter().flatten() {
            println!("  differs: {}", text_of(difference));
        }
    }
}

/// A JSON text without its quotes; anything else as it is written.
pub fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
