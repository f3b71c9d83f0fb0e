//! Where a transform comes from: a file, a project, a server or a data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::app;
use crate::cli::author::{self, BuildOptions};
use crate::cli::client::Client;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::store::MemoryStore;
use crate::transform::{Engine, Limits, Transform};

pub struct Places<'a> {
    pub engine: &'a Engine,
    pub data_dir: Option<&'a Path>,
    pub client: Client,
}

impl Places<'_> {
    pub fn find(&self, id: &str) -> Result<Transform> {
        let path = Path::new(id);
        if is_path(id) {
            let file = match path.is_dir() {
                true => built(path)?,
                false => path.to_owned(),
            };
            let bytes =
                std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(self.engine.load(&bytes)?);
        }
        match self.data_dir {
            Some(dir) => self.kept(dir, id),
            None => {
                let path = format!("/v1/transforms/{id}/component");
                Ok(self.engine.load(&self.client.get_raw(&path)?)?)
            }
        }
    }

    /// Of a data folder whose server is not running.
    fn kept(&self, dir: &Path, id: &str) -> Result<Transform> {
        if !dir.join("store").exists() {
            bail!(
                "{} is no data folder of Tidemill; a server's is its data_dir, ./data where nothing else is said",
                dir.display()
            );
        }
        let db = app::open_db(dir).context(
            "while its server runs, leave --data-dir out, and the transform comes from the server",
        )?;
        let store = Arc::new(MemoryStore::with_history(None));
        let metrics = Arc::new(Metrics::new()?);
        let registry = Registry::open(&db, dir, self.engine.clone(), store, metrics)?;
        let (_, bytes) = registry.component(id)?;
        Ok(self.engine.load(&bytes)?)
    }
}

/// A path rather than an id: it says so, or there is something.
fn is_path(id: &str) -> bool {
    id.ends_with(".wasm") || id.contains(['/', '\\']) || Path::new(id).is_dir()
}

/// The component of a project, built.
fn built(project: &Path) -> Result<PathBuf> {
    let options = BuildOptions {
        manifest_path: project.join("Cargo.toml"),
        packages: Vec::new(),
        examples: false,
        target_dir: project.join("target/tidemill"),
        with_source: false,
        quiet: false,
    };
    let built = author::build(&options, &mut |line| eprintln!("{line}"))?;
    match built.into_iter().next() {
        Some(built) => Ok(built.path),
        None => bail!("{} has no transform", project.display()),
    }
}

/// An engine that keeps what it compiles from one run to the next, in $XDG_CACHE_HOME/tidemill or ~/.cache/tidemill. Where
/// that cannot be written, each run compiles anew.
pub fn engine() -> Result<Engine> {
    let kept = cache().and_then(|folder| Engine::new(Limits::default(), Some(folder)).ok());
    match kept {
        Some(engine) => Ok(engine),
        None => Ok(Engine::new(Limits::default(), None)?),
    }
}

fn cache() -> Option<PathBuf> {
    let home = || Some(std::env::home_dir()?.join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.filter(|path| path.is_absolute()).or_else(home)?;
    Some(cache.join("tidemill"))
}
