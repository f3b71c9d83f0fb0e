//! `tidemill serve`

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;
use crate::config::Config;
use crate::http;

/// Answer requests until SIGTERM or Ctrl-C, then let those in flight finish.
#[derive(Args)]
pub struct Serve {
    /// A TOML file; every key has a default (see --print-config), an unknown key is refused.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, instead of the file's server.listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to keep everything, instead of the file's data_dir.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print the configuration with every default and what each key means, and stop.
    #[arg(long)]
    print_config: bool,
}

/// How long what still runs has to end.
const LET_GO: Duration = Duration::from_millis(500);

impl Serve {
    pub fn run(self) -> Result<()> {
        let mut config = Config::load(self.config.as_deref())?;
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        config.data_dir = self.data_dir.unwrap_or(config.data_dir);
        config.check().map_err(anyhow::Error::msg)?;
        if self.print_config {
            print!("{}", config.documented()?);
            return Ok(());
        }
        let app = Arc::new(App::open(config)?);
        let address = app.config.server.listen;
        app.access.may_listen(&app.config, address)?;
        let runtime = runtime(&app.config)?;
        warm(&app, &runtime);
        let kept = app.clone();
        let outcome = runtime.block_on(async {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?;
            let address = listener.local_addr()?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let scheme = match app.access.tls {
                Some(_) => {
                    tokio::spawn(reload(app.clone(), signal(SignalKind::hangup())?));
                    "https"
                }
                None => "http",
            };
            if !address.ip().is_loopback() && app.access.tls.is_none() {
                tracing::warn!(
                    "tokens travel in the clear: anybody on the way can read them; set server.tls, or let a proxy in \
                     front speak TLS"
                );
            }
            // On stdout, for whoever started the server on port 0.
            // Where nobody reads it, the server serves all the same.
            let _ = writeln!(std::io::stdout(), "listening on {scheme}://{address}");
            http::serve(app, listener, async move {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                tracing::info!("stopping: requests in flight finish, new connections are refused");
            })
            .await?;
            Ok(())
        });
        // A read that hangs keeps its thread for ever, but not the program.
        runtime.shutdown_timeout(LET_GO);
        if outcome.is_ok() {
            App::close(kept);
            tracing::info!("stopped");
        }
        outcome
    }
}

/// Each thread that answers does beforehand what its first request would find undone.
fn warm(app: &Arc<App>, runtime: &Runtime) {
    let threads = runtime.metrics().num_workers();
    let here = Arc::new(AtomicUsize::new(0));
    let task = || {
        let (app, here) = (app.clone(), here.clone());
        runtime.spawn(async move {
            // Who has a task waits until the others have theirs, so that each thread has its own; but not for ever.
            let until = Instant::now() + LET_GO;
            here.fetch_add(1, Relaxed);
            while here.load(Relaxed) < threads && Instant::now() < until {
                std::thread::yield_now();
            }
            app.warm(threads);
        })
    };
    let tasks: Vec<_> = (0..threads).map(|_| task()).collect();
    for task in tasks {
        // Were it to panic, the first request is slow, and that is all.
        let _ = runtime.block_on(task);
    }
}

/// Reads the certificate again on each SIGHUP. A new one that cannot be read leaves the old one in its place.
async fn reload(app: Arc<App>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        let Some(certificate) = &app.access.tls else {
            return;
        };
        match certificate.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!("{error}; the certificate stays as it was"),
        }
    }
}

/// Threads to answer on, as the configuration says.
pub fn runtime(config: &Config) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.server.threads > 0 {
        builder.worker_threads(config.server.threads);
    }
    Ok(builder.thread_name("tidemill-http").enable_all().build()?)
}
