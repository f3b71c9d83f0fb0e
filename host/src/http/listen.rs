//! Connections, plain and encrypted.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Problem, connections};
use crate::app::App;

/// How long a client has to say hello and agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How every TLS connection begins: a record that holds a handshake.
const RECORD: u8 = 0x16;

/// Connections as they come.
pub struct Plain {
    pub listener: TcpListener,
    /// How long a client may leave an answer unread.
    pub idle: Duration,
}

/// The address of whoever is connected.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Listener for Plain {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        connections::tune(&stream, self.idle);
        (stream, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Encrypted ones. Handshakes run beside one another and beside `accept`, so that one that never ends holds up nobody.
pub struct Secure {
    listener: Plain,
    app: Arc<App>,
    handshakes: JoinSet<Option<Connection>>,
}

type Connection = (TlsStream<TcpStream>, SocketAddr);

impl Secure {
    pub fn new(listener: Plain, app: Arc<App>) -> Secure {
        Secure {
            listener,
            app,
            handshakes: JoinSet::new(),
        }
    }
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        loop {
            tokio::select! {
                (stream, peer) = self.listener.accept() => {
                    // Read for each connection: the certificate may have been loaded anew.
                    let Some(certificate) = &self.app.access.tls else { continue };
                    let acceptor = TlsAcceptor::from(certificate.current());
                    self.handshakes.spawn(handshake(acceptor, stream, peer));
                }
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn handshake(
    acceptor: TlsAcceptor,
    mut stream: TcpStream,
    peer: SocketAddr,
) -> impl Future<Output = Option<Connection>> {
    let agreed = async move {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != RECORD {
            plain(&mut stream).await?;
            return Err(io::Error::other("it did not speak TLS"));
        }
        acceptor.accept(stream).await
    };
    async move {
        match timeout(HANDSHAKE, agreed).await {
            Ok(Ok(stream)) => return Some((stream, peer)),
            Ok(Err(error)) => tracing::debug!(%peer, "no TLS connection came about: {error}"),
            Err(_) => tracing::debug!(%peer, "no TLS connection came about in time"),
        }
        None
    }
}

/// Tells a client that speaks plain HTTP what to do, before any of what it sent is read.
async fn plain(stream: &mut TcpStream) -> io::Result<()> {
    let body = Problem::tls_needed().body().to_string();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closed with unread bytes, the connection would be reset, and the answer lost on its way.
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
