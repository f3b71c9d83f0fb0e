//! `tidemill model …`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::Value;

use super::client::{Client, ServerArg};
use super::service::text_of;
use super::table::Table;

#[derive(Subcommand)]
pub enum Model {
    /// Register an ONNX file, with the manifest beside it that says which feature goes where.
    Register {
        file: PathBuf,
        /// The manifest; FILE with the extension .json where absent.
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show a model's inputs, outputs, operators and manifest.
    Show {
        /// name@number, or name for the newest.
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List models.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
}

impl Model {
    pub fn run(self) -> Result<()> {
        match self {
            Model::Register {
                file,
                manifest,
                server,
            } => {
                let shown = register(&server.client(), &file, manifest.as_deref())?;
                println!(
                    "model {}@{}  {}",
                    text_of(&shown["name"]),
                    shown["version"],
                    text_of(&shown["digest"])
                );
            }
            Model::Show { id, server } => show(&server.client().get(&format!("/v1/models/{id}"))?)?,
            Model::List { server } => {
                let answer = server.client().get("/v1/models")?;
                let mut table = Table::new(&["model", "registered", "description"]);
                for model in answer["models"].as_array().into_iter().flatten() {
                    let id = format!("{}@{}", text_of(&model["name"]), model["version"]);
                    table.row([
                        id,
                        text_of(&model["registered_at"]),
                        text_of(&model["description"]),
                    ]);
                }
                print!("{table}");
            }
        }
        Ok(())
    }
}

/// Registers an ONNX file with its manifest.
pub fn register(client: &Client, file: &Path, manifest: Option<&Path>) -> Result<Value> {
    let onnx = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let beside = file.with_extension("json");
    let manifest = manifest.unwrap_or(&beside);
    let manifest = std::fs::read(manifest).with_context(|| {
        format!("cannot read the manifest {}, which says which feature goes where; name it with --manifest", manifest.display())
    })?;
    client.post_parts("/v1/models", &[("model", &onnx), ("manifest", &manifest)])
}

fn show(shown: &Value) -> Result<()> {
    println!("model {}@{}", text_of(&shown["name"]), shown["version"]);
    println!("registered {}", text_of(&shown["registered_at"]));
    println!(
        "{}, {} bytes",
        text_of(&shown["digest"]),
        shown["facts"]["bytes"]
    );
    let mut table = Table::new(&["", "name", "type", "columns"]);
    for (kind, side) in [("input", "inputs"), ("output", "outputs")] {
        for tensor in shown["facts"][side].as_array().into_iter().flatten() {
            let cells = [
                kind.to_owned(),
                text_of(&tensor["name"]),
                text_of(&tensor["type"]),
                tensor["columns"].to_string(),
            ];
            table.row(cells);
        }
    }
    print!("\n{table}\n");
    for (operator, count) in shown["facts"]["operators"]
        .as_object()
        .into_iter()
        .flatten()
    {
        println!("{count} × {operator}");
    }
    let facts = &shown["facts"];
    if facts["trees"] != 0 {
        println!("{} trees of {} nodes", facts["trees"], facts["tree_nodes"]);
    }
    println!("run by: {}", text_of(&facts["engine"]));
    println!("\nmanifest\n{:#}", shown["manifest"]);
    Ok(())
}
