//! A file scored into another, through the server's stream.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::HumanCount;
use parking_lot::Mutex;

use super::columns::{Columns, member};
use super::results::{Counts, Results, lines};
use crate::block::Block;
use crate::cli::client::Client;
use crate::cli::progress;
use crate::offline::write::{Cells, Output, extension};
use crate::offline::{
    Ill, forgiving,
    json::{write_text, write_value},
};
use crate::schema::Schema;
use crate::service::Definition;

/// A request holds no more rows than this, and no more bytes unless it is one row: the server reads such a request whole
/// before it answers, so that to send first and to read then is safe.
const REQUEST_ROWS: usize = 1_000;
const REQUEST_BYTES: usize = 128 << 10;

/// Requests at one time.
const CONNECTIONS: usize = 4;

pub struct Job<'a> {
    pub client: &'a Client,
    pub service: &'a str,
    /// `score` or `features`.
    pub what: &'a str,
    pub file: &'a Path,
    pub out: &'a Path,
    pub limit: u64,
    pub features: bool,
    pub model: bool,
}

/// Some rows on their way.
#[derive(Default)]
struct Request {
    body: Vec<u8>,
    rows: usize,
}

impl Job<'_> {
    pub fn run(&self, strict: bool) -> Result<()> {
        extension(self.out)?;
        let shown = self.client.get(&format!("/v1/services/{}", self.service))?;
        // What is asked for by a moving name is answered by one version throughout.
        let pinned = format!(
            "{}@{}",
            shown["name"].as_str().unwrap_or(self.service),
            shown["version"]
        );
        let definition: Definition = member(&shown, "definition")?;
        let mut reader = forgiving(self.file, &definition.request)?;
        self.say_unknown(&pinned, &reader.columns, &definition.request);
        let columns = Columns::new(
            &shown,
            &definition,
            &reader.schema,
            self.model,
            self.features,
        )?;
        let path = format!(
            "/v1/services/{pinned}/{}?features={}",
            self.what, self.features
        );

        let rows = reader.rows_hint.map(|rows| rows.min(self.limit));
        let bar = progress::of_rows(rows, &format!("scoring with {pinned}"))?;
        let started = Instant::now();
        let (mut rows, mut counts) = (0, Counts::default());
        let mut output = None;
        while rows < self.limit {
            let Some((mut block, mut wrong)) = reader.next().transpose()? else {
                break;
            };
            let left = usize::try_from(self.limit - rows).unwrap_or(usize::MAX);
            if block.rows() > left {
                block = block.slice(&reader.schema, 0..left);
                wrong.retain(|wrong| wrong.row < left);
            }
            let count = block.rows() as u64;
            let mut results = Results::new(&columns);
            self.score(&path, &reader.schema, &block, &wrong, &mut results)?;
            counts.ill += results.counts.ill;
            counts.fallback += results.counts.fallback;
            let blocks = results.finish(block);
            // Only now: a file that nothing can be scored of leaves nothing.
            if output.is_none() {
                output = Some(Output::create(self.out, columns.written(), &[])?);
            }
            if let Some(output) = &mut output {
                let cells = columns.columns.iter().map(|column| {
                    let slot = columns.parts[column.part].slot(column.field);
                    Cells::Values(&blocks[column.part], slot)
                });
                output.write(blocks[0].rows(), &cells.collect::<Vec<_>>())?;
            }
            rows += count;
            bar.inc(count);
        }
        bar.finish_and_clear();
        let Some(output) = output else {
            bail!("{} has no rows", self.file.display());
        };
        output.finish()?;
        self.report(rows, counts, started.elapsed());
        if strict && counts.ill > 0 {
            bail!("{} rows could not be scored", counts.ill);
        }
        Ok(())
    }

    fn say_unknown(&self, pinned: &str, there: &[String], wanted: &Schema) {
        let unknown: Vec<&str> = there
            .iter()
            .filter(|name| wanted.position(name).is_none())
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            eprintln!(
                "columns of {} that {pinned} does not ask for are left out: {}",
                self.file.display(),
                unknown.join(", ")
            );
        }
    }

    /// Sends the rows of a block that are not ill, several requests at one time, and collects the results in order.
    fn score(
        &self,
        path: &str,
        schema: &Schema,
        block: &Block,
        wrong: &[Ill],
        results: &mut Results<'_>,
    ) -> Result<()> {
        let requests = requests(schema, block, wrong);
        let answers: Vec<_> = requests.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS.min(requests.len()) {
                scope.spawn(|| {
                    while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
                        && let Some(request) = requests.get(at)
                    {
                        let answer = self.client.post_lines(path, &request.body);
                        if answer.is_err() {
                            // The rest would most likely fail the same way.
                            next.store(requests.len(), Ordering::Relaxed);
                        }
                        *answers[at].lock() = Some(answer);
                    }
                });
            }
        });
        let mut answers: Vec<_> = answers.into_iter().map(Mutex::into_inner).collect();
        // The requests behind one that failed may not have been sent.
        if let Some(failed) = answers.iter_mut().flatten().find(|answer| answer.is_err()) {
            std::mem::replace(failed, Ok(Vec::new()))?;
        }
        let mut wrong = wrong.iter().peekable();
        let mut ill = |results: &mut Results<'_>, row| {
            let found = wrong.next_if(|wrong| wrong.row == row);
            found.inspect(|wrong| results.ill(&wrong.message)).is_some()
        };
        let mut row = 0;
        for (request, answer) in requests.iter().zip(answers) {
            let answer = answer.context("a request was not sent")??;
            for line in lines(&answer, request.rows)? {
                while ill(results, row) {
                    row += 1;
                }
                results.answered(&line);
                row += 1;
            }
        }
        while row < block.rows() && ill(results, row) {
            row += 1;
        }
        Ok(())
    }

    fn report(&self, rows: u64, counts: Counts, took: Duration) {
        let rate = rows as f64 / took.as_secs_f64().max(1e-9);
        println!(
            "{} rows of {} scored into {} in {:.1} s, {} a second",
            HumanCount(rows),
            self.file.display(),
            self.out.display(),
            took.as_secs_f64(),
            HumanCount(rate as u64),
        );
        for (count, what, column) in [
            (counts.ill, "could not be scored", "error"),
            (counts.fallback, "have the fallback for a score", "fallback"),
        ] {
            if count > 0 {
                let count = HumanCount(count);
                println!("{count} of them {what}; the column {column} says why");
            }
        }
    }
}

