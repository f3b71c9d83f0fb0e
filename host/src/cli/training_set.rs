//! `tidemill training-set …`

mod build;
pub mod register;
pub mod show;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;

use super::client::ServerArg;
use super::service::{said, text_of};
use super::table::Table;
use crate::training::diff::diff;

#[derive(Subcommand)]
pub enum TrainingSet {
    /// Make a training set: from past events, joined with the views as they stood; or from the feature log, as it was served
    /// or recomputed by another version. With labels beside the rows.
    Build(Box<build::Build>),
    /// Register a set that was built with --no-register.
    Register {
        /// Its folder, with manifest.json and the files that it names.
        folder: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show what a set was made from, and the statistics of its columns.
    Show {
        /// name@number, or name for the newest.
        id: String,
        /// As JSON, with histograms and the most frequent values.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List training sets.
    List {
        #[command(flatten)]
        server: ServerArg,
    },
    /// Compare two sets of Parquet files column by column, bit by bit: training sets, or the feature log. Ends with 1 where
    /// they differ.
    Diff {
        /// A folder or a file.
        left: PathBuf,
        right: PathBuf,
        /// The columns that tell rows apart, such as request.flight_id.
        #[arg(long, required = true, value_delimiter = ',')]
        key: Vec<String>,
        /// Only these columns, and those below them: weather, delay.minutes_late.
        #[arg(long, value_delimiter = ',')]
        columns: Vec<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl TrainingSet {
    pub fn run(self) -> Result<()> {
        match self {
            TrainingSet::Build(build) => build.run(),
            TrainingSet::Register { folder, server } => {
                register::from_folder(&server.client(), &folder)
            }
            TrainingSet::Show { id, json, server } => show::show(&server.client(), &id, json),
            TrainingSet::List { server } => {
                let answer = server.client().get("/v1/training-sets")?;
                let mut table =
                    Table::new(&["training set", "service", "rows", "registered", "retired"]);
                for set in answer["training_sets"].as_array().into_iter().flatten() {
                    table.row([
                        format!("{}@{}", text_of(&set["name"]), set["version"]),
                        text_of(&set["service"]),
                        set["rows"].to_string(),
                        text_of(&set["registered_at"]),
                        said(&set["retired"], "retired"),
                    ]);
                }
                print!("{table}");
                Ok(())
            }
            TrainingSet::Diff {
                left,
                right,
                key,
                columns,
                json,
            } => {
                let mut found = diff(&left, &right, &key)?;
                if !columns.is_empty() {
                    found.columns.retain(|column| {
                        columns.iter().any(|wanted| {
                            column.name == *wanted
                                || column
                                    .name
                                    .strip_prefix(wanted)
                                    .is_some_and(|r| r.starts_with('.'))
                        })
                    });
                }
                if json {
                    println!("{}", serde_json::to_string_pretty(&found)?);
                } else {
                    println!(
                        "{} rows on both sides, {} on the left alone, {} on the right alone; {} columns compared",
                        found.matched,
                        found.only_left,
                        found.only_right,
                        found.columns.len()
                    );
                    for (side, names) in [
                        ("left", &found.columns_only_left),
                        ("right", &found.columns_only_right),
                    ] {
                        if !names.is_empty() {
                            println!("on the {side} alone: {}", names.join(", "));
                        }
                    }
                    let mut table = Table::new(&[
                        "column",
                        "differing rows",
                        "largest",
                        "key",
                        "left",
                        "right",
                    ]);
                    for column in found.columns.iter().filter(|column| column.different > 0) {
                        let first = column.evidence.first();
                        table.row([
                            column.name.clone(),
                            column.different.to_string(),
                            column
                                .largest
                                .map_or(String::new(), |largest| largest.to_string()),
                            first.map_or(String::new(), |row| row.key.join(", ")),
                            first.map_or(String::new(), |row| row.left.clone()),
                            first.map_or(String::new(), |row| row.right.clone()),
                        ]);
                    }
                    if found.columns.iter().any(|column| column.different > 0) {
                        print!("\n{table}");
                    }
                }
                if found.matched == 0 {
                    bail!("no row is on both sides; is {} the key?", key.join(", "));
                }
                match found.differences() {
                    0 => {
                        if !json {
                            println!("0 differences");
                        }
                        Ok(())
                    }
                    count => bail!("{count} differences"),
                }
            }
        }
    }
}
