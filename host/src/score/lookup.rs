//! Reading the rows of a view.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use super::{RESERVE, Run};
use crate::block::{Block, Rows, RowsBuilder, Source};
use crate::error::{Error, Result};
use crate::service::{LookUp, Step};
use crate::store::{AsOf, Read, Status, key, row};

/// What a look-up found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Of which rows of the request this speaks: one may stand for all that it was looked up for.
    pub rows: Rows,
    /// The rows it was looked up for.
    pub wanted: Rows,
    pub statuses: Vec<Status>,
    /// µs; of the row that was found, also where it was too old.
    pub event_times: Vec<Option<i64>>,
}

/// A look-up on its way.
pub(super) type Arriving = Pin<Box<dyn Future<Output = Arrival> + Send>>;

/// What came of a look-up that was on its way.
pub(super) struct Arrival {
    pub step: usize,
    /// When it set off.
    pub asked: Instant,
    rows: Rows,
    wanted: Rows,
    /// Of each row, which of the fetched it is; none where its key is null.
    places: Vec<Option<usize>>,
    fetched: Result<Vec<Option<Vec<u8>>>>,
}

impl Run<'_> {
    /// Looks up here and now.
    pub(super) fn look_up(&mut self, at: usize, lookup: &LookUp) -> Result<()> {
        let rows = self.rows_of(at);
        let mut reading = Reading::new(&self.plan.steps[at], lookup);
        let mut bytes = std::mem::take(&mut self.key);
        for place in 0..rows.len(self.scored.total) {
            if !self.key(at, lookup, rows.original(place), &mut bytes) {
                reading.absent(Status::Null, None);
                continue;
            }
            let asked = self.asked(rows.original(place));
            let as_of = self.as_of(lookup, rows.original(place));
            let mut outcome = Ok(());
            let there = lookup.rows.get(&bytes, as_of, &mut |found| {
                outcome = reading.found(found, asked);
            });
            match there.and_then(|there| outcome.map(|()| there)) {
                Ok(true) => {}
                Ok(false) => reading.absent(Status::NotFound, None),
                Err(error) => return self.fail(at, lookup, (rows, self.live.clone()), error),
            }
        }
        let found = reading.finish(rows, self.live.clone());
        self.key = bytes;
        self.keep(at, found);
        Ok(())
    }

    /// Sets off a look-up in a store that waits: one round trip, whatever the number of rows.
    pub(super) fn ask(&self, at: usize, lookup: &LookUp) -> Arriving {
        let rows = self.rows_of(at);
        let mut reads: Vec<Read> = Vec::new();
        let mut known: HashMap<Read, usize> = HashMap::new();
        let mut bytes = Vec::new();
        let places = (0..rows.len(self.scored.total))
            .map(|place| {
                if !self.key(at, lookup, rows.original(place), &mut bytes) {
                    return None;
                }
                let read = (bytes.clone(), self.as_of(lookup, rows.original(place)));
                let place = *known.entry(read).or_insert_with_key(|read| {
                    reads.push(read.clone());
                    reads.len() - 1
                });
                Some(place)
            })
            .collect();
        let asked = Instant::now();
        let own = lookup.timeout.map(|timeout| asked + timeout);
        let whole = self
            .deadline
            .zip(self.plan.deadline)
            .map(|(deadline, budget)| deadline - RESERVE.min(budget / 10));
        let until = [own, whole].into_iter().flatten().min();
        let alias = self.plan.steps[at].alias.clone();
        let view = lookup.rows.clone();
        let wanted = self.live.clone();
        Box::pin(async move {
            let fetch = async {
                match reads.is_empty() {
                    true => Ok(Vec::new()),
                    false => view.fetch(reads).await,
                }
            };
            let fetched = match until {
                None => fetch.await,
                Some(until) => tokio::time::timeout_at(until.into(), fetch)
                    .await
                    .unwrap_or_else(|_| {
                        Err(Error::Late {
                            what: format!("look-up \"{alias}\""),
                            budget: until.saturating_duration_since(asked),
                        })
                    }),
            };
            Arrival {
                step: at,
                asked,
                rows,
                wanted,
                places,
                fetched,
            }
        })
    }

    /// Takes in what came.
    pub(super) fn take(&mut self, arrival: Arrival) -> Result<()> {
        let at = arrival.step;
        let step = &self.plan.steps[at];
        let crate::service::StepKind::LookUp(lookup) = &step.kind else {
            return Ok(());
        };
        let fetched = match arrival.fetched {
            Ok(fetched) => fetched,
            Err(error) => return self.fail(at, lookup, (arrival.rows, arrival.wanted), error),
        };
        let mut reading = Reading::new(step, lookup);
        for (place, fetch) in arrival.places.iter().enumerate() {
            let Some(fetch) = fetch else {
                reading.absent(Status::Null, None);
                continue;
            };
            let asked = self.asked(arrival.rows.original(place));
            match fetched.get(*fetch).and_then(Option::as_deref) {
                None => reading.absent(Status::NotFound, None),
                Some(found) => {
                    if let Err(error) = reading.found(found, asked) {
                        return self.fail(at, lookup, (arrival.rows, arrival.wanted), error);
                    }
                }
            }
        }
        let found = reading.finish(arrival.rows, arrival.wanted);
        self.keep(at, found);
        Ok(())
    }

    /// A look-up that failed counts as absent where it may, else as the failure of the answer.
    fn fail(
        &mut self,
        at: usize,
        lookup: &LookUp,
        (rows, wanted): (Rows, Rows),
        error: Error,
    ) -> Result<()> {
        let status = match error {
            Error::Late { .. } => Status::TimedOut,
            _ => Status::Failed,
        };
        let step = &self.plan.steps[at];
        let mut reading = Reading::new(step, lookup);
        for _ in 0..rows.len(self.scored.total) {
            reading.absent(status, None);
        }
        let found = reading.finish(rows, wanted);
        self.keep(at, found);
        match lookup.may_fail {
            true => {
                tracing::debug!(service = self.service.name(), lookup = step.alias, %error, "a look-up counts as absent");
                Ok(())
            }
            false => Err(match error {
                Error::Store(reason) => {
                    Error::Store(format!("look-up \"{}\": {reason}", step.alias))
                }
                error => error,
            }),
        }
    }

    fn keep(&mut self, at: usize, (block, looked): (Block, Looked)) {
        self.service.metrics.steps[at].looked(&looked.statuses);
        self.scored.sources[at + 1] = Source {
            block,
            rows: looked.rows.clone(),
        };
        self.scored.lookups[at] = Some(looked);
    }

    /// Writes the key of a row of the request; false where a part of it is null.
    fn key(&self, at: usize, lookup: &LookUp, row: usize, out: &mut Vec<u8>) -> bool {
        let places = self.plan.steps[at].inputs.iter().zip(&lookup.key);
        let parts = places.map(|(place, part)| {
            let source = &self.scored.sources[place.source];
            (&source.block, *part, source.rows.find(row).unwrap_or(0))
        });
        key::encode_across(parts, out)
    }

    /// Which of the rows of a key a row of the request means. A view whose rows have no event time of their own has no
    /// past to speak of: what had arrived counts.
    fn as_of(&self, lookup: &LookUp, row: usize) -> AsOf {
        AsOf {
            event: match lookup.view.event_time {
                Some(_) => self.asked(row),
                None => i64::MAX,
            },
            arrival: self.arrivals.as_ref().map_or(i64::MAX, |all| all[row]),
        }
    }

    /// The time that the age of a row of a view is measured against.
    fn asked(&self, row: usize) -> i64 {
        match self.plan.event_time {
            None => self.arrived.at,
            Some(slot) => self.scored.sources[0].block.integer(slot, row),
        }
    }
}

