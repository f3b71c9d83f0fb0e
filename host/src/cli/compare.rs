//! `tidemill service compare`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as SpanError, StrDeserializer};

use super::table::Table;
use crate::compare::{Comparison, FeatureCompared, Options, Quantiles, SideCompared, compare};
use crate::log;
use crate::request::parse_timestamp;
use crate::span::Span;

/// Compare two versions of a service by the feature log. No server is asked: the log may be a copy.
///
/// Rows of the same request that both versions have, as a shadow leaves them, are compared pair by pair. Where there are
/// none, as between a canary and the rest, the two are compared as populations.
#[derive(Args)]
#[command(after_help = "\
What the columns say:
  differ      the share of pairs that are not the same bit by bit
  mean |Δ|, max |Δ|   of pairs of finite numbers; of timestamps in µs
  null        the share of rows without a value, in the earlier and the later version
  PSI         the population stability index: 0 where both are spread alike, by custom 0.1 a drift and 0.25 a large one
A shadow looks up what had come to a view when the request came, so what is written to it in between makes no difference,
but for a write in the same moment. Quantiles and PSI are of an even sample of at most 10,000 rows a version, all else of every row.

Examples:
  tidemill service compare flight-delay --from 3 --to 4
  tidemill service compare flight-delay --from 3 --to 4 --since 2d --threshold 0.5
  tidemill service compare flight-delay --from 3 --to 4 --log copied/log --json")]
pub struct Compare {
    name: String,
    /// The earlier version.
    #[arg(long, value_name = "VERSION")]
    from: u32,
    /// The later version.
    #[arg(long, value_name = "VERSION")]
    to: u32,
    /// The folder of the feature log, or one with some of its files.
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    log: Option<PathBuf>,
    /// The data folder of a server, whose log it is.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Only requests since then: 2026-11-20T12:00:00Z, 2026-11-20 (UTC), or 12h, 2d ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Rows of each version to look at, the newest.
    #[arg(long, default_value_t = 1_000_000, value_name = "ROWS")]
    limit: usize,
    /// Say how often the score falls on another side of this.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Print all of it as JSON.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(self) -> Result<()> {
        let dir = self.log.unwrap_or_else(|| self.data_dir.join("log"));
        let since = self.since.as_deref();
        let since = since.map(|text| moment("--since", text)).transpose()?;
        let day = since.map(|since| since.strftime("%Y-%m-%d").to_string());
        let files = log::files(&dir, &self.name, day.as_deref())?;
        if files.is_empty() {
            bail!(
                "{} has no file of service {}{}; a server closes its files every log.file_seconds and when it stops",
                dir.display(),
                self.name,
                day.map_or_else(String::new, |day| format!(" of {day} or later"))
            );
        }
        let options = Options {
            service: self.name,
            from: self.from,
            to: self.to,
            since: since.map(|since| since.as_microsecond()),
            limit: self.limit,
            threshold: self.threshold,
        };
        let comparison = compare(files, &options)?;
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&comparison)?),
            false => print(&comparison),
        }
        Ok(())
    }
}

/// A moment as a person says it.
pub fn moment(option: &str, text: &str) -> Result<jiff::Timestamp> {
    if let Ok(micros) = parse_timestamp(text) {
        return Ok(jiff::Timestamp::from_microsecond(micros)?);
    }
    if let Ok(micros) = parse_timestamp(&format!("{text}T00:00:00Z")) {
        return Ok(jiff::Timestamp::from_microsecond(micros)?);
    }
    let span: StrDeserializer<'_, SpanError> = text.into_deserializer();
    let span = Span::deserialize(span).ok().with_context(|| {
        format!(
            "{option}: \"{text}\" is no moment such as 2026-11-20T12:00:00Z, 2026-11-20, 12h or 2d"
        )
    })?;
    let moment = jiff::Timestamp::now()
        .as_microsecond()
        .saturating_sub(span.micros());
    Ok(jiff::Timestamp::from_microsecond(moment.max(0))?)
}

