//! Connections that ask: plain HTTP/1.1 over TCP, as little of it as it takes, so that asking costs much less than answering.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cpu_time::ProcessTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::tally::Tally;

/// What is asked: whole requests, one after another.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
}

pub struct Plan {
    pub connections: usize,
    pub seconds: f64,
    pub threads: usize,
    pub pace: Pace,
}

#[derive(Clone, Copy)]
pub enum Pace {
    /// A connection asks again as soon as it is answered.
    Closed,
    /// Requests are due at even distances.
    Open { rate: f64, give_up: Duration },
}

impl Target {
    pub fn new(url: &str, method: &str, bodies: &[Vec<u8>]) -> Result<Target> {
        let rest = url
            .strip_prefix("http://")
            .with_context(|| format!("{url} does not begin with http://"))?;
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let address = std::net::ToSocketAddrs::to_socket_addrs(host)
            .ok()
            .and_then(|mut found| found.next())
            .with_context(|| format!("{host} is no address with a port"))?;
        let requests = bodies.iter().map(|body| {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        });
        Ok(Target {
            address,
            requests: Arc::new(requests.collect()),
        })
    }

    /// What this asks, then what the other asks of the same server.
    pub fn then(&self, other: &Target) -> Target {
        Target {
            address: self.address,
            requests: Arc::new([self.requests.as_slice(), &other.requests].concat()),
        }
    }

    /// A request of each of these in turn, none of them alike; they ask the same server.
    pub fn of_all(targets: &[Target]) -> Result<Target> {
        let first = targets.first().context("nothing is asked")?;
        let longest = targets.iter().map(|one| one.requests.len()).max();
        let requests = (0..longest.unwrap_or(0).max(targets.len())).map(|at| {
            let requests = &targets[at % targets.len()].requests;
            requests[at % requests.len()].clone()
        });
        Ok(Target {
            address: first.address,
            requests: Arc::new(requests.collect()),
        })
    }
}

/// How long each of so many requests took that are answered with 200, in turn over one connection, which is there before
/// the first.
pub fn one_by_one(target: &Target, count: usize) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = Connection::new(target.clone(), 0);
        connection.connect().await?;
        let mut times = Vec::with_capacity(count);
        for at in 0..count {
            connection.at = at;
            let started = Instant::now();
            let status = connection.exchange().await?;
            times.push(started.elapsed());
            ensure!(status == 200, "{} answers {status}", target.address);
        }
        Ok(times)
    })
}

/// Asks as planned; what came of it, in how many seconds, and what CPU time it took this process.
pub fn run(target: &Target, plan: &Plan) -> Result<(Tally, f64, Duration)> {
    let runtime = match plan.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?,
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?,
    };
    let (cpu, started) = (ProcessTime::now(), Instant::now());
    let due = Arc::new(Due {
        until: started + Duration::from_secs_f64(plan.seconds),
        started,
        pace: plan.pace,
        next: AtomicUsize::new(0),
        released: Semaphore::new(0),
        over: AtomicBool::new(false),
    });
    if let Pace::Open { rate, .. } = plan.pace {
        let due = due.clone();
        std::thread::spawn(move || due.release(rate));
    }
    let tally = runtime.block_on(async {
        let mut all = JoinSet::new();
        for at in 0..plan.connections {
            all.spawn(Connection::new(target.clone(), at).ask(due.clone()));
        }
        let mut tally = Tally::default();
        while let Some(one) = all.join_next().await {
            tally.add(one?);
        }
        anyhow::Ok(tally)
    })?;
    if tally.statuses.is_empty() {
        bail!("nothing at {} answered", target.address);
    }
    Ok((tally, started.elapsed().as_secs_f64(), cpu.elapsed()))
}

/// When requests are due.
struct Due {
    started: Instant,
    until: Instant,
    pace: Pace,
    next: AtomicUsize,
    /// One a request whose time has come.
    released: Semaphore,
    over: AtomicBool,
}

impl Due {
    /// Releases requests when they are due. A thread of its own: the runtime's timers know milliseconds only.
    fn release(&self, rate: f64) {
        let mut released = 0;
        while Instant::now() < self.until {
            let now = self.started.elapsed().as_secs_f64();
            let all = (now * rate) as usize + 1;
            self.released.add_permits(all - released);
            released = all;
            let next = self.started + Duration::from_secs_f64(all as f64 / rate);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        self.over.store(true, Relaxed);
        self.released.close();
    }

    /// When the next request was due and is now to be sent; none when it is over.
    async fn next(&self, tally: &mut Tally) -> Option<Instant> {
        match self.pace {
            Pace::Closed => Some(Instant::now()).filter(|now| *now < self.until),
            Pace::Open { rate, give_up } => loop {
                self.released.acquire().await.ok()?.forget();
                let at = self.next.fetch_add(1, Relaxed);
                let due = self.started + Duration::from_secs_f64(at as f64 / rate);
                if due.elapsed() <= give_up {
                    return Some(due);
                }
                tally.given_up += 1;
            },
        }
    }
}

struct Connection {
    target: Target,
    at: usize,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    tally: Tally,
}

impl Connection {
    fn new(target: Target, at: usize) -> Connection {
        Connection {
            target,
            at: at * 7919,
            stream: None,
            buffer: Vec::with_capacity(16 << 10),
            tally: Tally::default(),
        }
    }

    async fn ask(mut self, due: Arc<Due>) -> Tally {
        while let Some(since) = due.next(&mut self.tally).await {
            self.at += 1;
            // A server that never answers should not keep this from ending.
            let exchange = timeout(Duration::from_secs(30), self.exchange()).await;
            match exchange {
                Ok(Ok(status)) => self.tally.answered(status, since.elapsed()),
                Ok(Err(_)) | Err(_) => {
                    self.stream = None;
                    self.tally.broken += 1;
                    if due.over.load(Relaxed) {
                        break;
                    }
                    // Where nobody listens, asking at once again helps nobody.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        self.tally
    }

    async fn connect(&mut self) -> Result<()> {
        let stream = TcpStream::connect(self.target.address).await?;
        stream.set_nodelay(true)?;
        self.tally.connects += 1;
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends the next request and reads its answer.
    async fn exchange(&mut self) -> Result<u16> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        let stream = self.stream.as_mut().context("a connection")?;
        let requests = &self.target.requests;
        let request = &requests[self.at % requests.len()];
        let (mut reader, mut writer) = stream.split();
        let sent = async {
            writer.write_all(request).await?;
            anyhow::Ok(())
        };
        // An answer may come before all is sent.
        let (sent, answer) = tokio::join!(sent, answer(&mut reader, &mut self.buffer));
        let (status, close) = answer?;
        if close || sent.is_err() {
            self.stream = None;
        }
        Ok(status)
    }
}

/// The status of an answer, read to its end, and whether the server closes the connection.
async fn answer(
    reader: &mut tokio::net::tcp::ReadHalf<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(u16, bool)> {
    buffer.clear();
    let head = loop {
        if reader.read_buf(buffer).await? == 0 {
            bail!("closed");
        }
        let most = buffer.len().min(16 << 10);
        if let Some(at) = find(&buffer[..most], b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > most {
            bail!("no end of the head");
        }
    };
    let text = std::str::from_utf8(&buffer[..head])?;
    let status = text.get(9..12).context("no status")?.parse()?;
    let mut length = 0;
    let mut close = false;
    for line in text.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.trim().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("answers in chunks are not read here");
        }
    }
    while buffer.len() < head + length {
        // What has been read is not needed any more: only how much it was.
        if reader.read_buf(buffer).await? == 0 {
            bail!("closed");
        }
    }
    Ok((status, close))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
