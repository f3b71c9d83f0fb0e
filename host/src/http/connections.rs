//! Connections: how many, how long they may be idle, how slowly they may send.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tower_service::Service;

use super::listen::Peer;
use super::{Problem, access, body, overload};
use crate::app::App;
use crate::error::Error;
use crate::load::Overload;

/// What is read of a connection at once, at most: with so many connections it bounds the memory they take.
const BUFFER: usize = 64 << 10;

/// How long a connection over the limit has for its one request.
const BRIEF: Duration = Duration::from_secs(5);

/// Bytes of a body nobody wants that are read all the same.
const UNREAD: usize = 64 << 10;

/// Between two connections over the limit.
const PAUSE: Duration = Duration::from_millis(1);

/// Files that are open beside connections.
const FILES: usize = 256;

/// Bytes of a body that earn a slow sender another second.
const PACE: usize = 1 << 10;

/// Answers connections until `stop` resolves, then lets requests in flight finish for as long as the configuration says.
pub async fn serve<L>(
    app: &Arc<App>,
    mut listener: L,
    router: Router,
    stop: impl Future<Output = ()>,
) where
    L: Listener<Addr = SocketAddr>,
{
    let server = &app.config.server;
    // Over the limit a few more are answered once and closed: whoever asks for health is told, others get their 503.
    // Beyond those, connections wait in the kernel.
    let connections = affordable(server.connections);
    let spare = connections / 16 + 4;
    let slots = Arc::new(Semaphore::new(connections + spare));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            let (io, peer) = listener.accept().await;
            (slot, io, peer)
        };
        let (slot, io, peer) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let brief = slots.available_permits() < spare;
        if brief {
            // A new connection costs more than an answer: those that are refused should not take the time of the others.
            sleep(PAUSE).await;
        }
        let (app, router) = (app.clone(), router.clone());
        let service =
            service_fn(move |request| answer(app.clone(), router.clone(), peer, request, brief));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(match brief {
                true => BRIEF,
                false => Duration::from_secs(server.idle_seconds),
            })
            .keep_alive(!brief)
            .max_buf_size(BUFFER);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(io), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(slot);
        });
    }
    drop(listener);
    let drain = Duration::from_secs(server.drain_seconds);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            seconds = drain.as_secs(),
            "requests in flight did not finish in time and are given up"
        );
    }
}

/// So many connections, or as many as the system lets this process have beside its files: one too many, and nobody
/// would be let in for a while.
fn affordable(connections: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    let most = files.map_or(usize::MAX, |files| {
        files.saturating_sub(FILES).max(1) / 17 * 16
    });
    if connections > most {
        tracing::warn!(
            connections,
            most,
            "the system lets this process open too few files for server.connections; raise it with ulimit -n"
        );
    }
    connections.min(most.max(1))
}

/// Sets what every connection needs.
pub fn tune(stream: &TcpStream, idle: Duration) {
    // Answers are small and complete: without this, Nagle's algorithm holds them back for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    // Who does not read the answer keeps it in memory, and no time limit of ours would see it.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(idle));
}

async fn answer(
    app: Arc<App>,
    mut router: Router,
    peer: SocketAddr,
    mut request: Request<Incoming>,
    brief: bool,
) -> Result<Response, Infallible> {
    let server = &app.config.server;
    let pausing = body::is_ndjson(request.headers());
    request.extensions_mut().insert(ConnectInfo(Peer(peer)));
    let request = request.map(|body| Body::new(Paced::new(body, server.body_seconds, pausing)));
    if brief && !ALWAYS_ANSWERED.contains(&request.uri().path()) {
        let why = app.load.turn_away(Overload::Connections);
        let body = request.into_body();
        return Ok(overload::answer(&app.load, why, body, server.body_limit));
    }
    if let Some(encoding) = body::encoding(request.headers()) {
        let refused = Problem::unsupported_encoding(encoding);
        body::drain(request.into_body(), server.upload_limit, access::DRAIN).await;
        return Ok(refused.into_response());
    }
    // A panic of ours is this request's failure, and not the connection's.
    match AssertUnwindSafe(router.call(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            let error = Error::Internal("the server panicked; its log says where".to_owned());
            Ok(Problem::from(error).into_response())
        }
    }
}

/// What is answered however many connections there are.
pub(super) const ALWAYS_ANSWERED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// A body that is given up where its sender is too slow: it may keep us waiting so long in all, and a little longer for
/// every piece that it does send. Lines that are sent as they come up may pause as often as they like.
struct Paced {
    /// Until it is dropped.
    body: Option<Incoming>,
    limit: Duration,
    /// What is left of it.
    patience: Duration,
    pausing: bool,
    waiting: Option<Wait>,
}

enum Wait {
    /// Most bodies are there as soon as they are asked for: those have no need of a timer.
    Begun,
    Timed(Instant, Pin<Box<Sleep>>),
}

/// The client did not send its body in time.
#[derive(Debug)]
pub struct Slow {
    pub seconds: u64,
}

impl Paced {
    fn new(body: Incoming, seconds: u64, pausing: bool) -> Paced {
        let limit = Duration::from_secs(seconds);
        Paced {
            body: Some(body),
            limit,
            patience: limit,
            pausing,
            waiting: None,
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let paced = self.get_mut();
        let Some(body) = &mut paced.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            if let Some(Wait::Timed(since, _)) = paced.waiting.take() {
                let bytes = match &frame {
                    Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                    _ => 0,
                };
                let earned = match paced.pausing {
                    true => paced.limit,
                    false => Duration::from_secs(1).mul_f64(bytes as f64 / PACE as f64),
                };
                let left = paced.patience.saturating_sub(since.elapsed());
                paced.patience = (left + earned).min(paced.limit);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match &mut paced.waiting {
            None => {
                paced.waiting = Some(Wait::Begun);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Wait::Begun) => {
                let timer = Box::pin(sleep(paced.patience));
                paced.waiting = Some(Wait::Timed(Instant::now(), timer));
            }
            Some(Wait::Timed(..)) => {}
        }
        let Some(Wait::Timed(_, timer)) = &mut paced.waiting else {
            return Poll::Pending;
        };
        timer.as_mut().poll(context).map(|()| {
            let seconds = paced.limit.as_secs();
            Some(Err(Slow { seconds }.into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// Whoever is answered before the body was read sends it all the same, and the next request behind it: a little of what
/// nobody wants is read, so that the connection stays.
impl Drop for Paced {
    fn drop(&mut self) {
        let small = |body: &Incoming| {
            let left = body.size_hint().upper();
            left.is_some_and(|left| left <= UNREAD as u64)
        };
        let left = self.body.take();
        if let Some(body) = left.filter(|body| !body.is_end_stream() && small(body))
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(body::drain(Body::new(body), UNREAD, BRIEF));
        }
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it did not come in time: a body may keep the server waiting {} seconds (server.body_seconds)",
            self.seconds
        )
    }
}

impl StdError for Slow {}
