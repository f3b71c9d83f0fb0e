//! Labels as they are sent: JSON, or lines of it.

use std::path::PathBuf;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::report::reports;
use super::{Declared, Kept, Labels, Subject, unknown};
use crate::clock;
use crate::error::{Error, Result};
use crate::request::{Limits, decode_lines};

/// A request that puts labels, while it is read.
pub struct Putting {
    declared: Declared,
    by: String,
    kept: Kept,
    /// The answers that were named, and not looked for yet.
    answers: Vec<Subject>,
    /// None: there is no log to look for them, or none that can be read.
    log: Option<Log>,
}

/// Where answers are looked for, and which were not found.
struct Log {
    dir: PathBuf,
    file_seconds: u64,
    unknown: Unknown,
}

/// Answers that the log does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    pub answers: u64,
    /// Request and row of the first few.
    pub first: Vec<(Uuid, u32)>,
}

/// So many answers are looked for at once; more would take memory.
const ANSWERS: usize = 100_000;

/// So many of those that are not found are named.
const FIRST: usize = 5;

impl Putting {
    /// `log` is the folder of the feature log, and how many seconds a file of it may stay open.
    pub fn new(declared: Declared, by: String, log: Option<(PathBuf, u64)>) -> Putting {
        Putting {
            declared,
            by,
            kept: Kept::default(),
            answers: Vec::new(),
            log: log.map(|(dir, file_seconds)| Log {
                dir,
                file_seconds,
                unknown: Unknown::default(),
            }),
        }
    }

    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Keeps all labels of a body, or none: one object, or an array of them.
    pub fn json(&mut self, labels: &Labels, body: &[u8]) -> Result<()> {
        let not_json =
            |error: serde_json::Error| Error::invalid("body", format!("not JSON: {error}"));
        let many = body.trim_ascii_start().starts_with(b"[");
        let rows: Vec<&RawValue> = match many {
            true => serde_json::from_slice(body).map_err(not_json)?,
            false => vec![serde_json::from_slice(body).map_err(not_json)?],
        };
        if rows.is_empty() {
            return Err(Error::invalid(
                "body",
                "no labels; send one, or an array of them",
            ));
        }
        self.put(
            labels,
            rows.iter().map(|row| row.get().as_bytes()),
            |row| match many {
                true => format!("rows[{row}]"),
                false => "label".to_owned(),
            },
        )
    }

    /// Keeps the labels of some lines, or none of these; each has its number before it.
    pub fn lines<'l>(
        &mut self,
        labels: &Labels,
        lines: impl Iterator<Item = (u64, &'l [u8])>,
    ) -> Result<()> {
        let (numbers, lines): (Vec<u64>, Vec<&[u8]>) = lines.unzip();
        self.put(labels, lines.into_iter(), |row| {
            format!("line {}", numbers[row])
        })
    }

    fn put<'l>(
        &mut self,
        labels: &Labels,
        rows: impl Iterator<Item = &'l [u8]>,
        place: impl Fn(usize) -> String,
    ) -> Result<()> {
        let limits = Limits {
            rows: usize::MAX,
            ignore_unknown: false,
            defaults: None,
        };
        let (block, refused) = decode_lines(&self.declared.report(), rows, 0, limits);
        if let Some((row, error)) = refused.into_iter().next() {
            return Err(placed(error, row, &place));
        }
        let mut all = Vec::with_capacity(block.rows());
        for (row, report) in reports(&self.declared, &block, &place)?
            .into_iter()
            .enumerate()
        {
            all.push(report.ok_or_else(|| {
                let names = self.declared.fields.names().join(", ");
                Error::invalid(place(row), format!("it says nothing: give {names}"))
            })?);
        }
        self.kept += labels.put(&self.declared, &block, &all, &self.by)?;
        if self.log.is_some() {
            let answers = all.into_iter().map(|report| report.subject);
            self.answers
                .extend(answers.filter(|subject| subject.request().is_some()));
        }
        match self.answers.len() < ANSWERS {
            true => Ok(()),
            false => {
                self.look();
                Ok(())
            }
        }
    }

    /// Looks for the answers in the log; those whose file may not be closed yet are passed over. A log that cannot be read
    /// is as good as none: the labels are kept by then, and whoever sent them has no part in it.
    fn look(&mut self) {
        let answers = std::mem::take(&mut self.answers);
        let Some(log) = &mut self.log else { return };
        // The queue, and what it takes to write a file.
        let seconds = i64::try_from(log.file_seconds).unwrap_or(i64::MAX);
        let open = seconds.saturating_add(5).saturating_mul(1_000_000);
        let recent = clock::now().as_microsecond().saturating_sub(open);
        let service = &self.declared.service;
        match unknown(&log.dir, service, answers.iter(), recent) {
            Ok(missing) => {
                log.unknown.answers += missing.len() as u64;
                let room = FIRST - log.unknown.first.len();
                log.unknown.first.extend(missing.into_iter().take(room));
            }
            Err(error) => {
                tracing::warn!(%service, %error, "labels are kept, and their answers cannot be looked for in the feature log");
                self.log = None;
            }
        }
    }

    /// The answers that were named and that the log does not have; none where there is no log that can be read.
    pub fn unknown(&mut self) -> Option<Unknown> {
        self.look();
        self.log.as_ref().map(|log| log.unknown.clone())
    }
}

/// An error of row `row`, whose path begins `rows[row]`, with the place it really has.
fn placed(error: Error, row: usize, place: &impl Fn(usize) -> String) -> Error {
    match error {
        Error::Invalid { path, message } => {
            let rest = path.strip_prefix(&format!("rows[{row}]")).unwrap_or("");
            Error::invalid(format!("{}{rest}", place(row)), message)
        }
        other => other,
    }
}
