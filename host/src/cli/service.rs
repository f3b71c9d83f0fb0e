//! `tidemill service …`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::Value;

use super::client::ServerArg;
use super::table::Table;
use crate::service::Definition;

#[derive(Subcommand)]
pub enum Service {
    /// Register a service file (TOML, or the same as .json). A change makes the next version.
    Register {
        file: PathBuf,
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
    /// Print a service's plan: what runs at the same time, what waits for what, the longest chain.
    Plan {
        /// `name`, `name@3` or `name@alias`.
        id: String,
        #[arg(long, value_enum, default_value = "text")]
        format: PlanFormat,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List services.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
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
            Service::Register { file, server } => {
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
                let shown = server.client().post("/v1/services", kind, &text)?;
                println!(
                    "service {}, version {}",
                    text_of(&shown["name"]),
                    shown["version"]
                );
                show_pins(&shown);
            }
            Service::Show { id, server } => {
                let shown = server.client().get(&format!("/v1/services/{id}"))?;
                println!(
                    "service {}, version {}",
                    text_of(&shown["name"]),
                    shown["version"]
                );
                println!("registered {}", text_of(&shown["registered_at"]));
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
                let mut table = Table::new(&["service", "versions", "doc"]);
                for service in answer["services"].as_array().into_iter().flatten() {
                    table.row([
                        text_of(&service["name"]),
                        service["versions"].to_string(),
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
    let model = shown["pins"]["model"]
        .as_object()
        .map(|_| &shown["pins"]["model"]);
    for pin in shown["pins"]["transforms"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(model)
    {
        println!(
            "  pins {}  sha256:{}",
            text_of(&pin["id"]),
            text_of(&pin["digest"])
        );
    }
}

/// A JSON text without its quotes; anything else as it is written.
pub fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
