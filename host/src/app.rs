//! Everything a request may reach, built once.

mod seal;
mod warm;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::config::{Config, StoreKind};
use crate::drift;
use crate::error::{Error, Result};
use crate::jobs::Jobs;
use crate::labels::Labels;
use crate::load::Load;
use crate::log::{FeatureLog, ParquetLog, Saw};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::shadow::Shadows;
use crate::skew::Audit;
use crate::store::{MemoryStore, OnlineStore, SledStore, ThreadedStore};
use crate::transform::Engine;

pub struct App {
    pub config: Config,
    /// Who may do what, and who did.
    pub access: Access,
    pub registry: Arc<Registry>,
    pub store: Arc<dyn OnlineStore>,
    pub labels: Labels,
    /// None where the configuration switches it off.
    pub log: Option<Box<dyn FeatureLog>>,
    /// None where the configuration switches it off.
    pub skew: Option<Audit>,
    /// None where the configuration switches it or the log off.
    pub drift: Option<Arc<drift::Watch>>,
    pub jobs: Arc<Jobs>,
    pub shadows: Shadows,
    pub metrics: Arc<Metrics>,
    /// What is in flight.
    pub load: Arc<Load>,
    /// What is wrong with the store's files, in a sentence.
    pub trouble: Option<String>,
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
        let metrics = Arc::new(Metrics::new()?);
        let history = config.store.history.map(|span| span.0);
        let (db, trouble) = open_checked(dir)?;
        let access = Access::open(&db, &config)?;
        let store: Arc<dyn OnlineStore> = match config.store.kind {
            StoreKind::Sled => Arc::new(SledStore::with_history(
                &db,
                history,
                config.store.hot_bytes,
            )),
            StoreKind::Memory => Arc::new(MemoryStore::with_history(history)),
        };
        let store: Arc<dyn OnlineStore> = match config.store.read_threads {
            0 => store,
            threads => Arc::new(ThreadedStore::new(store, threads)),
        };
        let store = around(store);
        let engine = Engine::new(config.transforms.clone(), Some(dir.join("compiled")))?;
        let registry = Registry::open(&db, dir, engine, store.clone(), metrics.clone())?;
        let registry = Arc::new(registry);
        let drift = match config.drift.enabled && config.log.enabled {
            true => {
                let (settings, registry) = (config.drift.clone(), registry.clone());
                Some(Arc::new(drift::Watch::new(settings, registry, &metrics)?))
            }
            false => None,
        };
        let jobs = Arc::new(Jobs::open(&db, config.jobs.clone(), &metrics)?);
        // Two, into one folder: what shadows leave is not to push out what answers leave.
        let open_log = |saw: Option<Saw>| -> Result<Option<Box<dyn FeatureLog>>> {
            Ok(match config.log.enabled {
                true => Some(Box::new(ParquetLog::watched(
                    &dir.join("log"),
                    config.log.settings.clone(),
                    saw,
                )?)),
                false => None,
            })
        };
        let saw = drift
            .clone()
            .map(|watch| -> Saw { Box::new(move |shape, batch| watch.saw(shape, batch)) });
        let log = open_log(saw)?;
        let shadows = Shadows::start(
            config.shadow.clone(),
            config.server.row_limit,
            open_log(None)?,
            metrics.clone(),
        )?;
        let skew = Audit::start(&config.skew, dir.join("skew"), metrics.clone())?;
        Ok(App {
            load: Arc::new(Load::new(&config.server, &metrics)),
            config,
            skew,
            drift,
            access,
            registry,
            store,
            labels: Labels::open(&db),
            log,
            jobs,
            shadows,
            metrics,
            trouble,
        })
    }

    /// Lets go of everything, and notes what the store's files hold, for the next start to compare. Where somebody still
    /// has it, or sled is not let go of, as by a read that hangs, there is nothing to note.
    pub fn close(app: Arc<App>) {
        let Some(app) = Arc::into_inner(app) else {
            return;
        };
        let dir = app.config.data_dir.clone();
        drop(app);
        if let Err(error) = seal::seal(&dir) {
            tracing::warn!(%error, "what the store's files hold could not be noted");
        }
    }

    /// Of the answers, and of the shadows.
    pub fn logs(&self) -> impl Iterator<Item = &dyn FeatureLog> {
        self.log.as_deref().into_iter().chain(self.shadows.log())
    }

    /// Waits until everything answered and written so far is on disk.
    pub fn flush(&self) -> Result<()> {
        self.logs().try_for_each(FeatureLog::flush)?;
        self.store.flush()
    }
}

/// The database of a data folder, which is made where it is not there. One process has it at a time.
pub fn open_db(dir: &Path) -> Result<sled::Db> {
    open_checked(dir).map(|(db, _)| db)
}

/// As [`open_db`], with what is wrong with its files if they were noted when they were last closed.
fn open_checked(dir: &Path) -> Result<(sled::Db, Option<String>)> {
    let refused = |error: &dyn std::fmt::Display, hint: &str| {
        Error::Store(format!(
            "{} cannot be opened ({error}){hint}",
            dir.display()
        ))
    };
    std::fs::create_dir_all(dir).map_err(|error| {
        Error::Internal(format!(
            "cannot create the data folder {}: {error}",
            dir.display()
        ))
    })?;
    let patience = Instant::now() + Duration::from_secs(3);
    let mut trouble = None;
    loop {
        let alone = match seal::alone(dir) {
            Ok(alone) => Some(alone),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(refused(&error, "; is another server using it?"));
            }
            Err(error) => return Err(refused(&error, "")),
        };
        // It is found once, for the seal is taken away.
        if let Some(found) = seal::broken(dir).map_err(|error| refused(&error, ""))? {
            tracing::error!("{found}");
            trouble = Some(found);
        }
        drop(alone);
        // What it finds damaged it says by a panic, at times.
        let path = dir.join("store");
        let opened = std::panic::catch_unwind(|| sled::Config::new().path(path).open());
        match opened.map_err(|_| damaged(dir, "its own words are above"))? {
            Ok(db) => return Ok((db, trouble)),
            Err(error @ (sled::Error::Corruption { .. } | sled::Error::ReportableBug(_))) => {
                return Err(damaged(dir, error));
            }
            // Another took the lock in between.
            Err(sled::Error::Io(error))
                if error.to_string().contains("acquire lock") && Instant::now() < patience => {}
            Err(error) => return Err(refused(&error, "")),
        }
    }
}

/// What is there is not thrown away, and not guessed at: somebody has to decide.
fn damaged(dir: &Path, error: impl std::fmt::Display) -> Error {
    let store = dir.join("store");
    Error::Store(format!(
        "the store in {} is damaged ({error}): put a copy of the folder back, or move it away and register anew",
        store.display()
    ))
}
