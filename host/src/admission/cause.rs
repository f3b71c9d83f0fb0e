//! Why answers differ: experiments with one row whose answers did, until one of them names what the answer hangs on.

use super::Failure;
use super::smallest::{row_json, row_text};
use super::ways::row_of;
use crate::block::Block;
use crate::offline::json::write_value;
use crate::schema::{Pool, Schema};
use crate::transform::{Answer, Transform};

/// Calls after which a warm instance is asked again: a state of few values shows itself in one of them.
const WARM_CALLS: usize = 4;
/// Characters shown of a value.
const SHOWN: usize = 80;

/// The first row whose answers differ, and the first output that does; no output where one was refused, or both in
/// other words.
pub(super) fn first_difference(
    one: &Answer,
    other: &Answer,
    outputs: &Schema,
) -> Option<(usize, Option<usize>)> {
    let value = one.rows.first_difference(&other.rows, outputs);
    let (mut mine, mut theirs) = (one.refusals.iter(), other.refusals.iter());
    let refusal = loop {
        match (mine.next(), theirs.next()) {
            (None, None) => break None,
            (Some(a), Some(b)) if a == b => {}
            (a, b) => break a.into_iter().chain(b).map(|refusal| refusal.row).min(),
        }
    };
    match (refusal, value) {
        (Some(row), value) if value.is_none_or(|(at, _)| row <= at) => Some((row, None)),
        (_, value) => value.map(|(row, field)| (row, Some(field))),
    }
}

/// Why a transform answered `row` of `rows` as `seen[0]` in parts on fresh instances, and as `seen[1]` another way. Where
/// no experiment shows it, `fallback`.
pub(super) fn failure(
    transform: &Transform,
    rows: &Block,
    row: usize,
    seen: [&Answer; 2],
    way: &str,
    fallback: Cause,
) -> Failure {
    let finding = experiments(transform, rows, row).unwrap_or_else(|| Finding {
        ways: ["in parts on fresh instances".to_owned(), way.to_owned()],
        answers: seen.map(Answer::clone),
        cause: fallback,
    });
    let description = transform.description();
    let (what, [one, other]) = finding.shown(&description.outputs);
    let [here, there] = &finding.ways;
    let (shown, row_notes) = row_json(rows, &description.inputs, row);
    Failure {
        cause: finding.cause.word.to_owned(),
        reason: format!(
            "row {row}{what}: {one} {here}, {other} {there}: {}; the row is {}",
            finding.cause.sentence,
            row_text(rows, &description.inputs, row)
        ),
        row: shown,
        row_notes,
    }
}

/// Two ways in which one row was answered, each answer a block of that row alone.
struct Finding {
    ways: [String; 2],
    answers: [Answer; 2],
    cause: Cause,
}

/// What an answer hangs on beside its row: a word for programs, and words.
#[derive(Clone, Copy)]
pub(super) struct Cause {
    word: &'static str,
    sentence: &'static str,
}

/// What is tried goes from what the row's neighbours cannot explain to what only they can. Faults on the way are no
/// answers: nothing follows from them here.
fn experiments(transform: &Transform, rows: &Block, row: usize) -> Option<Finding> {
    let description = transform.description();
    let (inputs, outputs) = (&description.inputs, &description.outputs);
    let only = rows.slice(inputs, row..row + 1);
    let alone = transform.call_fresh(&only).ok()?;
    let unlike = |answer: &Answer| first_difference(&alone, answer, outputs).is_some();
    let found = |ways: [&str; 2], answer: Answer, cause: Cause| {
        Some(Finding {
            ways: ways.map(str::to_owned),
            answers: [alone.clone(), answer],
            cause,
        })
    };

    // A call of this row alone, before and after other calls.
    for _ in 0..WARM_CALLS {
        let warm = transform.call_warm(&only).ok()?;
        if unlike(&warm) {
            return found(["on a fresh instance", "on a warm one"], warm, STATE);
        }
        transform.call_warm(rows).ok()?;
    }
    // At the head of a call, with other rows behind it.
    let others: Vec<usize> = (0..rows.rows()).filter(|&other| other != row).collect();
    let order: Vec<usize> = [row].into_iter().chain(others.iter().copied()).collect();
    let headed = transform.call_fresh(&rows.permuted(inputs, &order)).ok()?;
    let headed = row_of(&headed, outputs, 0);
    if unlike(&headed) {
        return found(
            ["alone in a call", "with others behind it"],
            headed,
            NEIGHBOURS,
        );
    }
    // At the end of the same call.
    let order: Vec<usize> = others.iter().copied().chain([row]).collect();
    let ended = transform.call_fresh(&rows.permuted(inputs, &order)).ok()?;
    let ended = row_of(&ended, outputs, others.len());
    if unlike(&ended) {
        return found(["as the first row of a call", "as its last"], ended, ORDER);
    }
    None
}

pub(super) const STATE: Cause = Cause {
    word: "state",
    sentence: "it keeps state between calls",
};
const NEIGHBOURS: Cause = Cause {
    word: "neighbours",
    sentence: "it depends on its neighbours' rows",
};
const ORDER: Cause = Cause {
    word: "order",
    sentence: "it depends on the order of rows, on a row's place or on what stands before it",
};
pub(super) const ROWS: Cause = Cause {
    word: "rows",
    sentence: "it depends on how many rows a call has, or on which",
};
pub(super) const UNKNOWN: Cause = Cause {
    word: "unknown",
    sentence: "its answer depends on more than the row",
};

impl Finding {
    /// Which output it is, and both answers, in words.
    fn shown(&self, outputs: &Schema) -> (String, [String; 2]) {
        let [one, other] = &self.answers;
        match first_difference(one, other, outputs) {
            Some((_, Some(field))) => {
                let mut shown = [one, other].map(|answer| value(&answer.rows, outputs, field));
                if shown[0] == shown[1] {
                    shown[1].push_str(", but other bits,");
                }
                (format!(", \"{}\"", outputs.field(field).name), shown)
            }
            _ => (
                String::new(),
                [one, other].map(|answer| match answer.refusals.first() {
                    Some(refusal) => format!("refused (\"{}\")", brief(&refusal.message)),
                    None => "answered".to_owned(),
                }),
            ),
        }
    }
}

/// The value in a block of one row.
fn value(block: &Block, outputs: &Schema, field: usize) -> String {
    let slot = outputs.slot(field);
    if block.is_valid(slot, 0) && slot.pool == Pool::Floats && !slot.many {
        // JSON has no word for NaN.
        return format!("{:?}", block.float(slot, 0));
    }
    let mut text = Vec::new();
    write_value(block, outputs.field(field), slot, 0, &mut text);
    brief(&String::from_utf8_lossy(&text))
}

fn brief(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
