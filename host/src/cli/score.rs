//! `tidemill score`

mod columns;
mod file;
mod results;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::client::{Client, ServerArg};
use super::service::text_of;
use crate::offline::Extension;

/// Score rows with a service: one as JSON, lines of NDJSON, or a whole file into another.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tidemill score flight-delay '{\"flight_id\":\"UA1545/2013-01-01/EWR\",\"carrier\":\"UA\",…}'
  tidemill score flight-delay@3 --file events.parquet --out scored.parquet --features
  tidemill score flight-delay --file events.csv --out scored.ndjson --limit 1000
  cat events.ndjson | tidemill score flight-delay --file -
  tidemill score flight-delay --file events.ndjson --later

With --out the file holds the columns of the request, then `score`, the model's outputs as `outputs.NAME` (or
`outputs.NAME[0]`, …), the service's own fields as `output.NAME`, with --features the features as `features.NAME`, and
`error`: why a row has no score. It appears only when it is whole.")]
pub struct Score {
    /// name@3, name@alias, or name: what the alias stable points at, without one the newest version.
    service: String,
    /// One row as a JSON object.
    #[arg(conflicts_with = "file")]
    inputs: Option<String>,
    /// Rows as NDJSON, one JSON object a line; `-` is standard input. With --out also Parquet, Arrow, or CSV with a header.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write to a file (.parquet, .arrow, .csv, .ndjson, …) instead of printing.
    #[arg(long, value_name = "FILE", requires = "file")]
    out: Option<PathBuf>,
    /// No more than so many rows of the file.
    #[arg(long, value_name = "ROWS", requires = "out")]
    limit: Option<u64>,
    /// Fail, after all is written, if a row could not be scored.
    #[arg(long, requires = "out")]
    strict: bool,
    /// Have it answered when there is time: prints a job, for `tidemill job show` and `tidemill job result`.
    #[arg(long, conflicts_with = "out")]
    later: bool,
    /// Print the features too.
    #[arg(long)]
    features: bool,
    /// Print the features without running the model.
    #[arg(long)]
    features_only: bool,
    #[command(flatten)]
    server: ServerArg,
}

/// Rows of one request.
const BATCH: usize = 1_000;

impl Score {
    pub fn run(self) -> Result<()> {
        let what = if self.features_only {
            "features"
        } else {
            "score"
        };
        let path = format!("/v1/services/{}/{what}", self.service);
        let client = self.server.client();
        match (&self.inputs, &self.file, &self.out) {
            (Some(inputs), ..) => self.one(&client, &path, inputs),
            (None, Some(file), Some(out)) => file::Job {
                client: &client,
                service: &self.service,
                what,
                file,
                out,
                limit: self.limit.unwrap_or(u64::MAX),
                features: self.features || self.features_only,
                model: !self.features_only,
            }
            .run(self.strict),
            (None, Some(file), None) => self.lines(&client, &path, file),
            (None, None, _) => bail!("give a row as a JSON object, or --file rows.ndjson"),
        }
    }

    fn one(&self, client: &Client, path: &str, inputs: &str) -> Result<()> {
        let inputs: &serde_json::value::RawValue = serde_json::from_str(inputs)
            .context("the row is no JSON; give an object such as '{\"amount\": 12.5}'")?;
        let body = format!("{{\"features\":{},\"inputs\":{inputs}}}", self.features);
        if self.later {
            return later(client, path, &body);
        }
        let answer = client.post(path, "application/json", body.as_bytes())?;
        writeln!(std::io::stdout().lock(), "{answer:#}")?;
        Ok(())
    }

    fn lines(&self, client: &Client, path: &str, file: &Path) -> Result<()> {
        let lines = lines(file)?;
        let body = |rows: &[String]| {
            format!(
                "{{\"features\":{},\"rows\":[{}]}}",
                self.features,
                rows.join(",")
            )
        };
        if self.later {
            return later(client, path, &body(&lines));
        }
        let mut out = std::io::stdout().lock();
        for (batch, rows) in lines.chunks(BATCH).enumerate() {
            let answer = client
                .post(path, "application/json", body(rows).as_bytes())
                .with_context(|| {
                    format!(
                        "rows from line {} on (rows[0] is that line)",
                        batch * BATCH + 1
                    )
                })?;
            for result in answer["results"].as_array().into_iter().flatten() {
                writeln!(out, "{result}")?;
            }
        }
        Ok(())
    }
}

fn later(client: &Client, path: &str, body: &str) -> Result<()> {
    let job = client.post_later(path, body.as_bytes())?;
    let id = text_of(&job["id"]);
    println!("job {id}  {}", text_of(&job["state"]));
    eprintln!("its answer: tidemill job result {id}");
    Ok(())
}

fn lines(file: &Path) -> Result<Vec<String>> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else if matches!(
        Extension::of(file),
        Some(extension) if extension != Extension::Ndjson
    ) {
        bail!(
            "{} is scored into another file: give --out scored.parquet, .csv or .ndjson",
            file.display()
        );
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect();
    if lines.is_empty() {
        bail!("{} has no rows", file.display());
    }
    Ok(lines)
}
