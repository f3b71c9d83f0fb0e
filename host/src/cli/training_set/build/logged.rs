//! Rows that the feature log has: what a service version answered, as it was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use serde_json::{Value, json};

use super::Of;
use crate::cli::service::text_of;
use crate::log::{self, LogFile, Role, Shape};

/// Which rows of a feature log.
pub struct Logged {
    /// The folder of the log, or one with some of its files.
    pub dir: PathBuf,
    /// When they were asked: not before, and before (µs).
    pub from: Option<i64>,
    pub to: Option<i64>,
}

/// The files of one service version, and what was not taken of them.
pub struct Files {
    files: Vec<LogFile>,
    from: i64,
    to: i64,
    shadows: AtomicU64,
    /// Rows of other versions of the service.
    others: u64,
}

/// How many rows were answered how.
#[derive(Default)]
pub struct Outcomes(BTreeMap<String, u64>);

impl Logged {
    /// The files of the service version `of`.
    pub fn files(&self, of: &Of<'_>) -> Result<Files> {
        let (name, number) = (&of.definition.name, of.number);
        let day = self.from.map(|from| {
            let from = jiff::Timestamp::from_microsecond(from).unwrap_or_default();
            from.strftime("%Y-%m-%d").to_string()
        });
        let all = log::files(&self.dir, name, day.as_deref())?;
        let rows = |files: &[LogFile]| files.iter().map(|file| file.rows as u64).sum();
        let versions: BTreeSet<u32> = all.iter().map(|file| file.shape.service_version).collect();
        let (files, others): (Vec<LogFile>, Vec<LogFile>) = all
            .into_iter()
            .partition(|file| file.shape.service_version == number);
        if files.is_empty() {
            let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
            bail!(
                "{} has no file of {}{}; {}; a server closes its files every log.file_seconds and when it stops",
                self.dir.display(),
                of.id,
                day.map_or_else(String::new, |day| format!(" of {day} or later")),
                match versions.is_empty() {
                    true => format!("of {name} there is none"),
                    false => format!("of {name} it has version {}", versions.join(", ")),
                }
            );
        }
        let pins: BTreeSet<String> = (of.shown["pins"]["transforms"].as_array())
            .into_iter()
            .flatten()
            .map(|pin| format!("{} sha256:{}", text_of(&pin["id"]), text_of(&pin["digest"])))
            .collect();
        for file in &files {
            let ran: BTreeSet<String> = file.shape.transforms.iter().cloned().collect();
            if ran != pins {
                let words = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
                bail!(
                    "{} was written by another {}: it ran {}, and the server's pins {}",
                    file.path.display(),
                    of.id,
                    words(ran),
                    words(pins)
                );
            }
        }
        Ok(Files {
            others: rows(&others),
            files,
            from: self.from.unwrap_or(i64::MIN),
            to: self.to.unwrap_or(i64::MAX),
            shadows: AtomicU64::new(0),
        })
    }
}

impl Files {
    /// What the files say they hold.
    pub fn shape(&self) -> Option<&Shape> {
        self.files.first().map(|file| &file.shape)
    }

    /// At most so many rows.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows as u64).sum()
    }

    /// The rows of answers within the time, with all columns of the log.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + '_ {
        self.files.iter().flat_map(move |file| {
            let (batches, failed) = match file.read(0, |_| true) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error.into()))),
            };
            let batches = batches.into_iter().flatten();
            let batches = batches.map(move |batch| self.answers(&batch?, file));
            failed.into_iter().chain(batches)
        })
    }

    fn answers(&self, batch: &RecordBatch, file: &LogFile) -> Result<RecordBatch> {
        let (Some(roles), Some(times)) =
            (batch.column_by_name("role"), batch.column_by_name("time"))
        else {
            bail!(
                "{} is no feature log: it has no role and time",
                file.path.display()
            );
        };
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        let roles = roles.as_string::<i32>();
        let mut shadows = 0;
        let wanted = times.iter().zip(roles).map(|(time, role)| {
            let within = (self.from..self.to).contains(time);
            let answer = role == Some(Role::Answer.as_str());
            shadows += u64::from(within && !answer);
            within && answer
        });
        let wanted: BooleanArray = wanted.map(Some).collect();
        self.shadows.fetch_add(shadows, Ordering::Relaxed);
        Ok(filter_record_batch(batch, &wanted)?)
    }

    /// What was passed over, in words: nothing where nothing was.
    pub fn passed_over(&self) -> Vec<String> {
        let counts = [
            (self.shadows.load(Ordering::Relaxed), "of shadows"),
            (self.others, "of other versions"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts
            .map(|(count, what)| format!("{count} rows {what} are passed over"))
            .collect()
    }
}

impl Outcomes {
    pub fn count(&mut self, batch: &RecordBatch) {
        let outcomes = batch.column_by_name("outcome");
        for outcome in outcomes
            .into_iter()
            .flat_map(|column| column.as_string::<i32>())
        {
            let outcome = outcome.unwrap_or_default().to_owned();
            *self.0.entry(outcome).or_default() += 1;
        }
    }

    pub fn told(&self) -> Value {
        json!(self.0)
    }

    /// In words, where not all were simply answered.
    pub fn words(&self) -> Option<String> {
        if self.0.keys().all(|outcome| outcome == "answered") {
            return None;
        }
        let counts = self.0.iter();
        let counts: Vec<String> = counts
            .map(|(outcome, rows)| format!("{rows} {outcome}"))
            .collect();
        Some(format!(
            "by outcome: {}; the column outcome tells them apart, and error says why",
            counts.join(", ")
        ))
    }
}
