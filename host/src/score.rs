//! The sentence: *look up → transform → join → score*. What comes before it is `request`, what comes after it the
//! answer and the log.
//!
//! A step runs as soon as what it needs is there; look-ups of a store that waits, all that can, at the same time. Only
//! what the answer needs runs, and behind a gate only once it is open. A step whose inputs are the same for all rows runs
//! once. What is late is given up: its default stands in, else the service's fallback, else the answer is an error.

mod lookup;
mod outcome;
mod record;
#[cfg(test)]
mod tests;
mod transform;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use crate::block::{Rows, Source};
use crate::clock;
use crate::error::{Error, Result};
use crate::join::join;
use crate::model::{self, LoadedModel};
use crate::request::Request;
use crate::service::{Plan, Service, StepKind, Wanted};
use lookup::{Arrival, Arriving};

pub use lookup::Looked;
pub use outcome::{Defaulted, Outcome, Refusal, Scored};

/// When a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// By the calendar, µs, and not before any row that had come by then: what the age of rows is measured against where the
    /// request has no event time.
    pub at: i64,
    /// By the clock that the deadline runs on.
    pub instant: Instant,
}

impl Arrived {
    pub fn now() -> Arrived {
        let instant = Instant::now();
        Arrived {
            at: clock::of_request(instant),
            instant,
        }
    }

    /// An id for what arrived then, of version 7: ids sort by time. Within a millisecond they are in no order, which
    /// would take a lock that all requests share.
    pub fn request_id(&self) -> Uuid {
        let micros = self.at.max(0) as u64;
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, rest as u32 * 1_000);
        Uuid::new_v7(time)
    }
}

/// How much of a deadline is kept back for what comes after the look-ups: a tenth, at most this.
const RESERVE: Duration = Duration::from_millis(5);

/// Runs a service's plan over the rows of a request. Waits only where the store does; without such a store the future is
/// ready when it is first asked.
///
/// An error is one of all rows; what is one row's own is in its [`Outcome`].
pub async fn score(
    service: &Service,
    request: Request,
    arrived: Arrived,
    wanted: Wanted,
) -> Result<Scored> {
    let mut run = Run::new(service, request, arrived, wanted);
    let outcome = run.all(wanted).await;
    run.finish(outcome, wanted)
}

/// A request on its way through the plan.
struct Run<'a> {
    service: &'a Service,
    plan: &'a Plan,
    arrived: Arrived,
    deadline: Option<Instant>,
    /// Of each request field, whether it is the same for all rows.
    shared: Option<Vec<bool>>,
    /// Of each row, when it was asked (µs), where that is not now.
    arrivals: Option<Vec<i64>>,
    fresh: bool,
    /// Rows whose answer is still to be found.
    live: Rows,
    /// Of each step.
    begun: Vec<bool>,
    done: Vec<bool>,
    scored: Scored,
    /// Room for the key of a look-up.
    key: Vec<u8>,
    /// When the last step ended.
    lap: Instant,
}

