//! `tidemill transform …`

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::author::{self, BuildOptions, Built};
use super::client::{Client, ServerArg};
use super::lifecycle;
use super::service::{print_retired, said, text_of};
use super::table::Table;
use crate::admission::diff::Diff;
use crate::admission::{self, Report};
use crate::error::Error;
use crate::offline::{self, json::write_row};
use crate::transform::sections::Sections;
use crate::transform::{self as engine, Description, Engine, Limits, source};

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
    /// Say what a version changes: of its columns, each change breaking or not, and how far its answers differ on the same
    /// generated rows.
    Diff {
        /// The older: name@version.
        old: String,
        /// The newer: name@version.
        new: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Unpack the source that a transform was built from, if it was built --with-source.
    Source {
        /// name@version, name@1 for the newest 1.x, or name for the newest.
        id: String,
        /// Where to unpack its folder, NAME-VERSION; here where absent.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List transforms.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show a transform's inputs and outputs, where it comes from, what its admission showed, and what it changed.
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
                let loaded = Engine::new(Limits::default(), None)?.load(&bytes)?;
                println!(
                    "{}, sha256:{}, {} bytes",
                    loaded.name(),
                    loaded.name().digest,
                    loaded.component_size()
                );
                describe(loaded.description());
                let component = engine::componentize(&bytes)?;
                if let Ok(sections) = Sections::of(&component)
                    && let Some(source) = sections.source()
                {
                    println!("source: {} bytes", source.len());
                }
                println!("\n{}", admission::admit(&loaded).map_err(told)?);
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
                    if let Ok(diff) = serde_json::from_value::<Diff>(shown["diff"].clone()) {
                        println!("{diff}");
                    }
                }
            }
            Transform::Diff { old, new, server } => {
                // A plus, of a version's build, is a space in a query.
                let old = old.replace('+', "%2B");
                let diff = server
                    .client()
                    .get(&format!("/v1/transforms/{new}/diff?against={old}"))?;
                println!("{}", serde_json::from_value::<Diff>(diff)?);
            }
            Transform::Source { id, out, server } => {
                let archive = server
                    .client()
                    .get_raw(&format!("/v1/transforms/{id}/source"))?;
                let folder = out.unwrap_or_else(|| PathBuf::from("."));
                let (files, root) = unpack(&archive, &folder)?;
                println!("{files} files in {}", root.display());
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
                let diff = serde_json::from_value::<Diff>(shown["diff"].clone());
                let source = shown["source_bytes"].as_u64();
                describe(&serde_json::from_value(shown)?);
                if let Some(bytes) = source {
                    println!("source: {bytes} bytes; `tidemill transform source {id}` unpacks it");
                }
                println!("\n{report}");
                if let Ok(diff) = diff {
                    println!("\n{diff}");
                }
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
    let report = admission::admit(&transform).map_err(told)?;
    eprintln!("{}: {report}", transform.name());
    let Some(file) = rows else {
        return Ok(());
    };
    let description = transform.description();
    let mut count = 0;
    for block in offline::open(file, &description.inputs)? {
        let block = block?;
        let report = admission::prove(&transform, &block).map_err(told)?;
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

/// A refusal with its report.
fn told(error: Error) -> anyhow::Error {
    let report = match &error {
        Error::Refused {
            report: Some(report),
            ..
        } => serde_json::from_value::<Report>(Value::clone(report)).ok(),
        _ => None,
    };
    match report {
        Some(report) => anyhow!("{error}\n{report}"),
        None => error.into(),
    }
}

/// Unpacks an archive of one folder below `folder`: how many files, and where they are.
fn unpack(archive: &[u8], folder: &Path) -> Result<(usize, PathBuf)> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Aside first: an archive that turns out to be damaged leaves nothing, and one that is well covers nothing up.
    let aside = tempfile::tempdir_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    let files = source::unpack(archive, aside.path())
        .map_err(|reason| anyhow!("the source is not unpacked: {reason}"))?;
    let mut root = folder.to_owned();
    for entry in std::fs::read_dir(aside.path())? {
        let entry = entry?;
        root = folder.join(entry.file_name());
        if root.exists() {
            bail!(
                "{} is there already; choose another folder with --out",
                root.display()
            );
        }
        std::fs::rename(entry.path(), &root)?;
    }
    Ok((files, root))
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
