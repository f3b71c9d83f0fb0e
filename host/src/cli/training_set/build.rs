//! `tidemill training-set build`: rows from somewhere, one after another into a file, and a manifest of what made them.

mod manifest;
mod rows;
mod spine;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use arrow_array::RecordBatch;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::register::register;
use crate::cli::client::{Client, ServerArg};
use crate::cli::service::text_of;
use crate::service::Definition;
use rows::Rows;
use spine::Spine;

pub use manifest::FILE;
pub use rows::sha256;

#[derive(Args)]
pub struct Build {
    /// The service whose vectors they are: name, name@3 or name@alias.
    #[arg(long)]
    service: String,
    /// Past events: a Parquet, CSV or NDJSON file with the fields of the service's request.
    #[arg(long, value_name = "FILE")]
    spine: PathBuf,
    /// A new folder for the files and their manifest.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The spine's column that says when each row was asked: rows of views that arrived later are not seen. Without it all
    /// rows are seen whose event is not after the row's own.
    #[arg(long, value_name = "COLUMN")]
    arrival: Option<String>,
    /// What the set is called; as the folder where absent.
    #[arg(long)]
    name: Option<String>,
    /// Do not register it with the server; `tidemill training-set register DIR` does so later.
    #[arg(long)]
    no_register: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// The service version a set is of.
struct Of<'a> {
    client: &'a Client,
    /// `name@number`.
    id: &'a str,
    definition: &'a Definition,
}

/// Where rows go as they come.
struct Each<'a> {
    rows: &'a mut Rows,
    progress: &'a ProgressBar,
}

impl Each<'_> {
    /// How many there will be, where that is known.
    fn expect(&self, rows: Option<u64>) -> Result<()> {
        if let Some(rows) = rows {
            self.progress.set_length(rows);
            self.progress.set_style(ProgressStyle::with_template(
                "{bar:30} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
            )?);
        }
        Ok(())
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        self.progress.inc(batch.num_rows() as u64);
        self.rows.write(batch)
    }
}

impl Build {
    pub fn run(self) -> Result<()> {
        let name = manifest::name(self.name, &self.out)?;
        let client = self.server.client();
        let shown = client.get(&format!("/v1/services/{}", self.service))?;
        let id = format!("{}@{}", text_of(&shown["name"]), shown["version"]);
        let definition: Definition = serde_json::from_value(shown["definition"].clone())?;
        let of = Of {
            client: &client,
            id: &id,
            definition: &definition,
        };
        let spine = Spine {
            file: self.spine,
            arrival: self.arrival,
        };
        new_folder(&self.out)?;
        let mut rows = Rows::create(self.out.join("rows.parquet"));
        let progress = ProgressBar::new_spinner();
        let each = Each {
            rows: &mut rows,
            progress: &progress,
        };
        let source = spine.read(&of, each)?;
        progress.finish_and_clear();
        let rows = rows.finish("the spine has no rows")?;
        let manifest = manifest::write(&self.out, &name, &id, &shown, rows, source)?;
        println!("{} rows of {id} in {}", manifest.rows, self.out.display());
        match self.no_register {
            true => Ok(()),
            false => register(&client, &manifest).with_context(|| {
                format!(
                    "it is built, and not registered; `tidemill training-set register {}` tries again",
                    self.out.display()
                )
            }),
        }
    }
}

fn new_folder(out: &Path) -> Result<()> {
    if out.exists() && std::fs::read_dir(out)?.next().is_some() {
        bail!(
            "{} is there and not empty; name a new folder",
            out.display()
        );
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))
}
