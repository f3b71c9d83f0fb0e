//! Whether the feature log has the answers that labels speak of.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use uuid::Uuid;

use super::Subject;
use crate::error::{Error, Result};
use crate::log;

/// A record may wait so long in the queue before the file that it goes to is opened, in ms.
const QUEUED: u64 = 60_000;

/// So many files of a version may be open at one time: answers' and shadows', and a new day's.
const BEFORE: usize = 4;

/// Of the rows of answers that are named by request, those of which the log in `dir` has none, in order. What was answered
/// after `recent` (µs) may be on its way into the log, and is not among them.
///
/// An id says when it was made, and a log file's name when it was opened: only files that may have it are read.
pub fn unknown<'a>(
    dir: &Path,
    service: &str,
    subjects: impl Iterator<Item = &'a Subject>,
    recent: i64,
) -> Result<Vec<(Uuid, u32)>> {
    let wanted: BTreeSet<(Uuid, u32)> = subjects.filter_map(Subject::request).collect();
    let mut missing: HashSet<(Uuid, u32)> = wanted.iter().copied().collect();
    let mut made: Vec<u64> = wanted.iter().filter_map(|(id, _)| millis(*id)).collect();
    made.sort_unstable();
    made.dedup();
    if made.is_empty() {
        return Ok(wanted.into_iter().collect());
    }
    for path in candidates(&dir.join(format!("service={service}")), &made)? {
        if let Some(file) = log::file(path)? {
            for batch in file.read(0, |name| ["request_id", "row"].contains(&name))? {
                let batch = batch?;
                let column = |name: &str| {
                    batch.column_by_name(name).cloned().ok_or_else(|| {
                        Error::invalid(file.path.display().to_string(), format!("it has no {name}"))
                    })
                };
                let (ids, rows) = (column("request_id")?, column("row")?);
                let rows = rows.as_primitive::<Int32Type>().values().iter();
                for (id, row) in ids.as_string::<i32>().iter().zip(rows) {
                    if let Some(id) = id.and_then(|id| Uuid::try_parse(id).ok()) {
                        missing.remove(&(id, *row as u32));
                    }
                }
            }
        }
        if missing.is_empty() {
            break;
        }
    }
    let recent = u64::try_from(recent / 1000).unwrap_or(0);
    let is_recent = |id: &Uuid| millis(*id).is_some_and(|made| made >= recent);
    Ok(wanted
        .into_iter()
        .filter(|one| missing.contains(one) && !is_recent(&one.0))
        .collect())
}

/// When an id was made, in ms; none where it does not say.
fn millis(id: Uuid) -> Option<u64> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Some(seconds * 1000 + u64::from(nanos) / 1_000_000)
}

/// The files that may have what was answered at one of these moments (ms, sorted): of each version the newest
/// then, and those that were opened soon after.
fn candidates(dir: &Path, made: &[u64]) -> Result<Vec<PathBuf>> {
    // Of each version the files by when they were opened.
    let mut opened: BTreeMap<String, BTreeMap<u64, Vec<PathBuf>>> = BTreeMap::new();
    for day in entries(dir)? {
        for path in entries(&day)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let Some((version, id)) = name
                .len()
                .checked_sub(uuid::fmt::Hyphenated::LENGTH)
                .and_then(|at| name.split_at_checked(at))
            else {
                continue;
            };
            let is_file = path.extension().is_some_and(|end| end == "parquet");
            if let Some(at) = Uuid::try_parse(id)
                .ok()
                .and_then(millis)
                .filter(|_| is_file)
            {
                let files = opened.entry(version.to_owned()).or_default();
                files.entry(at).or_default().push(path);
            }
        }
    }
    let mut found = BTreeSet::new();
    for files in opened.values() {
        for &made in made {
            let before = files.range(..=made).rev().take(BEFORE);
            let soon = files.range(made + 1..=made + QUEUED);
            found.extend(before.chain(soon).flat_map(|(_, paths)| paths));
        }
    }
    Ok(found.into_iter().cloned().collect())
}

/// What is in a folder, none where it is not there.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        Error::Internal(format!("the feature log in {}: {error}", dir.display()))
    };
    match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(Vec::new()),
        Err(error) => Err(unreadable(error)),
        Ok(all) => all
            .map(|entry| Ok(entry.map_err(unreadable)?.path()))
            .collect(),
    }
}
