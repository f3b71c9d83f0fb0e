//! The Wasm engine: one a process, shared by all transforms and all threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OperatorCost, OptLevel, PoolingAllocationConfig,
};

use super::cache::Cache;
use super::component::{componentize, malformed, refused};
use super::description::Description;
use super::instance::{Exports, Instance, Memory, Missing};
use super::limits::Limits;
use super::pool::Pool;
use super::sections::{self, Sections};
use super::{Inner, Transform, effort, nan, source};
use crate::digest::digest;
use crate::error::{Error, Fault, Result, TransformName};

/// A 32-bit memory in so much reserved address space, with a guard behind it, needs no bounds check.
const MEMORY_RESERVATION: u64 = 1 << 32;
const MEMORY_GUARD: u64 = 32 << 20;
/// Of an instance's memory, what is wiped and kept when the instance goes, rather than given back to the system.
const KEPT_BYTES: usize = 1 << 20;
const TABLE_ELEMENTS: usize = 20_000;
/// A component made of one module has one; some tools add shims.
const CORE_INSTANCES: u32 = 4;
/// How often a thread looks for room for an instance before it gives up: some milliseconds.
const WAITS: usize = 10_000;
const STACK_BYTES: usize = 512 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

pub(super) struct Shared {
    pub(super) wasm: wasmtime::Engine,
    pub(super) limits: Limits,
    pub(super) pool: Pool,
    pub(super) cache: Option<Cache>,
}

