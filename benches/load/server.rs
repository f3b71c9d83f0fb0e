//! Servers that are asked: the program's own, and the floor it stands on.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bytes::Bytes;
use clap::Args;
use tempfile::TempDir;
use tidemill::app::App;
use tidemill::config::Config;

/// Which server is asked, and what it has.
#[derive(Args)]
pub struct Served {
    /// The program that serves.
    #[arg(long, default_value = "target/release/tidemill")]
    program: PathBuf,
    /// A data folder with the demo in it; without it the demo is run first.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Lines of a configuration file for the server, such as "[server]\nin_flight = 64" or "[log]\nenabled = false".
    #[arg(long, default_value = "")]
    config: String,
}

impl Served {
    pub fn start(&self) -> Result<Server> {
        let temporary = tempfile::tempdir()?;
        let data = match &self.data_dir {
            Some(dir) => dir.clone(),
            None => demo(&self.program, temporary.path())?,
        };
        self.serve(&data, "", Some(temporary))
    }

    /// A folder within `dir` that holds what the data folder holds, or the demo where none is given.
    pub fn data(&self, dir: &Path) -> Result<PathBuf> {
        let Some(given) = &self.data_dir else {
            return demo(&self.program, dir);
        };
        let data = dir.join("data");
        copy(given, &data)?;
        Ok(data)
    }

    /// A server of this data folder, with lines of configuration after those that are asked for.
    pub fn serve(&self, data: &Path, lines: &str, files: Option<TempDir>) -> Result<Server> {
        let files = files.map_or_else(tempfile::tempdir, Ok)?;
        let config = files.path().join("load.toml");
        std::fs::write(&config, format!("{}\n{lines}", self.config))?;
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .arg("--config")
            .arg(config);
        Server::of(command, Some(files))
    }
}

/// Copies a folder and all that is in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let entries = std::fs::read_dir(from)
        .with_context(|| format!("cannot read the folder {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => _ = std::fs::copy(entry.path(), to)?,
        }
    }
    Ok(())
}

/// Runs the demo, and gives the folder it leaves behind.
fn demo(program: &Path, dir: &Path) -> Result<PathBuf> {
    let data = dir.join("data");
    println!("running the demo, so that there is something to ask…");
    let output = Command::new(program)
        .arg("demo")
        .arg("--data-dir")
        .arg(&data)
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("the demo: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(data)
}

/// What a server stands on that answers with a constant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Tidemill's own connections, limits and access, with one route that does nothing.
    Own,
    /// Axum as its documentation has it.
    Axum,
}

pub struct Server {
    pub child: Child,
    pub url: String,
    /// What it was started with.
    _files: Option<TempDir>,
}

impl Server {
    /// A server that reads what it is sent and answers with so many bytes.
    pub fn floor(base: Base, bytes: usize) -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor-server", &bytes.to_string()]);
        if base == Base::Axum {
            command.arg("--axum");
        }
        Server::of(command, None)
    }

    /// Asks it to end, and waits until it has, so that the next start finds what a start after a stop finds.
    pub fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()?;
        ensure!(asked.success(), "the server cannot be stopped");
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    fn of(mut command: Command, files: Option<TempDir>) -> Result<Server> {
        let mut child = command
            .env("TIDEMILL_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let mut line = String::new();
        let output = child.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ");
        let url = url.with_context(|| format!("the server says {line:?}"))?;
        Ok(Server {
            url: url.to_owned(),
            child,
            _files: files,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One route, the body read, so many bytes answered.
pub fn floor_router(bytes: usize) -> Router {
    let answer = Bytes::from("x".repeat(bytes));
    let handler = move |_: axum::extract::Path<String>, _: Bytes| {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json")], answer) }
    };
    Router::new().route("/v1/services/{id}/score", post(handler))
}

/// What [`Server::floor`] runs.
pub fn serve_floor(base: Base, bytes: usize) -> Result<()> {
    let routes = floor_router(bytes);
    let data = tempfile::tempdir()?;
    let mut config = Config {
        data_dir: data.path().to_owned(),
        ..Config::default()
    };
    config.log.enabled = false;
    let app = Arc::new(App::open(config)?);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        match base {
            Base::Own => {
                let never = std::future::pending();
                tidemill::http::serve_routes(app, routes, listener, never).await?;
            }
            Base::Axum => {
                let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                    let _ = stream.set_nodelay(true);
                });
                axum::serve(listener, routes).await?;
            }
        }
        anyhow::Ok(())
    })
}