fn print(comparison: &Comparison) {
    let Comparison {
        service, from, to, ..
    } = comparison;
    println!("{service}@{} → {service}@{}", from.version, to.version);
    print!("{}", sides(from, to));
    match comparison.pairs {
        0 => println!("\nno request has rows of both: two populations"),
        1 => println!("\n1 pair: a row of a request that both have"),
        pairs => println!("\n{pairs} pairs: rows of requests that both have"),
    }

    let of_note = |feature: &&FeatureCompared| match feature.differ {
        _ if !(feature.in_from && feature.in_to) => false,
        Some(differ) => differ > 0.0,
        None => true,
    };
    let (shown, same): (Vec<&FeatureCompared>, Vec<&FeatureCompared>) = (comparison.features)
        .iter()
        .filter(|feature| feature.in_from && feature.in_to)
        .partition(of_note);
    if !shown.is_empty() {
        println!("\n{}", features(comparison, &shown).to_string().trim_end());
    }
    match (same.len(), shown.is_empty()) {
        (0, _) => {}
        (count, true) => println!("\nall {count} features are the same in every pair"),
        (1, false) => println!("1 more is the same in every pair"),
        (count, false) => println!("{count} more are the same in every pair"),
    }
    for (side, only) in [
        (
            from,
            (comparison.features.iter())
                .filter(|it| !it.in_to)
                .collect::<Vec<_>>(),
        ),
        (
            to,
            (comparison.features.iter())
                .filter(|it| !it.in_from)
                .collect(),
        ),
    ] {
        let names: Vec<&str> = only.iter().map(|feature| feature.name.as_str()).collect();
        if !names.is_empty() {
            println!("only in {service}@{}: {}", side.version, names.join(", "));
        }
    }
    print_score(comparison);
}

fn sides(from: &SideCompared, to: &SideCompared) -> Table {
    let mut table = Table::new(&[
        "version", "files", "rows", "first", "last", "role", "outcomes", "µs p50", "p99",
    ]);
    for side in [from, to] {
        let words = |counts: &std::collections::BTreeMap<String, u64>| {
            let words = counts.iter().map(|(word, count)| format!("{count} {word}"));
            words.collect::<Vec<_>>().join(", ")
        };
        let time = |time: Option<jiff::Timestamp>| {
            time.map_or_else(String::new, |time| {
                time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
            })
        };
        table.row([
            side.version.to_string(),
            side.files.to_string(),
            side.rows.to_string(),
            time(side.first),
            time(side.last),
            words(&side.roles),
            words(&side.outcomes),
            number(side.micros.p50),
            number(side.micros.p99),
        ]);
    }
    table
}

fn features(comparison: &Comparison, shown: &[&FeatureCompared]) -> Table {
    let null = |version: u32| format!("null {version}");
    let (from, to) = (null(comparison.from.version), null(comparison.to.version));
    let mut table = Table::new(&[
        "feature",
        "differ",
        "mean |Δ|",
        "max |Δ|",
        &from,
        &to,
        "PSI",
    ]);
    for feature in shown {
        table.row([
            feature.name.clone(),
            percent(feature.differ),
            number(feature.mean_distance),
            number(feature.max_distance),
            percent(feature.null_from),
            percent(feature.null_to),
            number(feature.psi),
        ]);
    }
    table
}

fn print_score(comparison: &Comparison) {
    let score = &comparison.score;
    if score.from.mean.is_none() && score.to.mean.is_none() {
        return println!("\nno row has a score");
    }
    let mut table = Table::new(&[
        "score", "mean", "p5", "p25", "p50", "p75", "p95", "p99", "null",
    ]);
    for (side, quantiles, null) in [
        (&comparison.from, &score.from, score.values.null_from),
        (&comparison.to, &score.to, score.values.null_to),
    ] {
        let Quantiles {
            mean,
            p5,
            p25,
            p50,
            p75,
            p95,
            p99,
        } = *quantiles;
        table.row([
            format!("{}@{}", comparison.service, side.version),
            number(mean),
            number(p5),
            number(p25),
            number(p50),
            number(p75),
            number(p95),
            number(p99),
            percent(null),
        ]);
    }
    print!("\n{table}");
    if let Some(differ) = score.values.differ {
        println!(
            "differ in {} of pairs; mean difference {}, mean |Δ| {}, max |Δ| {}",
            percent(Some(differ)),
            number(score.mean_difference),
            number(score.values.mean_distance),
            number(score.values.max_distance)
        );
    }
    println!("PSI {}", number(score.values.psi));
    if let Some(threshold) = &score.threshold {
        println!(
            "at least {}: {} and {}{}",
            threshold.threshold,
            percent(threshold.above_from),
            percent(threshold.above_to),
            threshold.flipped.map_or_else(String::new, |flipped| {
                format!("; {} of pairs change sides", percent(Some(flipped)))
            })
        );
    }
}

fn percent(share: Option<f64>) -> String {
    match share {
        None => "–".to_owned(),
        Some(0.0) => "0 %".to_owned(),
        Some(share) if share < 0.0001 => "< 0.01 %".to_owned(),
        Some(share) => format!("{:.2} %", share * 100.0),
    }
}

/// Four digits that say something.
fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value.abs() >= 1e9 || value.abs() < 1e-4 => format!("{value:.3e}"),
        Some(value) => {
            let before = value.abs().log10().floor() as i32 + 1;
            format!("{value:.*}", (4 - before).clamp(0, 8) as usize)
        }
    }
}
