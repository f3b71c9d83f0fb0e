//! `tidemill transform …`

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::author::{self, BuildOptions, Built};
use super::client::{Client, ServerArg};
use super::service::text_of;
use super::table::Table;
use crate::block::Block;
use crate::offline::{self, json::write_row};
use crate::transform::{self as engine, Description, Engine, Limits};

#[derive(Subcommand)]
pub enum Transform {
    /// Write a project that builds, tests and registers as it stands.
    New {
        /// Lower-case letters, digits and hyphens; also the folder's name.
        name: String,
        /// Where to write it, instead of ./NAME.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// The folder of tidemill-sdk; the one this program was built beside where absent.
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Compile a project to a component. Adds the Wasm target where it is missing, and says so.
    Build(Project),
    /// Say what a component declares, or why it would be refused.
    Check {
        /// A .wasm file: a component, or the core module that becomes one.
        file: PathBuf,
    },
    /// Run a project's own tests, build it, and run rows through the component fresh, warm and one by one: the answers
    /// must have the same bits.
    Test {
        #[command(flatten)]
        project: Project,
        /// Rows to run: Parquet, CSV or NDJSON, columns matched by name. The answers are printed as NDJSON.
        #[arg(long, value_name = "FILE")]
        rows: Option<PathBuf>,
    },
    /// Register a component. A version never changes: other bytes under the same version are refused.
    Register {
        /// A .wasm file, or a project's folder, which is built first; here where absent.
        #[arg(default_value = ".")]
        path: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List transforms.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show a transform's inputs and outputs.
    Show {
        /// name@version, name@1 for the newest 1.x, or name for the newest.
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
}

#[derive(Args)]
pub struct Project {
    /// The project's folder.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Build the project's examples, each a transform of its own, instead of its library.
    #[arg(long)]
    examples: bool,
    /// Where to build; the components are in its folder `components`. PATH/target/tidemill where absent.
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
}

impl Transform {
    pub fn run(self) -> Result<()> {
        match self {
            Transform::New { name, dir, sdk } => {
                let dir = dir.unwrap_or_else(|| PathBuf::from(&name));
                author::new_project(&dir, &name, &sdk.unwrap_or_else(own_sdk))?;
                let at = dir.display();
                println!("{at}/src/lib.rs is your transform. Next:\n  cd {at}\n  cargo test");
                println!("  tidemill transform build\n  tidemill transform register");
            }
            Transform::Build(project) => {
                project.build()?;
            }
            Transform::Check { file } => {
                let bytes = std::fs::read(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let loaded =
                    Engine::new(Limits::default(), None)?.load(&engine::componentize(&bytes)?)?;
                println!(
                    "{}, sha256:{}, {} bytes",
                    loaded.name(),
                    loaded.name().digest,
                    loaded.component_size()
                );
                describe(loaded.description());
            }
            Transform::Test { project, rows } => {
                println!("$ cargo test");
                let manifest = project.manifest();
                let status = Command::new("cargo")
                    .args(["test", "--manifest-path"])
                    .arg(&manifest)
                    .status()?;
                if !status.success() {
                    bail!("the project's own tests fail");
                }
                for built in project.build()? {
                    try_component(&built, rows.as_deref())?;
                }
            }
            Transform::Register { path, server } => {
                let client = server.client();
                let files = match path.is_dir() {
                    true => Project {
                        path,
                        examples: false,
                        target_dir: None,
                    }
                    .build()?
                    .into_iter()
                    .map(|built| built.path)
                    .collect(),
                    false => vec![path],
                };
                for file in files {
                    let shown = register(&client, &file)?;
                    let id = format!("{}@{}", text_of(&shown["name"]), text_of(&shown["version"]));
                    println!("transform {id}  {}", text_of(&shown["digest"]));
                }
            }
            Transform::List { server } => {
                let answer = server.client().get("/v1/transforms")?;
                let mut table = Table::new(&["transform", "digest", "registered", "doc"]);
                for transform in answer["transforms"].as_array().into_iter().flatten() {
                    let id = format!(
                        "{}@{}",
                        text_of(&transform["name"]),
                        text_of(&transform["version"])
                    );
                    let digest: String = text_of(&transform["digest"]).chars().take(19).collect();
                    table.row([
                        id,
                        digest,
                        text_of(&transform["registered_at"]),
                        first_line(&text_of(&transform["doc"])),
                    ]);
                }
                print!("{table}");
            }
            Transform::Show { id, server } => {
                let shown = server.client().get(&format!("/v1/transforms/{id}"))?;
                println!("{}@{}", text_of(&shown["name"]), text_of(&shown["version"]));
                println!("{}, {} bytes", text_of(&shown["digest"]), shown["size"]);
                println!("registered {}", text_of(&shown["registered_at"]));
                describe(&serde_json::from_value(shown)?);
            }
        }
        Ok(())
    }
}

impl Project {
    fn manifest(&self) -> PathBuf {
        self.path.join("Cargo.toml")
    }

    fn build(&self) -> Result<Vec<Built>> {
        let options = BuildOptions {
            manifest_path: self.manifest(),
            packages: Vec::new(),
            examples: self.examples,
            target_dir: self
                .target_dir
                .clone()
                .unwrap_or_else(|| self.path.join("target/tidemill")),
            quiet: false,
        };
        author::build(&options, &mut |line| println!("{line}"))
    }
}

/// Uploads a `.wasm` file.
pub fn register(client: &Client, file: &Path) -> Result<Value> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    client.post("/v1/transforms", "application/wasm", &bytes)
}

/// Runs rows through a component in every way the host may, and compares the bits.
fn try_component(built: &Built, rows: Option<&Path>) -> Result<()> {
    let bytes = std::fs::read(&built.path)?;
    let transform = Engine::new(Limits::default(), None)?.load(&bytes)?;
    let description = transform.description();
    let blocks: Vec<Block> = match rows {
        Some(file) => {
            offline::open(file, &description.inputs)?.collect::<crate::error::Result<_>>()?
        }
        None => vec![Block::nulls(&description.inputs, 3)],
    };
    let (mut count, mut refused, mut fuel) = (0, 0, 0);
    for block in &blocks {
        let fresh = transform.call_fresh(block)?;
        let warm = transform.call(block)?;
        let mut single = Vec::new();
        for row in 0..block.rows() {
            single.push(
                transform
                    .call(&block.slice(&description.inputs, row..row + 1))?
                    .rows,
            );
        }
        let single = Block::concat(&description.outputs, &single);
        for (how, other) in [("warm", &warm.rows), ("one by one", &single)] {
            if let Some((row, field)) = fresh.rows.first_difference(other, &description.outputs) {
                let name = &description.outputs.field(field).name;
                bail!(
                    "row {row}, \"{name}\": the bits differ between a fresh instance and {how}; is there state in it?"
                );
            }
        }
        for row in 0..if rows.is_some() { block.rows() } else { 0 } {
            let mut line = Vec::new();
            write_row(&fresh.rows, &description.outputs, row, &mut line);
            println!("{}", String::from_utf8_lossy(&line));
        }
        for refusal in &fresh.refusals {
            eprintln!("row {} refused: {}", count + refusal.row, refusal.message);
        }
        count += block.rows();
        refused += fresh.refusals.len();
        fuel += fresh.fuel;
    }
    let per_row = fuel / count.max(1) as u64;
    eprintln!(
        "{count} rows fresh, warm and one by one: the same bits; {refused} refused; {per_row} fuel a row"
    );
    Ok(())
}

fn describe(description: &Description) {
    println!("\n{}\n", description.doc);
    let mut table = Table::new(&["", "name", "type", "null", "range", "doc"]);
    for (kind, schema) in [("in", &description.inputs), ("out", &description.outputs)] {
        for field in schema.fields() {
            let bound = |bound: Option<f64>| {
                bound.map_or_else(|| "…".to_owned(), |bound| bound.to_string())
            };
            let range = match (field.minimum, field.maximum) {
                (None, None) => String::new(),
                (low, high) => format!("{} to {}", bound(low), bound(high)),
            };
            let null = if field.nullable { "may be" } else { "" };
            let cells = [
                kind.to_owned(),
                field.name.clone(),
                field.data_type.to_string(),
                null.to_owned(),
            ];
            let [kind, name, data_type, null] = cells;
            table.row([kind, name, data_type, null, range, first_line(&field.doc)]);
        }
    }
    print!("{table}");
    for (name, value) in &description.provenance {
        println!("{name}: {value}");
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").to_owned()
}

/// The SDK in the checkout this program was built from.
fn own_sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk")
}