/// The rows that can be sent, in requests of a bounded size.
fn requests(schema: &Schema, block: &Block, wrong: &[Ill]) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut request = Request::default();
    let mut wrong = wrong.iter().peekable();
    let mut line = Vec::new();
    for row in 0..block.rows() {
        if wrong.next_if(|wrong| wrong.row == row).is_some() {
            continue;
        }
        line.clear();
        write_sent(block, schema, row, &mut line);
        let full = request.rows == REQUEST_ROWS || request.body.len() + line.len() > REQUEST_BYTES;
        if full && request.rows > 0 {
            requests.push(std::mem::take(&mut request));
        }
        request.body.extend_from_slice(&line);
        request.rows += 1;
    }
    if request.rows > 0 {
        requests.push(request);
    }
    requests
}

/// A row as it is sent. A null where the request has a default is left out: a file cannot say it otherwise.
fn write_sent(block: &Block, schema: &Schema, row: usize, line: &mut Vec<u8>) {
    line.push(b'{');
    for (field, &slot) in schema.fields().iter().zip(schema.slots()) {
        if field.default.is_some() && !block.is_valid(slot, row) {
            continue;
        }
        if line.len() > 1 {
            line.push(b',');
        }
        write_text(&field.name, line);
        line.push(b':');
        write_value(block, field, slot, row, line);
    }
    line.extend_from_slice(b"}\n");
}
