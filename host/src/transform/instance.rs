//! One instance of a component, with a store of its own.

use wasmtime::component::{ComponentExportIndex, InstancePre, TypedFunc};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store};

use super::contract::{Answered, Asked, Described, WireAnswer, WireDescription, WireFailure};
use super::fault::{MemoryRefused, fault};
use super::limits::Limits;
use crate::block::Block;
use crate::error::Fault;

/// Why there is no instance, or no description of it.
pub(super) enum Missing {
    /// All instances there may be are in use.
    Exhausted,
    /// Its functions have other types than the contract's.
    Unfit(String),
    /// It failed as it began.
    Fault(Fault),
}

/// Counts the instance's linear memory and refuses what is over the limit.
pub(super) struct Memory {
    limit: usize,
    bytes: usize,
}

/// Where a component's two functions are: looked up once a component.
#[derive(Clone)]
pub(super) struct Exports {
    describe: ComponentExportIndex,
    transform: ComponentExportIndex,
}

/// Any error poisons it: whoever gets one drops the instance.
pub(super) struct Instance {
    store: Store<Memory>,
    instance: wasmtime::component::Instance,
    transform: TypedFunc<Asked<'static>, Answered>,
    calls: u32,
    rows: usize,
    /// Linear memory when it was new.
    new_bytes: usize,
}

impl ResourceLimiter for Memory {
    /// A guest that saw its growth refused could go on and answer otherwise than under a higher limit, so the answer
    /// would depend on the host. It is stopped instead, where it asked.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = desired.saturating_sub(current);
        if self.bytes.saturating_add(grown) > self.limit {
            return Err(wasmtime::Error::new(MemoryRefused));
        }
        self.bytes += grown;
        Ok(true)
    }

    /// Tables are bounded by the pool.
    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl Exports {
    pub(super) fn of(component: &wasmtime::component::Component) -> Option<Exports> {
        Some(Exports {
            describe: component.get_export_index(None, "describe")?,
            transform: component.get_export_index(None, "transform")?,
        })
    }
}

impl Instance {
    /// Instantiates under the limits of a call of one row: a start function is as bounded as a call.
    pub(super) fn new(
        pre: &InstancePre<Memory>,
        exports: &Exports,
        limits: &Limits,
    ) -> Result<Instance, Missing> {
        let mut store = Store::new(
            pre.engine(),
            Memory {
                limit: limits.memory_bytes,
                bytes: 0,
            },
        );
        store.limiter(|memory| memory);
        store.set_hostcall_fuel(limits.answer_bytes);
        let missing = |error: wasmtime::Error| match error.is::<PoolConcurrencyLimitError>() {
            true => Missing::Exhausted,
            false => Missing::Fault(fault(&error, limits, limits.fuel)),
        };
        store.set_fuel(limits.fuel).map_err(missing)?;
        let instance = pre.instantiate(&mut store).map_err(missing)?;
        let transform = instance
            .get_typed_func(&mut store, exports.transform)
            .map_err(|error| unfit("transform", &error))?;
        let new_bytes = store.data().bytes;
        Ok(Instance {
            store,
            instance,
            transform,
            calls: 0,
            rows: 0,
            new_bytes,
        })
    }

    pub(super) fn describe(
        &mut self,
        exports: &Exports,
        limits: &Limits,
    ) -> Result<WireDescription, Missing> {
        let fail = |error: wasmtime::Error| Missing::Fault(fault(&error, limits, limits.fuel));
        self.store.set_fuel(limits.fuel).map_err(fail)?;
        let (description,) = self
            .instance
            .get_typed_func::<(), Described>(&mut self.store, exports.describe)
            .map_err(|error| unfit("describe", &error))?
            .call(&mut self.store, ())
            .map_err(fail)?;
        Ok(description)
    }

    /// One call, with the fuel it took.
    pub(super) fn transform(
        &mut self,
        rows: &Block,
        limits: &Limits,
    ) -> Result<(WireAnswer, u64), Fault> {
        let fuel = limits.fuel_for(rows.rows());
        let fail = |error: wasmtime::Error| fault(&error, limits, fuel);
        self.calls += 1;
        self.rows += rows.rows();
        self.store.set_fuel(fuel).map_err(fail)?;
        let transform: TypedFunc<Asked<'_>, Answered> = self.transform;
        let (answer,) = transform
            .call(&mut self.store, (rows.into(),))
            .map_err(fail)?;
        let left = self.store.get_fuel().map_err(fail)?;
        match answer {
            Ok(answer) => Ok((answer, fuel - left)),
            Err(WireFailure { message }) => Err(Fault::Failure(super::capped(message))),
        }
    }

    /// Linear memory, in bytes. It only grows.
    pub(super) fn memory(&self) -> usize {
        self.store.data().bytes
    }

    /// Whether another call may come to it.
    pub(super) fn is_good(&self, limits: &Limits) -> bool {
        self.calls < limits.calls_per_instance
            && self.rows < limits.rows_per_instance
            && self.memory() - self.new_bytes <= limits.warm_memory_bytes
    }
}

fn unfit(function: &str, error: &wasmtime::Error) -> Missing {
    Missing::Unfit(format!(
        "its `{function}` is not that of the contract: {}",
        error.root_cause()
    ))
}
