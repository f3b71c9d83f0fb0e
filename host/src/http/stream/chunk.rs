//! The results of a chunk, one a line.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use uuid::Uuid;

use super::lines::Chunk;
use crate::app::App;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::http::Problem;
use crate::http::answer::Answer;
use crate::http::score::answer_rows;
use crate::request::{Request, Wishes, decode_lines};
use crate::score::Arrived;
use crate::service::{Service, Wanted};

/// What is asked of whom.
pub struct Scoring {
    pub app: Arc<App>,
    pub service: Arc<Service>,
    pub wanted: Wanted,
    pub features: bool,
}

impl Scoring {
    /// Answers each line of a chunk; `first` is the number of its first row.
    pub async fn answer(&self, chunk: &Chunk, first: u64) -> Vec<u8> {
        let arrived = Arrived::now();
        let plan = &self.service.plan;
        let lines = (0..chunk.lines.len()).map(|at| chunk.line(at));
        let (rows, refused) = decode_lines(&plan.request, lines, first, plan.limits());
        let count = rows.rows();
        // Of each row that fits, which line it is.
        let mut wrong = refused.iter().map(|(at, _)| *at).peekable();
        let places: Vec<usize> = (0..chunk.lines.len())
            .filter(|at| wrong.next_if_eq(at).is_none())
            .collect();
        debug_assert_eq!(places.len(), count);

        let mut refused = refused.into_iter().peekable();
        let mut out = Vec::with_capacity(chunk.lines.len() * 256);
        let mut refuse_until = |end: usize, out: &mut Vec<u8>| {
            while let Some((at, error)) = refused.next_if(|(at, _)| *at < end) {
                let problem = self.problem(error);
                write_problem(first + at as u64, chunk.lines[at].0, &problem, out);
            }
        };
        if count > 0 {
            let outcome = self
                .compute(rows, arrived, |answer, id| {
                    let (mut out, mut result) = (Vec::with_capacity(count * 256), Vec::new());
                    for (row, &at) in places.iter().enumerate() {
                        refuse_until(at, &mut out);
                        result.clear();
                        write_result(answer, row, first + at as u64, id, &mut result);
                        out.extend_from_slice(&result);
                    }
                    out
                })
                .await;
            match outcome {
                Ok(results) => out = results,
                Err(error) => {
                    self.service.metrics.failed.inc();
                    let problem = self.problem(error);
                    for &at in &places {
                        refuse_until(at, &mut out);
                        write_problem(first + at as u64, chunk.lines[at].0, &problem, &mut out);
                    }
                }
            }
        }
        refuse_until(chunk.lines.len(), &mut out);
        out
    }

    async fn compute(
        &self,
        rows: Block,
        arrived: Arrived,
        write: impl FnOnce(&Answer<'_>, Uuid) -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        let request = Request {
            unhurried: true,
            wishes: Wishes {
                features: self.features,
                ..Wishes::default()
            },
            ..Request::of(rows)
        };
        let answer = answer_rows(
            &self.app,
            &self.service,
            self.wanted,
            request,
            arrived,
            arrived.request_id(),
            |answer, id| Ok(write(answer, id)),
        );
        AssertUnwindSafe(answer)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                Err(Error::Internal(
                    "the server panicked; its log says where".to_owned(),
                ))
            })
    }

    /// The line that ends a stream before its time.
    pub fn last_line(&self, row: u64, line: u64, error: Error) -> Vec<u8> {
        let mut out = Vec::new();
        write_problem(row, line, &self.problem(error), &mut out);
        out
    }

    /// An error that is told in a line, counted and told to the log.
    fn problem(&self, error: Error) -> Problem {
        let problem = Problem::from(error);
        problem.trace();
        self.app.metrics.problem(problem.kind());
        problem
    }
}

/// The result of a row as it stands in an answer, with its place in the stream and its request before it.
fn write_result(answer: &Answer<'_>, row: usize, number: u64, id: Uuid, out: &mut Vec<u8>) {
    let head = format!("{{\"row\":{number},");
    answer.result(row, Some(number), out);
    debug_assert!(out.starts_with(head.as_bytes()));
    let id = format!("\"request_id\":\"{id}\",");
    out.splice(head.len()..head.len(), id.into_bytes());
    out.push(b'\n');
}

fn write_problem(row: u64, line: u64, problem: &Problem, out: &mut Vec<u8>) {
    let mut error = problem.body();
    error["line"] = line.into();
    let _ = writeln!(out, "{{\"row\":{row},\"error\":{error}}}");
}
