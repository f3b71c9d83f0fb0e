//! `tidemill view …`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::client::{Client, ServerArg};
use super::lifecycle;
use super::service::{print_retired, text_of};
use super::table::Table;
use crate::offline::{self, json::write_row};

#[derive(Subcommand)]
pub enum View {
    /// Create a feature view from its file (TOML, or the same as .json). Of a view that is there, the next version: it may
    /// add nullable columns at the end and change docs.
    Create {
        file: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Load rows from a Parquet, CSV or NDJSON file. Columns are matched by name; others are passed over.
    Load {
        name: String,
        file: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show the newest row of a key.
    Get {
        name: String,
        /// The values of the key's columns, in the order of the view's key.
        #[arg(required = true)]
        key: Vec<String>,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List views, their versions, and how many entities each holds.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show a view's definition.
    Show {
        /// name@number, or name for the newest.
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Refuse a version to new services; those that have it keep it.
    Retire(lifecycle::Retire),
    /// Take a retirement back.
    Restore(lifecycle::Restore),
    /// Delete a version that nothing refers to. Its number is never given again. Rows belong to all versions of a view
    /// and go only with the last.
    Delete {
        /// One version, name@3.
        id: String,
        /// Delete the rows too: with the last version, where there are any, it must be said.
        #[arg(long)]
        rows: bool,
        #[command(flatten)]
        server: ServerArg,
    },
}

impl View {
    pub fn run(self) -> Result<()> {
        match self {
            View::Create { file, server } => {
                let id = create(&server.client(), &file)?;
                println!("view {id}");
            }
            View::Retire(retire) => retire.run("view")?,
            View::Restore(restore) => restore.run("view")?,
            View::Delete { id, rows, server } => {
                let query = if rows { "?rows=true" } else { "" };
                lifecycle::delete(&server, "view", &id, query)?;
            }
            View::Show { id, server } => {
                let shown = server.client().get(&format!("/v1/views/{id}"))?;
                println!("view {}@{}", text_of(&shown["name"]), shown["version"]);
                println!("{}", text_of(&shown["digest"]));
                println!("registered {}", text_of(&shown["registered_at"]));
                print_retired(&shown);
                println!("\n{}", toml::to_string(&definition(&shown)?)?);
            }
            View::Load { name, file, server } => {
                let (stored, outdated) = load(&server.client(), &name, &file)?;
                println!(
                    "{stored} rows stored, {outdated} passed over because a newer one of their key is there"
                );
            }
            View::Get { name, key, server } => {
                let client = server.client();
                let view = definition(&client.get(&format!("/v1/views/{name}"))?)?;
                if view.key.len() != key.len() {
                    bail!(
                        "the key of view {name} is ({}): give {} values",
                        view.key.join(", "),
                        view.key.len()
                    );
                }
                let pairs = view
                    .key
                    .iter()
                    .zip(&key)
                    .map(|(name, value)| format!("{name}={}", escaped(value)));
                let query = pairs.collect::<Vec<_>>().join("&");
                println!(
                    "{:#}",
                    client.get(&format!("/v1/views/{name}/row?{query}"))?
                );
            }
            View::List { server } => {
                let answer = server.client().get("/v1/views")?;
                let mut table = Table::new(&["view", "versions", "key", "entities", "doc"]);
                for view in answer["views"].as_array().into_iter().flatten() {
                    let key: Vec<String> = match view["key"].as_array() {
                        Some(names) => names.iter().map(text_of).collect(),
                        None => vec![text_of(&view["key"])],
                    };
                    let versions = view["versions"].as_array().into_iter().flatten();
                    let versions: Vec<String> = versions.map(text_of).collect();
                    table.row([
                        text_of(&view["name"]),
                        versions.join(", "),
                        key.join(", "),
                        view["entities"].to_string(),
                        text_of(&view["doc"]),
                    ]);
                }
                print!("{table}");
            }
        }
        Ok(())
    }
}

/// Creates the view of a definition file; answers its name and number.
pub fn create(client: &Client, file: &Path) -> Result<String> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    let view = client.post(
        "/v1/views",
        if json {
            "application/json"
        } else {
            "application/toml"
        },
        &text,
    )?;
    Ok(format!("{}@{}", text_of(&view["name"]), view["version"]))
}

/// The definition in what the server shows of a view.
fn definition(shown: &Value) -> Result<crate::view::View> {
    Ok(serde_json::from_value(shown["definition"].clone())?)
}

/// Loads a file's rows into a view; answers how many were stored and how many were outdated.
pub fn load(client: &Client, name: &str, file: &Path) -> Result<(u64, u64)> {
    let view = definition(&client.get(&format!("/v1/views/{name}"))?)?;
    let reader = offline::open(file, &view.columns)?;
    let bar = match reader.rows_hint() {
        Some(rows) => ProgressBar::new(rows),
        None => ProgressBar::no_length(),
    };
    bar.set_style(ProgressStyle::with_template(
        "{msg:24} {wide_bar} {human_pos} rows  {per_sec}",
    )?);
    bar.set_message(format!("loading {name}"));
    let (mut stored, mut outdated) = (0, 0);
    for block in reader {
        let block = block?;
        let mut lines = Vec::new();
        for row in 0..block.rows() {
            write_row(&block, &view.columns, row, &mut lines);
            lines.push(b'\n');
        }
        let answer = client.post(
            &format!("/v1/views/{name}/rows"),
            "application/x-ndjson",
            &lines,
        )?;
        stored += answer["stored"].as_u64().unwrap_or(0);
        outdated += answer["outdated"].as_u64().unwrap_or(0);
        bar.inc(block.rows() as u64);
    }
    bar.finish_and_clear();
    Ok((stored, outdated))
}

/// A value as it may stand in a query.
pub fn escaped(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
