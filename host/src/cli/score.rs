//! `tidemill score`

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::client::ServerArg;

/// Score rows with a service and print one result a line.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tidemill score flight-delay '{\"flight_id\":\"UA1545/2013-01-01/EWR\",\"carrier\":\"UA\",…}'
  tidemill score flight-delay@3 --file events.ndjson --features
  cat events.ndjson | tidemill score flight-delay --file -")]
pub struct Score {
    /// name@3, name@alias, or name: what the alias stable points at, without one the newest version.
    service: String,
    /// One row as a JSON object.
    #[arg(conflicts_with = "file")]
    inputs: Option<String>,
    /// Rows as NDJSON, one JSON object a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
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
        let mut out = std::io::stdout().lock();
        match (&self.inputs, &self.file) {
            (Some(inputs), _) => {
                let inputs: &serde_json::value::RawValue = serde_json::from_str(inputs)
                    .context("the row is no JSON; give an object such as '{\"amount\": 12.5}'")?;
                let body = format!("{{\"features\":{},\"inputs\":{inputs}}}", self.features);
                let answer = client.post(&path, "application/json", body.as_bytes())?;
                writeln!(out, "{answer:#}")?;
            }
            (None, Some(file)) => {
                let lines = lines(file)?;
                for (batch, rows) in lines.chunks(BATCH).enumerate() {
                    let body = format!(
                        "{{\"features\":{},\"rows\":[{}]}}",
                        self.features,
                        rows.join(",")
                    );
                    let answer = client
                        .post(&path, "application/json", body.as_bytes())
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
            }
            (None, None) => bail!("give a row as a JSON object, or --file rows.ndjson"),
        }
        Ok(())
    }
}

fn lines(file: &PathBuf) -> Result<Vec<String>> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
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
