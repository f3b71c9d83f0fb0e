//! Servers that are asked: the program's own, and the floor it stands on.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bytes::Bytes;

/// Runs the demo, and gives the folder it leaves behind.
pub fn demo(program: &Path, dir: &Path) -> Result<PathBuf> {
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

pub struct Server {
    pub child: Child,
    pub url: String,
}

impl Server {
    /// The program's, with its data and the lines of a configuration file.
    pub fn start(program: &Path, data: &Path, config: &Path) -> Result<Server> {
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .arg("--config")
            .arg(config);
        Server::of(command)
    }

    /// A server that reads what it is sent and answers with so many bytes.
    pub fn floor(bytes: usize) -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor-server", &bytes.to_string()]);
        Server::of(command)
    }

    fn of(mut command: Command) -> Result<Server> {
        let mut child = command
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
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What [`Server::floor`] runs: axum as its documentation has it, one route, the body read, a constant answered.
pub fn serve_floor(bytes: usize) -> Result<()> {
    let answer = Bytes::from("x".repeat(bytes));
    let handler = move |_: axum::extract::Path<String>, _: Bytes| {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json")], answer) }
    };
    let router = Router::new().route("/v1/services/{id}/score", post(handler));
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        anyhow::Ok(())
    })
}
