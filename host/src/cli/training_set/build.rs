//! `tidemill training-set build`: rows from somewhere, one after another into a file, and a manifest of what made them.

mod as_served;
mod labels;
mod logged;
mod manifest;
mod recompute;
mod rows;
mod spine;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use arrow_array::RecordBatch;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use super::register::register;
use crate::cli::client::{Client, ServerArg};
use crate::cli::compare::moment;
use crate::cli::service::text_of;
use crate::service::Definition;
use labels::{Ids, Labels};
use logged::Logged;
use rows::Rows;
use spine::Spine;

pub use manifest::FILE;

#[derive(Args)]
#[command(after_help = "\
Where the rows come from:
  --spine FILE          past events, joined with the views as they stood
  --as-served           what the service answered, as the feature log has it: inputs, looked-up values, features, vector,
                        score. No shadows. Rows that failed or fell back are among them: outcome and error say so
  --recompute S@VERSION that version over the inputs the log has of --service, each row at the time it was asked

Labels stand beside them as label.NAME, null where there is none: those that `tidemill label put` reported (stored), or of a
file with the same columns. A row's label is found by the fields of the service's key and by its request id, where the rows
have one; of several the latest counts.

Examples:
  tidemill training-set build --service flight-delay@1 --spine events.parquet --labels arrivals.parquet --out set
  tidemill training-set build --service flight-delay@1 --as-served --from 2026-11-01 --labels stored --out served
  tidemill training-set build --service flight-delay@1 --recompute flight-delay@2 --from 2026-11-01 --out again
  tidemill training-set diff served again --key request_id,row")]
pub struct Build {
    /// The service whose vectors they are: name, name@3 or name@alias. With --recompute the one that answered.
    #[arg(long)]
    service: String,
    /// Past events: a Parquet, CSV or NDJSON file with the fields of the service's request.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["as_served", "recompute"])]
    spine: Option<PathBuf>,
    /// The rows that the service version answered, from the feature log.
    #[arg(long, conflicts_with = "recompute")]
    as_served: bool,
    /// Another version over the inputs that the service version answered, from the feature log.
    #[arg(long, value_name = "SERVICE@VERSION")]
    recompute: Option<String>,
    /// The folder of the feature log, or one with some of its files.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["spine", "data_dir"])]
    log: Option<PathBuf>,
    /// The data folder of a server, whose log it is.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        conflicts_with = "spine"
    )]
    data_dir: PathBuf,
    /// Only what was asked since then: 2026-11-20T12:00:00Z, 2026-11-20 (UTC), or 12h, 2d ago.
    #[arg(long, value_name = "TIME", conflicts_with = "spine")]
    from: Option<String>,
    /// Only what was asked before then.
    #[arg(long, value_name = "TIME", conflicts_with = "spine")]
    to: Option<String>,
    /// A new folder for the files and their manifest.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The spine's column that says when each row was asked: rows of views that arrived later are not seen. Without it all
    /// rows are seen whose event is not after the row's own.
    #[arg(long, value_name = "COLUMN", requires = "spine")]
    arrival: Option<String>,
    /// Labels beside the rows: of a Parquet, CSV or NDJSON file, or, with the word stored, those the server keeps.
    #[arg(long, value_name = "FILE|stored")]
    labels: Option<PathBuf>,
    /// Only labels that had been learnt by then: 2026-11-20T12:00:00Z, 2026-11-20 (UTC), or 12h, 2d ago. Those of a file
    /// without a column time are learnt as it is read; how many are passed over for it is said.
    #[arg(long, value_name = "TIME", requires = "labels")]
    labels_as_of: Option<String>,
    /// What the set is called; as the folder where absent.
    #[arg(long)]
    name: Option<String>,
    /// Do not register it with the server; `tidemill training-set register DIR` does so later.
    #[arg(long)]
    no_register: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// A service version.
struct Of<'a> {
    client: &'a Client,
    /// `name@number`.
    id: &'a str,
    number: u32,
    definition: &'a Definition,
    /// As the server shows it.
    shown: &'a Value,
}

/// What became of reading rows from somewhere.
struct Source {
    /// What the manifest says of where they came from.
    told: Map<String, Value>,
    /// What is printed of it.
    said: Vec<String>,
}

