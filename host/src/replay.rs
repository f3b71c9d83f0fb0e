//! Logged answers run again, from what the log says they saw, and compared bit by bit.
//!
//! A row is run with its raw inputs and with what its look-ups found; every transform's columns, the vector, the score and
//! the outcome must come out as they were logged. Nothing but the log and the service's [bundle](crate::registry::bundle)
//! is needed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;
use futures_util::FutureExt;
use serde::Serialize;
use uuid::Uuid;

use crate::block::{Block, Source};
use crate::error::{Error, Result};
use crate::log::{self, Group, Role};
use crate::offline::{from_arrays, json::write_row};
use crate::request::Request;
use crate::score::{Arrived, Looked, score};
use crate::service::{Service, Wanted};
use crate::store::Status;
use crate::training::diff::{self, Column, Evidence};

/// How many differing rows of a column are kept: those of the smallest requests.
const EVIDENCE: usize = 5;

/// What the replay of a log found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Rows run again and compared.
    pub rows: u64,
    /// Rows with the same bits in every column.
    pub same: u64,
    /// Rows that were not run again, by why.
    pub skipped: BTreeMap<String, u64>,
    /// Those that were compared, with how many rows differ.
    pub columns: Vec<Column>,
}

/// What says which answer a row was, rather than what it was.
const OF_THE_ANSWER: [&str; 5] = ["request_id", "time", "row", "role", "micros"];

/// Replays the rows of `log`, a folder or a file, that `service` answered; `progress` is told of rows as they are done.
pub fn replay(service: &Service, log: &Path, mut progress: impl FnMut(u64)) -> Result<Report> {
    let mut report = Report::default();
    diff::read(log, |batch| {
        let rows = batch.num_rows() as u64;
        // A folder may hold answers of many services and versions.
        let mine = rows_where(&batch, |row| {
            text(&batch, "service", row).as_deref() == Some(service.name())
                && integer(&batch, "service_version", row) == Some(service.plan.number.into())
        });
        let others = rows - mine.len() as u64;
        if others > 0 {
            *report
                .skipped
                .entry("of another service or version".to_owned())
                .or_default() += others;
        }
        if !mine.is_empty() {
            let mine = taken(&batch, &mine)?;
            check_transforms(service, &mine)?;
            for (kind, rows) in kinds(service, &mine) {
                match kind {
                    Kind::Skipped(why) => {
                        *report.skipped.entry(why.to_owned()).or_default() += rows.len() as u64;
                    }
                    Kind::Run { scored, .. } => {
                        again(service, &taken(&mine, &rows)?, scored, &mut report)?;
                    }
                }
            }
        }
        progress(rows);
        Ok(())
    })?;
    Ok(report)
}

/// Rows that can be run together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Skipped(&'static str),
    Run {
        outcome: String,
        /// Whether a score was asked for, rather than the features alone.
        scored: bool,
        /// Of each look-up, whether it ran.
        ran: Vec<bool>,
    },
}

fn kinds(service: &Service, batch: &RecordBatch) -> BTreeMap<Kind, Vec<u32>> {
    let groups: Vec<&Group> = service.shape.groups.iter().filter(|g| g.lookup).collect();
    let mut kinds: BTreeMap<Kind, Vec<u32>> = BTreeMap::new();
    let has_score = |row: usize| {
        ["vector", "score"].iter().any(|name| {
            let column = batch.column_by_name(name);
            column.is_some_and(|column| column.is_valid(row))
        })
    };
    for row in 0..batch.num_rows() {
        let outcome = text(batch, "outcome", row).unwrap_or_default();
        let error = text(batch, "error", row).unwrap_or_default();
        let kind = match outcome.as_str() {
            "failed" | "fallback"
                if error.contains("was not there within") || error.contains("online store") =>
            {
                Kind::Skipped("failed for time or for the store, which a log cannot repeat")
            }
            _ => Kind::Run {
                ran: groups
                    .iter()
                    .map(|group| text(batch, &log::status_column(group), row).is_some())
                    .collect(),
                // A refused row has no score in any case.
                scored: outcome != "answered" || has_score(row),
                outcome,
            },
        };
        kinds.entry(kind).or_default().push(row as u32);
    }
    kinds
}

/// Runs rows again whose look-ups all ran or all did not.
fn again(service: &Service, logged: &RecordBatch, scored: bool, report: &mut Report) -> Result<()> {
    let rows = logged.num_rows();
    let groups = &service.shape.groups;
    let request = block(logged, &groups[0], rows)?;
    let mut found = Vec::new();
    let lookups = groups.iter().filter(|group| group.lookup);
    for ((at, step), group) in service.plan.lookups().zip(lookups) {
        let statuses: Option<Vec<Status>> = (0..rows)
            .map(|row| status(&text(logged, &log::status_column(group), row)?))
            .collect();
        // One that did not run cannot have mattered; it is as if it had found nothing.
        let (block, looked) = match statuses {
            Some(statuses) => {
                let times = column(logged, &log::event_time_column(group))?;
                let times = times.as_primitive::<TimestampMicrosecondType>();
                let looked = Looked {
                    rows: crate::block::Rows::All,
                    wanted: crate::block::Rows::All,
                    statuses,
                    event_times: times.iter().collect(),
                };
                (block(logged, group, rows)?, looked)
            }
            None => {
                let looked = Looked {
                    rows: crate::block::Rows::All,
                    wanted: crate::block::Rows::All,
                    statuses: vec![Status::NotFound; rows],
                    event_times: vec![None; rows],
                };
                (Block::nulls(&step.columns, rows), looked)
            }
        };
        found.push((at, Source::all(block), looked));
    }
    let request = Request {
        found,
        unhurried: true,
        ..Request::of(request)
    };
    let arrived = Arrived {
        at: 0,
        instant: Instant::now(),
    };
    let plan = &service.plan;
    let wanted = match scored && (plan.score.is_some() || plan.output.is_some()) {
        true => Wanted::Score,
        false => Wanted::Features,
    };
    let Some(outcome) = score(service, request, arrived, wanted).now_or_never() else {
        return Err(Error::Internal("a replay waits for a store".to_owned()));
    };
    let record = outcome?.into_record(service, Uuid::nil(), 0, Role::Answer, Default::default());
    let schema = log::arrow_schema(&service.shape);
    let computed = log::to_batch(&schema, &service.shape, vec![record])
        .map_err(|error| Error::Internal(error.to_string()))?;
    compare(service, logged, &computed, report)
}

