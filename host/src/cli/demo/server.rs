//! A server within this process, on threads of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::App;
use crate::cli::serve::runtime;
use crate::config::Config;
use crate::http;

pub struct Server {
    pub url: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

/// Starts a server with every default; it answers when this returns.
pub fn start(data_dir: &Path, listen: SocketAddr) -> Result<Server> {
    let mut config = Config {
        data_dir: data_dir.to_owned(),
        ..Config::default()
    };
    config.server.listen = listen;
    config.check().map_err(anyhow::Error::msg)?;
    // The demo sends no token.
    if !listen.ip().is_loopback() {
        bail!("the demo listens on loopback only, such as 127.0.0.1:8360, and {listen} is not");
    }
    let app = Arc::new(App::open(config)?);
    let runtime = runtime(&app.config)?;
    let listener = runtime
        .block_on(TcpListener::bind(listen))
        .with_context(|| format!("cannot listen on {listen}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        runtime.block_on(http::serve(app, listener, async {
            // A sender that is gone stops the server too.
            let _ = stopped.await;
        }))?;
        Ok(())
    });
    Ok(Server { url, stop, thread })
}

impl Server {
    /// Lets requests in flight finish, then ends.
    pub fn stop(self) -> Result<()> {
        drop(self.stop);
        self.thread
            .join()
            .map_err(|_| anyhow!("the server panicked"))?
    }

    /// Answers until Ctrl-C.
    pub fn wait(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(tokio::signal::ctrl_c())?;
        self.stop()
    }
}