/// Where rows go as they come.
struct Each<'a, 'c> {
    rows: &'a mut Rows,
    labels: Option<&'a mut Labels<'c>>,
    progress: &'a ProgressBar,
}

impl Each<'_, '_> {
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

    /// Whether rows that do not have the answer's id among their columns should bring it along.
    fn wants_ids(&self) -> bool {
        self.labels.is_some()
    }

    fn take(&mut self, batch: &RecordBatch, ids: Option<&Ids>) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.labels {
            Some(labels) => self.rows.write(&labels.join(batch, ids)?)?,
            None => self.rows.write(batch)?,
        }
        self.progress.inc(batch.num_rows() as u64);
        Ok(())
    }
}

impl Build {
    pub fn run(self) -> Result<()> {
        if self.spine.is_none() && !self.as_served && self.recompute.is_none() {
            bail!(
                "where are the rows from? Give --spine FILE, --as-served or --recompute SERVICE@VERSION"
            );
        }
        let name = manifest::name(self.name, &self.out)?;
        let client = self.server.client();
        let answered = Shown::get(&client, &self.service)?;
        let recomputed = match &self.recompute {
            Some(id) => Some(Shown::get(&client, id)?),
            None => None,
        };
        let service = recomputed.as_ref().unwrap_or(&answered);
        let (answered, of) = (answered.of(&client), service.of(&client));
        let as_of = self.labels_as_of.as_deref();
        let as_of = as_of
            .map(|text| moment("--labels-as-of", text))
            .transpose()?;
        let mut labels = match &self.labels {
            // The answers are its own, whoever recomputes them.
            Some(source) => {
                let service = &answered.definition.name;
                Some(Labels::open(&client, service, source, as_of)?)
            }
            None => None,
        };
        let micros = |text: &Option<String>, option: &str| match text {
            Some(text) => moment(option, text).map(|moment| Some(moment.as_microsecond())),
            None => Ok(None),
        };
        let logged = Logged {
            dir: self.log.unwrap_or_else(|| self.data_dir.join("log")),
            from: micros(&self.from, "--from")?,
            to: micros(&self.to, "--to")?,
        };

        new_folder(&self.out)?;
        let mut rows = Rows::create(self.out.join("rows.parquet"));
        let progress = ProgressBar::new_spinner();
        let each = Each {
            rows: &mut rows,
            labels: labels.as_mut(),
            progress: &progress,
        };
        let (source, none) = match (self.spine, &self.recompute) {
            (Some(file), _) => {
                let arrival = self.arrival;
                let spine = Spine { file, arrival };
                (spine.read(&of, each)?, "the spine has no rows")
            }
            (None, Some(_)) => (
                recompute::read(&logged, &answered, &of, each)?,
                "the log has no such rows",
            ),
            (None, None) => (
                as_served::read(&logged, &of, each)?,
                "the log has no such rows",
            ),
        };
        progress.finish_and_clear();
        let rows = rows.finish(none)?;
        let mut told = source.told;
        if let Some(labels) = &labels {
            told.insert("labels".to_owned(), labels.told()?);
        }
        let manifest = manifest::write(&self.out, &name, of.id, of.shown, rows, told)?;
        println!(
            "{} rows of {} in {}",
            manifest.rows,
            of.id,
            self.out.display()
        );
        let labels = labels.map(|labels| labels.summary());
        for line in source.said.into_iter().chain(labels) {
            println!("  {line}");
        }
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

/// A service version as the server shows it.
struct Shown {
    shown: Value,
    id: String,
    number: u32,
    definition: Definition,
}

impl Shown {
    fn get(client: &Client, id: &str) -> Result<Shown> {
        let shown = client.get(&format!("/v1/services/{id}"))?;
        let number = shown["version"].as_u64().context("a version")?;
        Ok(Shown {
            id: format!("{}@{number}", text_of(&shown["name"])),
            number: u32::try_from(number)?,
            definition: serde_json::from_value(shown["definition"].clone())?,
            shown,
        })
    }

    fn of<'a>(&'a self, client: &'a Client) -> Of<'a> {
        Of {
            client,
            id: &self.id,
            number: self.number,
            definition: &self.definition,
            shown: &self.shown,
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