fn compare(
    service: &Service,
    logged: &RecordBatch,
    computed: &RecordBatch,
    report: &mut Report,
) -> Result<()> {
    let rows = logged.num_rows();
    let lookups: Vec<String> = service
        .shape
        .groups
        .iter()
        .filter(|group| group.lookup)
        .map(|group| format!("{}.", group.name))
        .collect();
    let mut differing = vec![false; rows];
    let schema = computed.schema();
    for (at, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        // What was looked up is what the replay was given.
        if OF_THE_ANSWER.contains(&name.as_str())
            || lookups
                .iter()
                .any(|lookup| name.starts_with(lookup.as_str()))
        {
            continue;
        }
        let before = column(logged, name)?;
        let after = computed.column(at);
        let place = match report
            .columns
            .iter()
            .position(|column| column.name == *name)
        {
            Some(place) => place,
            None => {
                report.columns.push(Column {
                    name: name.clone(),
                    different: 0,
                    largest: None,
                    evidence: Vec::new(),
                });
                report.columns.len() - 1
            }
        };
        for (row, differs) in differing.iter_mut().enumerate() {
            if diff::same(before, row, after, row) {
                continue;
            }
            *differs = true;
            let column = &mut report.columns[place];
            column.differs(before, row, after, row);
            let evidence = Evidence {
                key: vec![
                    text(logged, "request_id", row).unwrap_or_default(),
                    integer(logged, "row", row).unwrap_or_default().to_string(),
                ],
                left: diff::shown(before, row),
                right: diff::shown(after, row),
                request: Some(inputs(service, logged, row)?),
            };
            keep_smallest(&mut column.evidence, evidence);
        }
    }
    report.rows += rows as u64;
    report.same += differing.iter().filter(|differs| !**differs).count() as u64;
    Ok(())
}

/// Keeps the evidence of the smallest requests, smallest first.
fn keep_smallest(all: &mut Vec<Evidence>, one: Evidence) {
    let size = |evidence: &Evidence| evidence.request.as_ref().map_or(0, String::len);
    let at = all.partition_point(|other| size(other) <= size(&one));
    if at < EVIDENCE {
        all.insert(at, one);
        all.truncate(EVIDENCE);
    }
}

/// The raw inputs of a row, as JSON.
fn inputs(service: &Service, logged: &RecordBatch, row: usize) -> Result<String> {
    let one = taken(logged, &[row as u32])?;
    let group = &service.shape.groups[0];
    let mut out = Vec::new();
    write_row(&block(&one, group, 1)?, &group.schema, 0, &mut out);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The log names the components it ran: another one's bits prove nothing.
fn check_transforms(service: &Service, batch: &RecordBatch) -> Result<()> {
    let lists = column(batch, "transforms")?.as_list::<i32>();
    let texts = lists.value(0);
    let ran: Vec<String> = texts
        .as_string::<i32>()
        .iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    if ran != service.shape.transforms {
        return Err(Error::refused(
            "the replay",
            format!(
                "the log was written by {}, and the service given here pins {}; give the bundle of the service that answered",
                ran.join(", "),
                service.shape.transforms.join(", ")
            ),
        ));
    }
    Ok(())
}

fn block(batch: &RecordBatch, group: &Group, rows: usize) -> Result<Block> {
    let arrays: Vec<_> = group
        .schema
        .fields()
        .iter()
        .map(|field| {
            batch
                .column_by_name(&format!("{}.{}", group.name, field.name))
                .cloned()
        })
        .collect();
    from_arrays(&group.schema, &arrays, rows).map_err(|fault| {
        Error::invalid(
            format!("{}.{}", group.name, fault.column),
            format!("the log cannot be read back: {}", fault.message),
        )
    })
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Arc<dyn Array>> {
    batch.column_by_name(name).ok_or_else(|| {
        Error::invalid(
            name,
            "there is no such column; is it the feature log of this service?",
        )
    })
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let texts = batch.column_by_name(name)?.as_string_opt::<i32>()?;
    texts.is_valid(row).then(|| texts.value(row).to_owned())
}

fn integer(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let array = batch.column_by_name(name)?;
    diff::number(array, row).map(|number| number as i64)
}

fn status(text: &str) -> Option<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status.as_str() == text)
}

fn rows_where(batch: &RecordBatch, wanted: impl Fn(usize) -> bool) -> Vec<u32> {
    (0..batch.num_rows())
        .filter(|&row| wanted(row))
        .map(|row| row as u32)
        .collect()
}

fn taken(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    if rows.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    take_record_batch(batch, &UInt32Array::from(rows.to_vec()))
        .map_err(|error| Error::Internal(error.to_string()))
}
