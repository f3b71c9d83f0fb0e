//! `tidemill drift`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::Schema;
use arrow_select::filter::filter_record_batch;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::audit::since;
use super::client::{Client, ServerArg};
use super::service::text_of;
use super::table::Table;
use super::training_set::register;
use super::training_set::show::{number, share};
use crate::drift::{Counted, FEW, Reading, Reference, Report, Span, unknown};
use crate::log;
use crate::statistics::Limits;
use crate::training_set::Manifest;

/// Compare what a service sees and answers with the training set of its model: column by column, the most drifted first.
///
/// PSI, the population stability index, is the sum over the training set's bins (tenths, or the most frequent values, and one
/// for what is missing) of (live - training) * ln(live / training), of shares of at least 0.0001. Under 0.1 a column is
/// stable, up to 0.25 it is worth a look, over that it has drifted.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tidemill drift flight-delay                              the last hours, as [drift] of the configuration has them
  tidemill drift flight-delay@stable --fail-over 0.25      for a cron job: ends with 1 where a column is over it
  tidemill drift flight-delay --log data/log --since 7d    the feature log's files, whatever the server remembers
  tidemill drift flight-delay@3 --log log --against sets/flights-2013    the same without a server")]
pub struct Drift {
    /// name@3, name@alias, or name: what the alias stable points at, without one the newest.
    service: String,
    /// Compare the files in this folder of the feature log instead of what the running server has counted.
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// With --log: only rows answered since: 2026-11-20T12:00:00Z, 2026-11-20 (UTC), or 12h, 2d ago.
    #[arg(long, value_name = "WHEN", value_parser = since, requires = "log")]
    since: Option<Timestamp>,
    /// With --log: only rows answered before.
    #[arg(long, value_name = "WHEN", value_parser = since, requires = "log")]
    until: Option<Timestamp>,
    /// With --log: the training set to compare with, as its folder or manifest.json. No server is asked then.
    #[arg(long, value_name = "DIR", requires = "log")]
    against: Option<PathBuf>,
    /// Everything, as JSON.
    #[arg(long)]
    json: bool,
    /// End with 1 where the PSI of a column is over this.
    #[arg(long, value_name = "PSI")]
    fail_over: Option<f64>,
    #[command(flatten)]
    server: ServerArg,
}

impl Drift {
    pub fn run(self) -> Result<()> {
        let report = match &self.log {
            Some(dir) => self.of_files(dir)?,
            None => {
                let path = format!("/v1/services/{}/drift", self.service);
                serde_json::from_value(self.server.client().get(&path)?)?
            }
        };
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => print(&report),
        }
        let Some(limit) = self.fail_over else {
            return Ok(());
        };
        if let Some(note) = &report.note {
            bail!("nothing could be compared: {note}");
        }
        let over: Vec<String> = (report.over(limit))
            .map(|column| format!("{} {}", column.column, psi(column.psi)))
            .collect();
        match over.is_empty() {
            true => Ok(()),
            false => bail!("PSI over {limit}: {}", over.join(", ")),
        }
    }

    fn of_files(&self, dir: &Path) -> Result<Report> {
        let (name, version) = self.service.split_once('@').unzip();
        let mut name = name.unwrap_or(&self.service).to_owned();
        let mut version = version.and_then(|version| version.parse::<u32>().ok());
        let reference = match &self.against {
            Some(folder) => {
                if self.service.contains('@') && version.is_none() {
                    bail!(
                        "{} is an alias, which a server knows; with --against name the version, as in {name}@3",
                        self.service
                    );
                }
                let manifest = register::read(folder)?;
                let model = manifest.model.as_ref().map(|model| model.hex().to_owned());
                Reference::of(manifest.name.clone(), &manifest, model.as_deref())
            }
            None => {
                let client = self.server.client();
                let shown = client
                    .get(&format!("/v1/services/{}", self.service))
                    .context("the training set comes from a server, or from --against DIR")?;
                name = text_of(&shown["name"]);
                let number = shown["version"].as_u64().context("a version")?;
                version = Some(u32::try_from(number)?);
                reference(&client, &shown)?
            }
        };
        let day = self.since.map(|at| at.strftime("%Y-%m-%d").to_string());
        let mut files = log::files(dir, &name, day.as_deref())?;
        files.retain(|file| version.is_none_or(|version| file.shape.service_version == version));
        let newest = files.iter().max_by_key(|file| file.shape.service_version);
        let Some(last) = newest.map(|file| file.shape.clone()) else {
            bail!(
                "{} has no file of service {name}{}; a server closes its files every log.file_seconds and when it stops",
                dir.display(),
                version.map_or_else(String::new, |version| format!("@{version}"))
            );
        };
        // Versions have other columns; without a number it is the newest that was logged.
        files.retain(|file| file.shape.service_version == last.service_version);
        let known = reference.as_ref().ok();
        let (mut counted, mut span): (Option<Counted>, _) = (None, Span::default());
        for file in files {
            for batch in file.read(0, |_| true)? {
                let batch = self.wanted(&batch?)?;
                if batch.num_rows() == 0 {
                    continue;
                }
                extend(&mut span, &batch);
                let schema: &Schema = &batch.schema();
                let counted =
                    counted.get_or_insert_with(|| Counted::new(schema, known, Limits::WHOLE));
                counted.add(known, &batch);
            }
        }
        span.rows = counted.as_ref().map_or(0, |counted| counted.rows);
        span.answered = span.rows;
        if counted.is_none() {
            bail!("no row of {name} was answered in that time");
        }
        let of = (name.as_str(), last.service_version, last.model.as_deref());
        let known = reference.as_ref().map_err(String::as_str);
        Ok(Report::of(of, known, counted.as_ref(), span))
    }

    /// The rows that a caller got, of the time that is asked for.
    fn wanted(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let roles = batch.column_by_name("role");
        let roles = roles.and_then(|roles| roles.as_string_opt::<i32>());
        let times = times(batch);
        let (Some(roles), Some(times)) = (roles, times) else {
            bail!("a file of the log has no columns role and time");
        };
        let from = self.since.map_or(i64::MIN, Timestamp::as_microsecond);
        let to = self.until.map_or(i64::MAX, Timestamp::as_microsecond);
        let keep = roles.iter().zip(times.iter()).map(|(role, time)| {
            let time = time.unwrap_or(i64::MIN);
            Some(role == Some("answer") && time >= from && time < to)
        });
        Ok(filter_record_batch(batch, &BooleanArray::from_iter(keep))?)
    }
}

