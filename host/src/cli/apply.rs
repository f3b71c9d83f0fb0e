//! `tidemill apply`

mod found;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::HumanCount;

use super::client::ServerArg;
use super::progress;
use crate::apply::{Bind, Failure, Keep, Named, Plan};
use crate::offline::parallel::ordered;
use crate::offline::table::{Chunk, Decoder, Table};
use crate::offline::write::{Encoded, Encoder, Output, extension};
use crate::transform::Engine;

/// Run transforms over all rows of a file, and write their features to another.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tidemill apply departure-delay@1 --in flights.parquet --out features.parquet --keep flight_id
  tidemill apply leg=great-circle@1 --in flights.csv --out features.arrow --keep-all \\
      --bind leg.from_lat=origin_lat --bind leg.from_lon=origin_lon \\
      --bind leg.to_lat=dest_lat --bind leg.to_lon=dest_lon
  tidemill apply target/tidemill/components/trip-speed.wasm --in trips.ndjson --out speeds.csv
  tidemill apply trip-speed@0.1 --data-dir data --in trips.parquet --out speeds.parquet

An input is read from the file's column of its name, or from what --bind says. The output holds the columns that are
kept, the features as NAME.FEATURE, and `error`: why a row lacks some. Its rows are in the order of the file, and their
bits are those of the server's answers, however many threads there are. Files are Parquet (.parquet), Arrow IPC (.arrow,
.feather, .ipc; a stream: .arrows), CSV with a header (.csv) or NDJSON (.ndjson, .jsonl). The output appears only when it
is whole.")]
pub struct Apply {
    /// name@version (name@1: the newest 1.x) of the server or of --data-dir, a .wasm file, or the folder of a project, which
    /// is built first. NAME=… in front calls its features NAME.… instead of by the transform's name.
    #[arg(required = true, value_name = "[NAME=]TRANSFORM")]
    transforms: Vec<String>,
    /// The rows.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Where to write them.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Read an input from a column of another name, or from ALIAS.OUTPUT of another transform; `NAME.INPUT=` is null.
    #[arg(long, value_name = "NAME.INPUT=COLUMN", value_parser = Bind::parse)]
    bind: Vec<Bind>,
    /// Columns of the file that go along.
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        conflicts_with = "keep_all"
    )]
    keep: Vec<String>,
    /// Have all columns of the file go along.
    #[arg(long)]
    keep_all: bool,
    /// Stop at the first row that fails, and write nothing.
    #[arg(long)]
    fail: bool,
    /// Threads; all cores where absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Rows that a transform is called for at a time. It changes no value, but for rows that are dearer than a call of one row
    /// may be: a call's rows share their fuel, so among cheap ones such a row may pass.
    #[arg(long, value_name = "ROWS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: u32,
    /// Take transforms from this data folder; its server must be stopped.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArg,
}

/// Failing rows that are shown.
const SHOWN: usize = 5;

/// The rows that failed.
#[derive(Default)]
struct Failures {
    count: u64,
    first: Vec<Failure>,
}

impl Apply {
    pub fn run(self) -> Result<()> {
        let written = extension(&self.out)?;
        let table = Table::open(&self.input)?;
        let engine = found::engine()?;
        let named = self.found(&engine)?;
        let about: Vec<(String, String)> = named
            .iter()
            .map(|named| {
                let name = named.transform.name();
                let key = format!("tidemill.transform.{}", named.alias);
                (key, format!("{name} sha256:{}", name.digest))
            })
            .collect();
        let names: Vec<String> = named
            .iter()
            .map(|named| named.transform.name().to_string())
            .collect();
        let keep = match self.keep_all {
            true => Keep::All,
            false => Keep::Some(self.keep.clone()),
        };
        let plan = Plan::new(&table, named, &self.bind, &keep, written, self.fail)?;
        let bar = progress::of_rows(table.rows, &names.join(", "))?;
        let (decoder, chunks) = table.read(plan.wanted())?;
        let mut output = Output::create(&self.out, plan.columns().to_vec(), &about)?;
        let encoder = output.encoder();
        let threads = self.threads.map(usize::from);
        let threads = threads
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1);
        let started = Instant::now();
        let (mut rows, mut failures) = (0, Failures::default());
        ordered(
            chunks,
            threads,
            |chunk| self.work(&plan, &decoder, &encoder, &chunk?),
            |(count, encoded, failed)| {
                output.append(encoded)?;
                rows += count as u64;
                failures.add(failed);
                bar.inc(count as u64);
                anyhow::Ok(())
            },
        )?;
        output.finish()?;
        bar.finish_and_clear();
        self.report(
            &names,
            rows,
            &failures,
            plan.error_column(),
            started.elapsed(),
        );
        Ok(())
    }

    /// The features of a chunk's rows, as the output will hold them.
    fn work(
        &self,
        plan: &Plan,
        decoder: &Decoder,
        encoder: &Encoder,
        chunk: &Chunk,
    ) -> Result<(usize, Encoded, Vec<Failure>)> {
        let mut group = encoder.group();
        let mut failures = Vec::new();
        for start in (0..chunk.rows()).step_by(self.batch_rows as usize) {
            let end = chunk.rows().min(start + self.batch_rows as usize);
            failures.extend(plan.run(decoder, chunk, start..end, &mut group)?);
        }
        Ok((chunk.rows(), group.finish()?, failures))
    }

    fn found(&self, engine: &Engine) -> Result<Vec<Named>> {
        let places = found::Places {
            engine,
            data_dir: self.data_dir.as_deref(),
            client: self.server.client(),
        };
        let found = self.transforms.iter().map(|text| {
            let (alias, id) = match text.split_once('=') {
                Some((alias, id)) => (Some(alias), id),
                None => (None, text.as_str()),
            };
            let transform = places
                .find(id)
                .with_context(|| format!("transform \"{id}\""))?;
            let alias = alias.unwrap_or(&transform.name().name).to_owned();
            if let Err(reason) = crate::schema::check_name(&alias) {
                bail!("{reason}");
            }
            Ok(Named { alias, transform })
        });
        found.collect()
    }

    fn report(
        &self,
        names: &[String],
        rows: u64,
        failures: &Failures,
        column: Option<&str>,
        took: Duration,
    ) {
        let rate = rows as f64 / took.as_secs_f64().max(1e-9);
        println!(
            "{} rows of {} through {} into {} in {:.2} s, {} a second",
            HumanCount(rows),
            self.input.display(),
            names.join(", "),
            self.out.display(),
            took.as_secs_f64(),
            HumanCount(rate as u64),
        );
        if let (Some(column), true) = (column, failures.count > 0) {
            let (count, shown) = (HumanCount(failures.count), failures.first.len());
            println!(
                "{count} of them lack features; the column {column} says why. The first {shown}:"
            );
            for failure in &failures.first {
                println!("  row {}: {}", failure.row, failure.message);
            }
        }
    }
}

impl Failures {
    fn add(&mut self, failures: Vec<Failure>) {
        self.count += failures.len() as u64;
        let room = SHOWN - self.first.len();
        self.first.extend(failures.into_iter().take(room));
    }
}
