//! Running transforms: Wasm components that turn input columns into feature columns.
//!
//! A transform is loaded once and called from any thread. It can reach nothing: no clock, no randomness, no file, no
//! other call's data; and it is bounded in time (fuel), memory and size of answer. Equal rows give equal bits, on every
//! machine and in every company.
//!
//! This room is synchronous, knows neither HTTP nor tokio, and is the only one that knows wasmtime.

mod apart;
mod cache;
mod component;
mod contract;
mod description;
mod effort;
mod engine;
mod fault;
#[cfg(test)]
pub(crate) mod guests;
mod instance;
mod limits;
mod nan;
mod pool;
mod ranges;
pub mod sections;
pub mod source;
#[cfg(test)]
mod tests;

pub use apart::{Parts, apart};
pub use component::{componentize, contract};
pub use description::Description;
pub use engine::Engine;
pub use limits::Limits;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::component::InstancePre;

use crate::block::Block;
use crate::error::{Error, Fault, Result, TransformName};
use contract::WireAnswer;
use instance::{Exports, Instance, Memory};
use pool::Warm;

/// Into how many parts a call that met a bound is split.
const SPLIT: usize = 8;
/// Characters of a guest's message that are kept.
const MAX_MESSAGE: usize = 1_000;

/// A transform, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Transform(Arc<Inner>);

/// A transform that somebody else keeps in memory, or nobody.
#[derive(Clone, Default)]
pub struct WeakTransform(Weak<Inner>);

struct Inner {
    engine: Arc<engine::Shared>,
    name: Arc<TransformName>,
    description: Description,
    component_size: usize,
    compile_time: Option<Duration>,
    pre: InstancePre<Memory>,
    exports: Exports,
    warm: Arc<Warm>,
    /// Set when a warm instance has answered otherwise than a fresh one.
    only_fresh: AtomicBool,
}

/// What a transform answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// As many rows as were asked, of the outputs the transform declares. A refused row is null, or zero, empty or false.
    pub rows: Block,
    /// In ascending order of row, at most one a row.
    pub refusals: Vec<Refusal>,
    /// Fuel it took.
    pub fuel: u64,
    /// Linear memory of the instance after the call, in bytes; of the largest, if the rows were split.
    pub memory: usize,
}

/// A row that a transform refused alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub row: usize,
    pub message: String,
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transform({})", self.0.name)
    }
}

impl WeakTransform {
    pub fn upgrade(&self) -> Option<Transform> {
        self.0.upgrade().map(Transform)
    }
}

impl Transform {
    /// A handle that does not keep it in memory.
    pub fn downgrade(&self) -> WeakTransform {
        WeakTransform(Arc::downgrade(&self.0))
    }

    pub fn name(&self) -> &Arc<TransformName> {
        &self.0.name
    }

    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// Bytes of the component.
    pub fn component_size(&self) -> usize {
        self.0.component_size
    }

    /// How long it took to compile; none if it came from the cache.
    pub fn compile_time(&self) -> Option<Duration> {
        self.0.compile_time
    }

    /// Transforms `rows`, a block of the declared inputs, on this thread's warm instance. A row with a number outside its
    /// declared range is refused and never reaches the guest.
    ///
    /// [`Error::Transform`] if the guest fails or answers what it did not declare.
    pub fn call(&self, rows: &Block) -> Result<Answer> {
        if self.0.only_fresh.load(Ordering::Relaxed) {
            return self.call_fresh(rows);
        }
        self.within_ranges(rows, |rows| {
            self.split(rows, |rows| {
                let (outcome, used) = self.ask_warm(rows);
                match outcome {
                    Err(fault) if used => self.ask_again(rows, fault),
                    outcome => outcome,
                }
            })
        })
    }

    /// As [`Transform::call`], but the word of a used instance counts also where it fails: for admission, which looks for
    /// what it kept.
    pub(crate) fn call_warm(&self, rows: &Block) -> Result<Answer> {
        self.within_ranges(rows, |rows| self.split(rows, |rows| self.ask_warm(rows).0))
    }

    /// From now on, also after the next start, every call has an instance of its own: a warm one was seen to answer
    /// otherwise.
    pub fn only_fresh(&self) {
        if !self.0.only_fresh.swap(true, Ordering::Relaxed) {
            if let Some(cache) = &self.0.engine.cache {
                cache.note_state(&self.0.name.digest);
            }
            tracing::error!(transform = %self.0.name, "runs on fresh instances from now on");
        }
    }

    /// Whether it is so.
    #[cfg(test)]
    pub(crate) fn is_only_fresh(&self) -> bool {
        self.0.only_fresh.load(Ordering::Relaxed)
    }

    /// As [`Transform::call`], on an instance made for this call alone, about ten times as dear for one row.
    pub fn call_fresh(&self, rows: &Block) -> Result<Answer> {
        self.within_ranges(rows, |rows| {
            self.split(rows, |rows| self.ask(&mut self.instance()?, rows))
        })
    }

    /// Lets this thread's warm instance go: the next call begins another's life.
    pub(crate) fn cool(&self) {
        drop(self.0.warm.take());
    }