fn times(batch: &RecordBatch) -> Option<&arrow_array::PrimitiveArray<TimestampMicrosecondType>> {
    batch.column_by_name("time")?.as_primitive_opt()
}

fn extend(span: &mut Span, batch: &RecordBatch) {
    for time in times(batch).into_iter().flatten().flatten() {
        let Ok(time) = Timestamp::from_microsecond(time) else {
            continue;
        };
        span.from = Some(span.from.map_or(time, |from| from.min(time)));
        span.to = Some(span.to.map_or(time, |to| to.max(time)));
    }
}

/// The training set of a service's model, as a server knows it.
fn reference(client: &Client, service: &Value) -> Result<Result<Reference, String>> {
    let id = format!("{}@{}", text_of(&service["name"]), service["version"]);
    let pin = &service["pins"]["model"];
    let Some(model) = pin["id"].as_str() else {
        return Ok(Err(format!(
            "{id} has no model, so nothing was trained on its rows"
        )));
    };
    let shown = client.get(&format!("/v1/models/{model}"))?;
    let Some(set) = shown["manifest"]["training_set"].as_str() else {
        return Ok(Err(unknown(&id, model)));
    };
    let shown = client.get(&format!("/v1/training-sets/{set}"))?;
    let manifest: Manifest = serde_json::from_value(shown["manifest"].clone())?;
    Ok(Reference::of(
        set.to_owned(),
        &manifest,
        pin["digest"].as_str(),
    ))
}

fn print(report: &Report) {
    let Report {
        service, version, ..
    } = report;
    let model = report.model.as_deref().unwrap_or("no model");
    println!("{service}@{version}, {model}");
    let span = &report.span;
    if let (Some(from), Some(to)) = (span.from, span.to) {
        let time = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let of = match span.answered > span.rows {
            true => format!(" of {} answered", span.answered),
            false => String::new(),
        };
        println!("{} rows{of}, {} to {}", span.rows, time(from), time(to));
    }
    if let (Some(set), Some(rows)) = (&report.training_set, report.training_rows) {
        println!("against training set {set}, {rows} rows");
    }
    if let Some(note) = &report.note {
        println!("{note}");
    }
    if report.columns.is_empty() {
        return;
    }
    let head = [
        "column",
        "model",
        "PSI",
        "",
        "missing",
        "was",
        "mean",
        "was",
        "median",
        "was",
        "moved most",
    ];
    let mut table = Table::new(&head);
    for column in &report.columns {
        let (live, training) = (&column.live, column.training.as_ref());
        let moved = column.most.as_ref().filter(|_| column.psi > Some(0.01));
        table.row([
            column.column.clone(),
            if column.feature { "sees it" } else { "" }.to_owned(),
            psi(column.psi),
            column.reading.words().to_owned(),
            share(live.missing_share),
            training.map_or_else(String::new, |side| share(side.missing_share)),
            number(live.mean),
            training.map_or_else(String::new, |side| number(side.mean)),
            number(live.median()),
            training.map_or_else(String::new, |side| number(side.median())),
            moved.map_or_else(String::new, |moved| {
                let (was, is) = (share(moved.training_share), share(moved.live_share));
                format!("{}: {was} → {is}", moved.bin)
            }),
        ]);
    }
    print!("\n{table}");
    if (report.columns.iter()).any(|column| column.reading == Reading::FewRows) {
        println!("\nwith fewer than {FEW} rows the index is mostly chance");
    }
}

fn psi(index: Option<f64>) -> String {
    index.map_or_else(|| "–".to_owned(), |index| format!("{index:.3}"))
}
