//! Calling a transform for the rows of a request.

use std::ops::Range;

use super::{Defaulted, Outcome, Refusal, Run};
use crate::block::{Block, Rows, Source};
use crate::error::{Error, Result};
use crate::join::join;
use crate::transform::{Transform, apart};

/// How many failing rows of a call are told from their neighbours. Each costs some calls more; with so many the rest
/// counts as failing too.
const APART: usize = 16;

impl Run<'_> {
    pub(super) fn transform(&mut self, at: usize, transform: &Transform) -> Result<()> {
        let (step, total) = (&self.plan.steps[at], self.scored.total);
        let rows = self.rows_of(at);
        let inputs = &transform.description().inputs;
        let block = join(inputs, &step.inputs, &self.scored.sources, &rows, total);
        let metrics = &self.service.metrics.steps[at];

        let call = |rows: &Block| match self.fresh {
            true => transform.call_fresh(rows),
            false => transform.call(rows),
        };
        let parts = match call(&block) {
            Ok(answer) if answer.refusals.is_empty() => {
                metrics.called(&answer);
                let block = answer.rows;
                self.scored.sources[at + 1] = Source { block, rows };
                return Ok(());
            }
            Ok(answer) => vec![(0..block.rows(), Ok(answer))],
            Err(error @ Error::Transform { .. }) => apart(inputs, call, &block, error, APART),
            Err(error) => return Err(error),
        };
        let mut settled = Vec::new();
        let mut blocks = Vec::with_capacity(parts.len());
        for (range, part) in parts {
            match part {
                Ok(answer) => {
                    metrics.called(&answer);
                    for refusal in answer.refusals {
                        let refused = Outcome::Refused(Refusal {
                            transform: transform.name().clone(),
                            message: refusal.message,
                        });
                        settled.push((range.start + refusal.row, refused));
                    }
                    blocks.push(answer.rows);
                }
                Err(error) => {
                    metrics.failed(range.len());
                    match &step.default {
                        Some(default) => {
                            blocks.push(default.row.repeated(&step.columns, range.len()))
                        }
                        None => blocks.push(Block::nulls(&step.columns, range.len())),
                    }
                    for place in range {
                        match &step.default {
                            Some(_) => {
                                // One row may stand for all, also for those that have their answer.
                                let wanted = originals(&rows, place, total)
                                    .filter(|&row| self.live.find(row).is_some());
                                let defaulted = wanted.map(|row| Defaulted {
                                    row,
                                    step: at,
                                    error: error.clone(),
                                });
                                self.scored.defaulted.extend(defaulted);
                            }
                            None => settled.push((place, Outcome::Failed(error.clone()))),
                        }
                    }
                }
            }
        }
        let block = match blocks.len() {
            1 => blocks.swap_remove(0),
            _ => Block::concat(&step.columns, &blocks),
        };
        self.scored.sources[at + 1] = Source {
            block,
            rows: rows.clone(),
        };
        let settled = settled.into_iter().flat_map(|(place, outcome)| {
            originals(&rows, place, total).map(move |row| (row, outcome.clone()))
        });
        let settled: Vec<_> = settled.collect();
        if !settled.is_empty() {
            self.settle(settled);
        }
        Ok(())
    }
}

/// The rows of the request that the held row `place` stands for.
fn originals(rows: &Rows, place: usize, total: usize) -> Range<usize> {
    match rows {
        Rows::Shared => 0..total,
        _ => rows.original(place)..rows.original(place) + 1,
    }
}
