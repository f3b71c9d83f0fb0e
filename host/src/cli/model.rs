//! `tidemill model …`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;

use super::client::{Client, ServerArg};
use super::lifecycle;
use super::service::{print_retired, said, text_of};
use super::table::Table;

#[derive(Subcommand)]
pub enum Model {
    /// Register an ONNX file, with the manifest beside it that says which feature goes where.
    Register {
        file: PathBuf,
        /// The manifest; FILE with the extension .json where absent.
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
        /// Test vectors: inputs, and the outputs of the framework that trained the model. Where the model differs from
        /// them here, it is refused.
        #[arg(long, value_name = "FILE")]
        vectors: Option<PathBuf>,
        /// The registered training set that it was trained on, such as flights-2013@1, where the manifest does not say so.
        #[arg(long, value_name = "NAME@NUMBER")]
        training_set: Option<String>,
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
    /// Refuse a version to new services; those that have it keep it.
    Retire(lifecycle::Retire),
    /// Take a retirement back.
    Restore(lifecycle::Restore),
    /// Delete a version that nothing refers to. Its number is never given again.
    Delete(lifecycle::Delete),
}

impl Model {
    pub fn run(self) -> Result<()> {
        match self {
            Model::Register {
                file,
                manifest,
                vectors,
                training_set,
                server,
            } => {
                let shown = register(
                    &server.client(),
                    &file,
                    manifest.as_deref(),
                    vectors.as_deref(),
                    training_set.as_deref(),
                )?;
                println!(
                    "model {}@{}  {}",
                    text_of(&shown["name"]),
                    shown["version"],
                    text_of(&shown["digest"])
                );
            }
            Model::Retire(retire) => retire.run("model")?,
            Model::Restore(restore) => restore.run("model")?,
            Model::Delete(delete) => delete.run("model")?,
            Model::Show { id, server } => show(&server.client().get(&format!("/v1/models/{id}"))?)?,
            Model::List { server } => {
                let answer = server.client().get("/v1/models")?;
                let mut table = Table::new(&["model", "registered", "retired", "description"]);
                for model in answer["models"].as_array().into_iter().flatten() {
                    let id = format!("{}@{}", text_of(&model["name"]), model["version"]);
                    table.row([
                        id,
                        text_of(&model["registered_at"]),
                        said(&model["retired"], "retired"),
                        text_of(&model["description"]),
                    ]);
                }
                print!("{table}");
            }
        }
        Ok(())
    }
}

/// Registers an ONNX file with its manifest and, if there are any, its test vectors.
pub fn register(
    client: &Client,
    file: &Path,
    manifest: Option<&Path>,
    vectors: Option<&Path>,
    training_set: Option<&str>,
) -> Result<Value> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let onnx = read(file)?;
    let beside = file.with_extension("json");
    let manifest = read(manifest.unwrap_or(&beside))
        .context("the manifest says which feature goes where; name it with --manifest")?;
    let manifest = match training_set {
        Some(set) => remembering(&manifest, set)?,
        None => manifest,
    };
    let vectors = vectors.map(read).transpose()?;
    let mut parts = vec![("model", &onnx[..]), ("manifest", &manifest[..])];
    parts.extend(vectors.as_deref().map(|vectors| ("vectors", vectors)));
    client.post_parts("/v1/models", &parts)
}

/// A manifest that names the training set.
fn remembering(manifest: &[u8], set: &str) -> Result<Vec<u8>> {
    let mut manifest: Value =
        serde_json::from_slice(manifest).context("the manifest is no JSON")?;
    match manifest["training_set"].as_str() {
        Some(other) if other != set => {
            bail!(
                "the manifest says that the training set is {other}, and --training-set says {set}"
            )
        }
        _ => {}
    }
    let Some(object) = manifest.as_object_mut() else {
        bail!("the manifest is no JSON object");
    };
    object.insert("training_set".to_owned(), set.into());
    Ok(serde_json::to_vec(&manifest)?)
}

fn show(shown: &Value) -> Result<()> {
    println!("model {}@{}", text_of(&shown["name"]), shown["version"]);
    println!("registered {}", text_of(&shown["registered_at"]));
    print_retired(shown);
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
    for (output, labels) in facts["class_labels"].as_object().into_iter().flatten() {
        let labels = labels.as_array().into_iter().flatten().map(text_of);
        println!(
            "classes of {output}: {}",
            labels.collect::<Vec<_>>().join(", ")
        );
    }
    if facts["trees"] != 0 {
        println!("{} trees of {} nodes", facts["trees"], facts["tree_nodes"]);
    }
    match facts["row_nanos"].as_f64() {
        Some(nanos) => println!(
            "run by {}, {:.1} µs of CPU for one row",
            text_of(&facts["engine"]),
            nanos / 1e3
        ),
        None => println!("run by {}", text_of(&facts["engine"])),
    }
    if let Some(parity) = shown["parity"].as_object() {
        println!(
            "test vectors: {} values of {} rows, the worst {} off (at most {})",
            parity["values"], parity["rows"], parity["worst"], parity["tolerance"]
        );
    }
    println!("\nmanifest\n{:#}", shown["manifest"]);
    Ok(())
}