impl Engine {
    /// An engine, and a cache of compiled transforms in `cache_dir` if one is given. Fails where a limit makes no sense,
    /// the address space cannot be reserved, or the folder cannot be written.
    pub fn new(limits: Limits, cache_dir: Option<PathBuf>) -> Result<Engine> {
        limits.check()?;
        let wasm = wasmtime::Engine::new(&config(&limits)).map_err(|error| {
            Error::Internal(format!(
                "no Wasm engine with room for {} instances: {error:#}; lower transforms.instances if the address space is limited",
                limits.instances
            ))
        })?;
        let cache = cache_dir
            .map(|folder| Cache::open(folder, &wasm))
            .transpose()?;
        Ok(Engine(Arc::new(Shared {
            wasm,
            limits,
            pool: Pool::default(),
            cache,
        })))
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A transform from a component or a raw core module, compiled or taken from the cache, and asked what it is.
    ///
    /// [`Error::TooLarge`] over `component_bytes`; else [`Error::Refused`] with the reason in one sentence: no Wasm, cut
    /// off, an import, another contract, a missing export, a start or `describe` that fails or never ends, a description
    /// that does not keep to the rules.
    pub fn load(&self, bytes: &[u8]) -> Result<Transform> {
        let limits = &self.0.limits;
        limits.check_size(bytes)?;
        let bytes = componentize(bytes)?;
        let digest = digest(&bytes);
        let sections = Sections::of(&bytes).map_err(refused)?;
        let provenance = sections.provenance().map_err(refused)?;
        if let Some(archive) = sections.source() {
            source::check(archive)
                .map_err(|reason| refused(format!("of its source archive, {reason}")))?;
        }
        let (component, compile_time) = self.compile(&sections.code(), &digest)?;
        let pre = Linker::<Memory>::new(&self.0.wasm)
            .instantiate_pre(&component)
            .map_err(unfit)?;
        let exports = Exports::of(&component)
            .ok_or_else(|| refused("it exports no `describe` or `transform`".into()))?;
        let mut description = self.describe(&pre, &exports)?;
        description.provenance =
            sections::united(provenance, description.provenance).map_err(refused)?;
        // Only now: what is refused leaves nothing behind.
        if let (Some(cache), Some(_)) = (&self.0.cache, compile_time) {
            cache.put(&digest, &component);
        }
        let cache = self.0.cache.as_ref();
        let only_fresh = cache.is_some_and(|cache| cache.has_state(&digest));
        tracing::debug!(name = description.name, version = %description.version, digest, ?compile_time, "transform loaded");
        let name = TransformName {
            name: description.name.clone(),
            version: description.version.clone(),
            digest,
        };
        Ok(Transform(Arc::new(Inner {
            engine: self.0.clone(),
            name: Arc::new(name),
            description,
            component_size: bytes.len(),
            compile_time,
            pre,
            exports,
            warm: self.0.pool.add(),
            only_fresh: only_fresh.into(),
        })))
    }

    /// Lets go of what was kept of a component that turned out not to be wanted.
    pub fn forget(&self, transform: &Transform) {
        if let Some(cache) = &self.0.cache {
            cache.remove(&transform.name().digest);
        }
    }

    /// From the cache, or compiled in the time that is said.
    fn compile(&self, bytes: &[u8], digest: &str) -> Result<(Component, Option<Duration>)> {
        let cache = self.0.cache.as_ref();
        if let Some(component) = cache.and_then(|cache| cache.get(digest, &self.0.wasm)) {
            return Ok((component, None));
        }
        let started = Instant::now();
        let bytes = nan::checked(bytes).map_err(|error| refused(malformed(error)))?;
        effort::check(&bytes).map_err(refused)?;
        let component = Component::from_binary(&self.0.wasm, &bytes).map_err(unfit)?;
        Ok((component, Some(started.elapsed())))
    }

    /// Asks twice: what a transform is does not depend on how often it was asked.
    fn describe(&self, pre: &InstancePre<Memory>, exports: &Exports) -> Result<Description> {
        let started = |fault| refused(format!("as it starts, {fault}"));
        let mut instance = self.0.instance(pre, exports, started)?;
        let mut ask = || {
            let said = instance.describe(exports, &self.0.limits);
            let said = said.map_err(|missing| match missing {
                Missing::Fault(fault) => refused(format!("asked to describe itself, {fault}")),
                Missing::Unfit(what) => refused(what),
                Missing::Exhausted => unreachable!("it is there"),
            })?;
            Description::check(said).map_err(refused)
        };
        let (first, second) = (ask()?, ask()?);
        match first == second {
            true => Ok(first),
            false => Err(refused(
                "asked a second time, it describes itself otherwise".to_owned(),
            )),
        }
    }
}

impl Shared {
    /// A new instance. Where there is no room, idle ones make it; where none is idle, a call that ends does, for calls are
    /// short and a thread that waits here holds none.
    pub(super) fn instance(
        &self,
        pre: &InstancePre<Memory>,
        exports: &Exports,
        failed: impl FnOnce(Fault) -> Error,
    ) -> Result<Instance> {
        let all = self.limits.instances;
        for _ in 0..WAITS {
            match Instance::new(pre, exports, &self.limits) {
                Ok(instance) => return Ok(instance),
                Err(Missing::Fault(fault)) => return Err(failed(fault)),
                Err(Missing::Unfit(what)) => return Err(refused(what)),
                Err(Missing::Exhausted) => {
                    if self.pool.evict(all.div_ceil(16) as usize) == 0 {
                        std::thread::yield_now();
                    }
                }
            }
        }
        Err(Error::Internal(format!(
            "all {all} instances of transforms are in use at once: raise transforms.instances"
        )))
    }
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    // The same bits everywhere: one NaN (see `nan`), no instruction whose result is the processor's choice, nothing shared.
    config.cranelift_nan_canonicalization(false);
    config.wasm_relaxed_simd(false);
    config.wasm_features(wasmtime::WasmFeatures::THREADS, false);
    // Time is fuel. Growing memory is a call into the host, which an ordinary instruction's price would give away.
    config.consume_fuel(true);
    let mut cost = OperatorCost::new();
    cost.MemoryGrow = u8::MAX;
    config.operator_cost(cost);
    config.max_wasm_stack(STACK_BYTES);
    // Synchronous, and nothing to wait for.
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.cranelift_opt_level(OptLevel::Speed);
    config.memory_reservation(MEMORY_RESERVATION);
    config.memory_guard_size(MEMORY_GUARD);
    config.memory_init_cow(true);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(CORE_INSTANCES))
        .total_memories(limits.instances)
        .total_tables(limits.instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(1)
        .max_tables_per_component(1)
        .max_memory_size(limits.memory_bytes.next_multiple_of(64 << 10))
        .table_elements(TABLE_ELEMENTS);
    // From Linux 6.7 on the kernel says which pages an instance touched: wiping just these and keeping them makes the next
    // instance nearly twice as cheap. Without that knowledge wiping all that may have been touched costs more than it saves.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEPT_BYTES)
            .table_keep_resident(TABLE_ELEMENTS * size_of::<usize>());
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn unfit(error: wasmtime::Error) -> Error {
    refused(format!("{error:#}"))
}