/// Rows of a view on their way into columns.
struct Reading<'a> {
    step: &'a Step,
    lookup: &'a LookUp,
    columns: RowsBuilder,
    looked: Looked,
}

impl<'a> Reading<'a> {
    fn new(step: &'a Step, lookup: &'a LookUp) -> Reading<'a> {
        Reading {
            step,
            lookup,
            columns: RowsBuilder::new(&step.columns),
            looked: Looked::default(),
        }
    }

    /// Takes a stored row, for a request of the time `asked`.
    fn found(&mut self, found: &[u8], asked: i64) -> Result<()> {
        let times = row::times(found)?;
        let limit = self.lookup.max_age;
        if limit.is_some_and(|limit| asked.saturating_sub(times.event) > limit) {
            self.absent(Status::OutsideMaxAge, Some(times.event));
            return Ok(());
        }
        let view = &self.lookup.view.columns;
        row::decode(view, found, &self.step.columns, &mut self.columns)?;
        self.looked.statuses.push(Status::Present);
        self.looked.event_times.push(Some(times.event));
        Ok(())
    }

    fn absent(&mut self, status: Status, event_time: Option<i64>) {
        self.columns.begin_row();
        if let Some(default) = &self.step.default {
            default.fill(&self.step.columns, &mut self.columns);
        }
        self.looked.statuses.push(status);
        self.looked.event_times.push(event_time);
    }

    fn finish(self, rows: Rows, wanted: Rows) -> (Block, Looked) {
        let looked = Looked {
            rows,
            wanted,
            ..self.looked
        };
        (self.columns.finish(), looked)
    }
}
