//! `tidemill replay`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::client::ServerArg;
use super::table::Table;
use crate::registry::bundle;
use crate::replay::replay;
use crate::transform::{Engine, Limits};

/// Run logged answers again, from the log alone, and compare every feature and score bit by bit. Ends with 1 where they
/// differ, and shows the smallest rows that do.
#[derive(Args)]
pub struct Replay {
    /// The feature log, a folder or one of its files: DATA/log/service=NAME.
    log: PathBuf,
    /// The service that answered: name@3, from the server.
    #[arg(long, required_unless_present = "bundle", conflicts_with = "bundle")]
    service: Option<String>,
    /// Its bundle (tidemill service export): then no server is needed.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

impl Replay {
    pub fn run(self) -> Result<()> {
        let bytes = match (&self.bundle, &self.service) {
            (Some(path), _) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, Some(id)) => {
                let path = format!("/v1/services/{id}/bundle");
                self.server.client().get_raw(&path)?
            }
            (None, None) => bail!("give --service or --bundle"),
        };
        let engine = Engine::new(Limits::default(), None)?;
        let service = bundle::open(&bytes, &engine)?;
        let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
            "{spinner} {human_pos} rows, {per_sec}",
        )?);
        let report = replay(&service, &self.log, |rows| progress.inc(rows))?;
        progress.finish_and_clear();
        let different = report.rows - report.same;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            println!(
                "{} rows of {}@{} run again, {} columns of each compared",
                report.rows,
                service.name(),
                service.plan.number,
                report.columns.len()
            );
            for (why, rows) in &report.skipped {
                println!("{rows} rows not run again: {why}");
            }
            let mut table =
                Table::new(&["column", "differing rows", "largest", "logged", "run again"]);
            for column in report.columns.iter().filter(|column| column.different > 0) {
                let first = column.evidence.first();
                table.row([
                    column.name.clone(),
                    column.different.to_string(),
                    column
                        .largest
                        .map_or(String::new(), |largest| largest.to_string()),
                    first.map_or(String::new(), |row| row.left.clone()),
                    first.map_or(String::new(), |row| row.right.clone()),
                ]);
            }
            if different > 0 {
                print!("\n{table}");
                let evidence = report
                    .columns
                    .iter()
                    .flat_map(|column| column.evidence.first());
                if let Some(smallest) =
                    evidence.min_by_key(|row| row.request.as_ref().map_or(0, String::len))
                {
                    println!(
                        "\nthe smallest of them, request {}:\n{}",
                        smallest.key.join(" row "),
                        smallest.request.as_deref().unwrap_or_default()
                    );
                }
            }
        }
        match different {
            0 if report.rows == 0 => bail!(
                "no row in {} was answered by {}@{}",
                self.log.display(),
                service.name(),
                service.plan.number
            ),
            0 => {
                if !self.json {
                    println!("0 differences");
                }
                Ok(())
            }
            rows => bail!("{rows} rows differ"),
        }
    }
}