impl<'a> Run<'a> {
    fn new(service: &'a Service, request: Request, arrived: Arrived, wanted: Wanted) -> Run<'a> {
        let plan = &service.plan;
        let mut scored = Scored::new(plan, request.rows, wanted);
        let mut begun = vec![false; plan.steps.len()];
        for (at, source, looked) in request.found {
            begun[at] = true;
            scored.sources[at + 1] = source;
            scored.lookups[at] = Some(looked);
        }
        Run {
            service,
            plan,
            arrived,
            deadline: plan
                .deadline
                .filter(|_| !request.unhurried)
                .map(|budget| arrived.instant + budget),
            shared: request.shared,
            arrivals: request.arrivals,
            fresh: request.fresh,
            live: Rows::All,
            done: begun.clone(),
            begun,
            scored,
            key: Vec::new(),
            lap: Instant::now(),
        }
    }

    async fn all(&mut self, wanted: Wanted) -> Result<()> {
        if let Some(gate) = &self.plan.gate {
            self.steps(Wanted::Gate).await?;
            let source = &self.scored.sources[gate.when.source];
            let open = |row: usize| {
                source.rows.find(row).is_some_and(|at| {
                    source.block.is_valid(gate.when.slot, at)
                        && source.block.boolean(gate.when.slot, at)
                })
            };
            let total = self.scored.total;
            let live = self.live.clone();
            let closed: Vec<usize> = (0..live.len(total))
                .map(|at| live.original(at))
                .filter(|&row| !open(row))
                .collect();
            self.service
                .metrics
                .gated(live.len(total) - closed.len(), closed.len());
            self.settle(closed.into_iter().map(|row| (row, Outcome::Closed)));
        }
        self.steps(wanted).await?;
        if self.scored.vector.rows == Rows::None && !self.is_settled() {
            let vector = &self.plan.vector;
            let (sources, total) = (&self.scored.sources, self.scored.total);
            self.scored.vector = Source {
                block: join(&vector.schema, &vector.places, sources, &self.live, total),
                rows: self.live.clone(),
            };
        }
        Ok(())
    }

    /// Runs the steps that such an answer needs and that have not run yet.
    async fn steps(&mut self, wanted: Wanted) -> Result<()> {
        let needed = self.plan.needed(wanted);
        // Most stores do not wait, and a set of nothing costs something.
        let mut waiting: Option<FuturesUnordered<Arriving>> = None;
        loop {
            // The plan's order is one in which each step finds what it needs, unless that is still on its way.
            for (at, needed) in needed.iter().enumerate() {
                if self.is_settled() {
                    return Ok(());
                }
                if *needed && !self.begun[at] && self.is_ready(at) {
                    self.begun[at] = true;
                    if let Some(arriving) = self.step(at)? {
                        waiting.get_or_insert_default().push(arriving);
                    }
                }
            }
            let Some(waiting) = &mut waiting else {
                return Ok(());
            };
            match waiting.next().await {
                None => return Ok(()),
                Some(arrival) => self.arrive(arrival)?,
            }
        }
    }

    fn is_ready(&self, at: usize) -> bool {
        let mut sources = self.plan.steps[at].waits_for();
        sources.all(|source| self.done[source - 1])
    }

    /// Runs a step, or sets it off where the store waits.
    fn step(&mut self, at: usize) -> Result<Option<Arriving>> {
        if let Some(deadline) = self.deadline
            && Instant::now() >= deadline
        {
            return Err(self.late());
        }
        match &self.plan.steps[at].kind {
            StepKind::LookUp(lookup) if lookup.rows.waits() => {
                return Ok(Some(self.ask(at, lookup)));
            }
            StepKind::LookUp(lookup) => self.look_up(at, lookup)?,
            StepKind::Transform(transform) => self.transform(at, transform)?,
            StepKind::Model(model) => self.model(at, model)?,
        }
        self.end(at);
        Ok(None)
    }

    fn arrive(&mut self, arrival: Arrival) -> Result<()> {
        let at = arrival.step;
        self.lap = arrival.asked;
        self.take(arrival)?;
        self.end(at);
        Ok(())
    }

    /// Notes that a step is done, and how long it took.
    fn end(&mut self, at: usize) {
        let now = Instant::now();
        let took = now - self.lap;
        self.lap = now;
        self.done[at] = true;
        self.scored.took[at] = took;
        self.service.metrics.steps[at].took(took);
    }

    /// Which rows a step works on: one for all where all that it depends on is shared.
    fn rows_of(&self, at: usize) -> Rows {
        let Some(given) = &self.shared else {
            return self.live.clone();
        };
        let step = &self.plan.steps[at];
        let is_shared = |slot| {
            let fields = self.plan.request.slots().iter().zip(given);
            fields
                .into_iter()
                .any(|(field, given)| *field == slot && *given)
        };
        let shared = step.inputs.iter().all(|place| match place.source {
            0 => is_shared(place.slot),
            source => self.scored.sources[source].rows == Rows::Shared,
        });
        let dated = step.dated && self.plan.event_time.is_some_and(|slot| !is_shared(slot));
        match shared && !dated && !matches!(step.kind, StepKind::Model(_)) {
            true => Rows::Shared,
            false => self.live.clone(),
        }
    }

    fn model(&mut self, at: usize, model: &LoadedModel) -> Result<()> {
        let (plan, total) = (self.plan, self.scored.total);
        let rows = self.live.clone();
        let vector = join(
            &plan.vector.schema,
            &plan.vector.places,
            &self.scored.sources,
            &rows,
            total,
        );
        let outputs = model.run(&plan.vector.schema, &vector)?;
        if plan.model.as_ref().is_some_and(|model| model.is_read) {
            let columns = &plan.steps[at].columns;
            self.scored.sources[at + 1] = Source {
                block: model::to_block(columns, &outputs, rows.len(total)),
                rows: rows.clone(),
            };
        }
        self.scored.outputs = outputs;
        self.scored.vector = Source {
            block: vector,
            rows,
        };
        Ok(())
    }

    /// Gives rows their answers, and goes on without them.
    fn settle(&mut self, settled: impl IntoIterator<Item = (usize, Outcome)>) {
        let before = self.scored.settled;
        for (row, outcome) in settled {
            // The first thing that happens to a row is its answer.
            if matches!(self.scored.outcomes[row], Outcome::Answered) {
                self.scored.outcomes[row] = outcome;
                self.scored.settled += 1;
            }
        }
        if self.scored.settled > before {
            let outcomes = &self.scored.outcomes;
            let live = self.live.clone();
            self.live = live.kept(self.scored.total, |at| {
                matches!(outcomes[live.original(at)], Outcome::Answered)
            });
        }
    }

    fn is_settled(&self) -> bool {
        self.scored.settled == self.scored.total
    }

    fn late(&self) -> Error {
        Error::Late {
            what: "the answer".to_owned(),
            budget: self.plan.deadline.unwrap_or_default(),
        }
    }

    /// An error of all rows is the fallback's turn, where there is one.
    fn finish(mut self, outcome: Result<()>, wanted: Wanted) -> Result<Scored> {
        let fallback = self.plan.on_failure.is_some() && wanted == Wanted::Score;
        if let Err(error) = outcome {
            if !fallback {
                return Err(error);
            }
            let error = Arc::new(error);
            let rows: Vec<usize> = (0..self.scored.total).collect();
            self.settle(
                rows.into_iter()
                    .map(|row| (row, Outcome::Failed(error.clone()))),
            );
        }
        if fallback {
            self.scored.fall_back(&self.service.metrics);
        }
        let order = |defaulted: &Defaulted| (defaulted.row, defaulted.step);
        self.scored.defaulted.sort_by_key(order);
        Ok(self.scored)
    }
}
