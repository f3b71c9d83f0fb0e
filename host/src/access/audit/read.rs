//! Reading the log, newest last, a page at a time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{BEGUN, Line, files};
use crate::error::{Error, Result};

/// Which lines. What is None is anything.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Not older.
    pub since: Option<Timestamp>,
    /// Only lines with smaller numbers: the next page back.
    pub before: Option<u64>,
    pub who: Option<String>,
    /// `token.create`, or `token` for all of its kind.
    pub action: Option<String>,
    /// `great-circle@1.0.0`, or `great-circle` for all of it.
    pub subject: Option<String>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// Lines as they stand in the file, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct Page {
    #[schema(value_type = Vec<Line>)]
    pub lines: Vec<Box<RawValue>>,
    /// Where there are older ones, the `before` that asks for them.
    #[schema(required)]
    pub earlier: Option<u64>,
}

/// The newest lines that fit. A `begun` is left out where its end is there.
pub fn page(dir: &Path, query: &Query) -> Result<Page> {
    let failed =
        |error: io::Error| Error::Internal(format!("the audit log cannot be read: {error}"));
    let mut found: VecDeque<(u64, String)> = VecDeque::new();
    let mut ended = HashSet::new();
    let oldest = query
        .since
        .map(|since| since.strftime("%Y-%m.ndjson").to_string());
    for name in files::names(dir).map_err(failed)?.iter().rev() {
        if found.len() > query.limit || oldest.as_ref().is_some_and(|oldest| name < oldest) {
            break;
        }
        let file = BufReader::new(File::open(dir.join(name)).map_err(failed)?);
        let mut mine = of_file(file, query, &mut ended).map_err(failed)?;
        mine.append(&mut found);
        found = mine;
    }
    let over = found.len().saturating_sub(query.limit);
    found.drain(..over);
    let earlier = match over {
        0 => None,
        _ => found.front().map(|(seq, _)| *seq),
    };
    let lines = found
        .into_iter()
        .map(|(_, text)| RawValue::from_string(text))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Page { lines, earlier })
}

/// The newest lines of one file that fit, one more than the limit at most. `ended` are the beginnings whose end was seen,
/// here or in a later file.
fn of_file(
    mut file: impl BufRead,
    query: &Query,
    ended: &mut HashSet<u64>,
) -> io::Result<VecDeque<(u64, String)>> {
    let mut found = VecDeque::new();
    // Apart, until the whole file is read: few are open at once.
    let mut begun = BTreeMap::new();
    let mut bytes = Vec::new();
    while file.read_until(b'\n', &mut bytes)? > 0 {
        // What is being written now, or was edited, is not for this page; `verify` tells.
        if bytes.pop() == Some(b'\n')
            && let Ok(text) = std::str::from_utf8(&bytes)
            && let Ok(line) = serde_json::from_str::<Line>(text)
        {
            if let Some(start) = line.entry.begun
                && begun.remove(&start).is_none()
            {
                ended.insert(start);
            }
            if query.takes(&line) {
                if line.entry.outcome == BEGUN {
                    begun.insert(line.seq, text.to_owned());
                } else {
                    found.push_back((line.seq, text.to_owned()));
                    if found.len() > query.limit + 1 {
                        found.pop_front();
                    }
                }
            }
        }
        bytes.clear();
    }
    let open = begun.into_iter().filter(|(seq, _)| !ended.contains(seq));
    found.extend(open);
    found.make_contiguous().sort_by_key(|(seq, _)| *seq);
    Ok(found)
}

impl Query {
    fn takes(&self, line: &Line) -> bool {
        let entry = &line.entry;
        self.since.is_none_or(|since| line.at >= since)
            && self.before.is_none_or(|before| line.seq < before)
            && (self.who.is_none() || self.who == entry.who)
            && within(self.action.as_deref(), &entry.action, &['.'])
            && within(self.subject.as_deref(), &entry.subject, &['@', '/'])
    }
}

/// Whether `text` is what is wanted, or a part of it.
fn within(wanted: Option<&str>, text: &str, ends: &[char]) -> bool {
    wanted.is_none_or(|wanted| {
        text.strip_prefix(wanted)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(ends))
    })
}