    /// Instances that lie idle, on all threads; and lets them go.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        let idle = self.0.warm.len();
        self.0.engine.pool.evict(usize::MAX);
        idle
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.engine.limits
    }

    /// Asks this thread's warm instance, or a new one where it has none; and whether it had been used before.
    fn ask_warm(&self, rows: &Block) -> (Result<Answer>, bool) {
        let (mut instance, used) = match self.0.warm.take() {
            Some(instance) => (instance, true),
            None => match self.instance() {
                Ok(instance) => (instance, false),
                Err(error) => return (Err(error), false),
            },
        };
        // On a fault the instance goes: it stopped in the middle of something.
        let answer = self.ask(&mut instance, rows);
        if answer.is_ok() && instance.is_good(&self.0.engine.limits) {
            self.0.warm.put(instance);
        }
        (answer, used)
    }

    /// Asks a new instance what a used one failed on: what that had been through may be why, and no row fails for those
    /// before it. A guest that only had less memory left than a new one is honest; one that failed for another reason kept
    /// something between calls.
    fn ask_again(&self, rows: &Block, fault: Error) -> Result<Answer> {
        if rows.rows() > 1 && is_bound(&fault) {
            // It is tried again in parts anyway.
            return Err(fault);
        }
        let answer = self.ask(&mut self.instance()?, rows)?;
        if !is_bound(&fault) {
            tracing::error!(transform = %self.0.name, %fault, "a used instance failed where a new one answers");
            self.only_fresh();
        }
        Ok(answer)
    }

    /// Calls for all rows at once or, over `rows_per_call`, for parts of them.
    ///
    /// Fuel, memory and size of answer bound a call, so a row that passes alone could fail in the company of dear rows.
    /// Where a call of several rows meets such a bound, it is tried again in parts, down to one row: no row fails for its
    /// neighbours. One that is too dear alone may pass in company, whose fuel it shares.
    fn split(&self, rows: &Block, call: impl Fn(&Block) -> Result<Answer>) -> Result<Answer> {
        let (inputs, outputs) = (&self.0.description.inputs, &self.0.description.outputs);
        let total = rows.rows();
        let mut size = self.0.engine.limits.rows_per_call;
        if total <= size {
            match call(rows) {
                Err(error) if total > 1 && is_bound(&error) => size = total.div_ceil(SPLIT),
                answer => return answer,
            }
        }
        let (mut whole, mut parts) = (Answer::default(), Vec::new());
        let mut start = 0;
        while start < total {
            let end = total.min(start + size);
            match call(&rows.slice(inputs, start..end)) {
                Err(error) if end - start > 1 && is_bound(&error) => {
                    size = (end - start).div_ceil(SPLIT)
                }
                Err(error) => return Err(error),
                Ok(part) => {
                    let refusals = part.refusals.into_iter();
                    whole.refusals.extend(refusals.map(|refusal| Refusal {
                        row: refusal.row + start,
                        ..refusal
                    }));
                    whole.fuel += part.fuel;
                    whole.memory = whole.memory.max(part.memory);
                    parts.push(part.rows);
                    start = end;
                }
            }
        }
        whole.rows = Block::concat(outputs, &parts);
        Ok(whole)
    }

    /// One call, its answer checked against what the transform declares.
    fn ask(&self, instance: &mut Instance, rows: &Block) -> Result<Answer> {
        let limits = &self.0.engine.limits;
        let outputs = &self.0.description.outputs;
        if rows.rows() == 0 {
            return Ok(Answer {
                rows: Block::nulls(outputs, 0),
                ..Answer::default()
            });
        }
        let (
            WireAnswer {
                rows: answered,
                refusals,
            },
            fuel,
        ) = instance
            .transform(rows, limits)
            .map_err(|fault| self.failed(fault))?;
        let bad = |what: String| self.failed(Fault::BadAnswer(what));
        let answered = Block::check(answered.into(), outputs, rows.rows()).map_err(bad)?;
        if let Some(what) = answered.out_of_range(outputs) {
            return Err(bad(what));
        }
        let mut next = 0;
        for refusal in &refusals {
            if (refusal.row as usize) < next || refusal.row as usize >= rows.rows() {
                return Err(bad(format!(
                    "it refuses row {} of {}, out of order or range",
                    refusal.row,
                    rows.rows()
                )));
            }
            next = refusal.row as usize + 1;
        }
        let refusals = refusals
            .into_iter()
            .map(|refusal| Refusal {
                row: refusal.row as usize,
                message: capped(refusal.message),
            })
            .collect();
        Ok(Answer {
            rows: answered,
            refusals,
            fuel,
            memory: instance.memory(),
        })
    }

    fn instance(&self) -> Result<Instance> {
        self.0
            .engine
            .instance(&self.0.pre, &self.0.exports, |fault| self.failed(fault))
    }

    fn failed(&self, fault: Fault) -> Error {
        Error::Transform {
            transform: self.0.name.clone(),
            fault,
        }
    }
}

/// Whether a call met a bound that fewer rows might not meet.
fn is_bound(error: &Error) -> bool {
    let Error::Transform { fault, .. } = error else {
        return false;
    };
    matches!(
        fault,
        Fault::OutOfFuel { .. } | Fault::OutOfMemory { .. } | Fault::AnswerTooLarge { .. }
    )
}

/// A guest's message, at most [`MAX_MESSAGE`] characters of it.
fn capped(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
    }
    message
}
