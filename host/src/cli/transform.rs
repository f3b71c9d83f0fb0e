//! `tidemill transform …`

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::author::{self, BuildOptions, Built};
use super::client::{Client, ServerArg};
use super::lifecycle;
use super::service::{print_retired, said, text_of};
use super::table::Table;
use crate::admission::{self, Report};
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
    /// Run a project's own tests, build it, and run generated rows through the component in every way the host may, as a
    /// registration does: the answers must have the same bits.
    Test {
        #[command(flatten)]
        project: Project,
        /// Rows to run as well: Parquet, CSV or NDJSON, columns matched by name. The answers are printed as NDJSON.
        #[arg(long, value_name = "FILE")]
        rows: Option<PathBuf>,
    },
    /// Register a component. A version never changes: other bytes under the same version are refused.
    Register {
        /// A .wasm file, or a project's folder, which is built first; here where absent.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Of a project that is built: put its files into the component.
        #[arg(long)]
        with_source: bool,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List transforms.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show a transform's inputs and outputs, and what its admission showed.
    Show {
        /// name@version, name@1 for the newest 1.x, or name for the newest.
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Refuse a version to new services; those that have it keep it.
    Retire(lifecycle::Retire),
    /// Take a retirement back.
    Restore(lifecycle::Restore),
    /// Delete a version that nothing refers to. The version is never given to other bytes.
    Delete(lifecycle::Delete),
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
    /// Put the project's files into the component, so that whoever has it can read what it does: what git tracks or
    /// would, never what .gitignore names. The same: `[package.metadata.tidemill] source = true` in Cargo.toml.
    #[arg(long)]
    with_source: bool,
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
                println!("\n{}", admission::admit(&loaded)?);
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
            Transform::Register {
                path,
                with_source,
                server,
            } => {
                let client = server.client();
                let files = match path.is_dir() {
                    true => Project {
                        path,
                        examples: false,
                        target_dir: None,
                        with_source,
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
                let mut table =
                    Table::new(&["transform", "digest", "registered", "retired", "doc"]);
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
                        said(&transform["retired"], "retired"),
                        first_line(&text_of(&transform["doc"])),
                    ]);
                }
                print!("{table}");
            }
            Transform::Retire(retire) => retire.run("transform")?,
            Transform::Restore(restore) => restore.run("transform")?,
            Transform::Delete(delete) => delete.run("transform")?,
            Transform::Show { id, server } => {
                let shown = server.client().get(&format!("/v1/transforms/{id}"))?;
                println!("{}@{}", text_of(&shown["name"]), text_of(&shown["version"]));
                println!("{}, {} bytes", text_of(&shown["digest"]), shown["size"]);
                println!("registered {}", text_of(&shown["registered_at"]));
                print_retired(&shown);
                let report: Report = serde_json::from_value(shown["admission"].clone())?;
                describe(&serde_json::from_value(shown)?);
                println!("\n{report}");
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
            with_source: self.with_source,
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

/// Runs generated rows, and those of a file, through a component in every way the host may. Prints what it answers to
/// the file's.
fn try_component(built: &Built, rows: Option<&Path>) -> Result<()> {
    let transform = Engine::new(Limits::default(), None)?.load(&std::fs::read(&built.path)?)?;
    eprintln!("{}: {}", transform.name(), admission::admit(&transform)?);
    let Some(file) = rows else {
        return Ok(());
    };
    let description = transform.description();
    let mut count = 0;
    for block in offline::open(file, &description.inputs)? {
        let block = block?;
        let report = admission::prove(&transform, &block)?;
        let answer = transform.call(&block)?;
        for row in 0..block.rows() {
            let mut line = Vec::new();
            write_row(&answer.rows, &description.outputs, row, &mut line);
            println!("{}", String::from_utf8_lossy(&line));
        }
        for refusal in &answer.refusals {
            eprintln!("row {} refused: {}", count + refusal.row, refusal.message);
        }
        eprintln!("{}: {report}", file.display());
        count += block.rows();
    }
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
