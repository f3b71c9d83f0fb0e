//! Puts load on a server and says how it fared.
//!
//! `table` prints what each part of an answer costs beside a floor measured in the same run; `floor` the part of it that goes
//! over HTTP. `run` asks one thing over so many connections: as fast as they are answered (a closed loop), or at a fixed rate
//! (an open loop), where a latency counts from the moment the request was due, so that an answer that makes others wait is
//! charged for them. `overload` starts a server with the flights of the demo, finds what it can do, and asks ten times that.

mod client;
mod cold;
mod flights;
mod floor;
mod natives;
mod overload;
mod process;
mod server;
mod table;
mod tally;
mod timing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use client::{Pace, Plan, Target};
use process::Process;
use server::Base;
use tally::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Load for a Tidemill server", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask one thing over so many connections, and print what came of it.
    Run(Run),
    /// Start a server with the demo's flights, find what it can do, ask ten times that, and see how it recovers.
    Overload(overload::Overload),
    /// The table of what everything costs, each line beside a floor measured in the same run, in CPU time and on the clock.
    Table(table::Table),
    /// Ask for scores, and ask a server that only reads and answers: what comes on top of HTTP, in a closed and an open loop.
    Floor(floor::Floor),
    /// Start a server over many transforms and services: when it is ready, what the first request takes, what memory it has.
    Cold(cold::Cold),
    /// The server that only reads and answers.
    #[command(hide = true)]
    FloorServer {
        bytes: usize,
        #[arg(long)]
        axum: bool,
    },
}

#[derive(Args)]
struct Run {
    /// Where the server is and what is asked: http://127.0.0.1:8360/v1/services/flight-delay/score
    #[arg(long)]
    url: String,
    /// The server's process on this machine: its CPU time and its memory are printed too.
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long, default_value = "POST")]
    method: String,
    /// The body. Lines of a file that ends in .ndjson are bodies, one after another.
    #[arg(long)]
    body: Option<PathBuf>,
    /// The body is made of the demo's flights, so many rows a request; 0: one as "inputs".
    #[arg(long, conflicts_with = "body")]
    flights: Option<usize>,
    #[command(flatten)]
    shape: Shape,
    /// Requests a second, due at even distances; without it a connection asks again as soon as it is answered.
    #[arg(long)]
    rate: Option<f64>,
    /// With --rate: a request that found no free connection so many milliseconds after it was due is given up.
    #[arg(long, default_value_t = 1000)]
    give_up: u64,
    /// One line of JSON instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Shape {
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Threads that ask.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(run) => run.run(),
        Command::Overload(overload) => overload.run(),
        Command::Table(table) => table.run(),
        Command::Cold(cold) => cold.run(),
        Command::Floor(floor) => floor.run(),
        Command::FloorServer { bytes, axum } => {
            let base = if axum { Base::Axum } else { Base::Own };
            server::serve_floor(base, bytes)
        }
    }
}

impl Run {
    fn run(self) -> Result<()> {
        let bodies = match (&self.body, self.flights) {
            (Some(path), _) => {
                let bytes = std::fs::read(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                match path.extension().is_some_and(|end| end == "ndjson") {
                    true => bytes
                        .split(|&byte| byte == b'\n')
                        .filter(|line| !line.is_empty())
                        .map(<[u8]>::to_vec)
                        .collect(),
                    false => vec![bytes],
                }
            }
            (None, Some(rows)) => flights::bodies(rows)?,
            (None, None) => vec![Vec::new()],
        };
        if bodies.is_empty() {
            bail!("there is no line in the file of bodies");
        }
        let target = Target::new(&self.url, &self.method, &bodies)?;
        let pace = match self.rate {
            Some(rate) => Pace::Open {
                rate,
                give_up: Duration::from_millis(self.give_up),
            },
            None => Pace::Closed,
        };
        let plan = Plan {
            connections: self.shape.connections,
            seconds: self.shape.seconds,
            threads: self.shape.threads,
            pace,
        };
        let report = measure(&target, &plan, self.pid)?;
        match self.json {
            true => println!("{}", serde_json::to_string(&report)?),
            false => println!("{report}"),
        }
        Ok(())
    }
}

/// Asks as planned, and watches the server's process if it is here.
fn measure(target: &Target, plan: &Plan, pid: Option<u32>) -> Result<Report> {
    let server = pid.map(Process);
    if let Some(server) = server {
        server.forget_peak();
    }
    let before = server.map(Process::cpu).transpose()?;
    let (tally, seconds, own) = client::run(target, plan)?;
    let mut report = Report::new(tally, seconds, own);
    if let (Some(server), Some(before)) = (server, before) {
        let cpu = server.cpu()?.saturating_sub(before);
        report.of_server(cpu, server.peak()?);
    }
    Ok(report)
}
