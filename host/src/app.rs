//! Everything a request may reach, built once.

use std::sync::Arc;

use crate::config::{Config, StoreKind};
use crate::error::{Error, Result};
use crate::load::Load;
use crate::log::{FeatureLog, ParquetLog};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::store::{MemoryStore, OnlineStore, SledStore, ThreadedStore};
use crate::transform::Engine;

pub struct App {
    pub config: Config,
    pub registry: Registry,
    pub store: Arc<dyn OnlineStore>,
    /// None where the configuration switches it off.
    pub log: Option<Box<dyn FeatureLog>>,
    pub metrics: Arc<Metrics>,
    /// What is in flight.
    pub load: Arc<Load>,
}

impl App {
    /// Opens what is kept in the data folder. Whatever can fail fails here, before anything listens.
    pub fn open(config: Config) -> Result<App> {
        App::open_with(config, |store| store)
    }

    /// As [`App::open`], with another online store, or another one around the configured one.
    pub fn open_with(
        config: Config,
        store: impl FnOnce(Arc<dyn OnlineStore>) -> Arc<dyn OnlineStore>,
    ) -> Result<App> {
        let around = store;
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|error| {
            Error::Internal(format!(
                "cannot create the data folder {}: {error}",
                dir.display()
            ))
        })?;
        let metrics = Arc::new(Metrics::new()?);
        let db = sled::Config::new()
            .path(dir.join("store"))
            .open()
            .map_err(|error| {
                Error::Store(format!(
                    "{} cannot be opened ({error}); is another server using it?",
                    dir.display()
                ))
            })?;
        let history = config.store.history.map(|span| span.0);
        let store: Arc<dyn OnlineStore> = match config.store.kind {
            StoreKind::Sled => Arc::new(SledStore::with_history(&db, history)),
            StoreKind::Memory => Arc::new(MemoryStore::with_history(history)),
        };
        let store: Arc<dyn OnlineStore> = match config.store.read_threads {
            0 => store,
            threads => Arc::new(ThreadedStore::new(store, threads)),
        };
        let store = around(store);
        let engine = Engine::new(config.transforms.clone(), Some(dir.join("compiled")))?;
        let registry = Registry::open(&db, dir, engine, store.clone(), metrics.clone())?;
        let log: Option<Box<dyn FeatureLog>> = match config.log.enabled {
            true => Some(Box::new(ParquetLog::open(
                &dir.join("log"),
                config.log.settings.clone(),
            )?)),
            false => None,
        };
        Ok(App {
            load: Arc::new(Load::new(&config.server, &metrics)),
            config,
            registry,
            store,
            log,
            metrics,
        })
    }

    /// Waits until everything answered and written so far is on disk.
    pub fn flush(&self) -> Result<()> {
        self.log.iter().try_for_each(|log| log.flush())?;
        self.store.flush()
    }
}
