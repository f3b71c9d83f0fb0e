//! `tidemill demo`: the main job, on real flights, from nothing.

mod flights;
mod report;
mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use cpu_time::{ProcessTime, ThreadTime};
use indicatif::{ProgressBar, ProgressStyle};

use super::author::{self, BuildOptions};
use super::client::Client;
use super::{model, transform, view};
use flights::{Event, Flight};
use report::{Answered, Load};

/// Start from nothing, register everything, post real flights over HTTP in the order they left, and say how it went.
#[derive(Args)]
pub struct Demo {
    /// Go on answering afterwards, until Ctrl-C.
    #[arg(long)]
    serve: bool,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where to keep everything; a temporary folder where absent.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Connections that post at once when the speed is measured.
    #[arg(long, default_value_t = 8)]
    connections: usize,
}

/// The transforms of the services.
const PLUGINS: [&str; 6] = [
    "departure-delay",
    "great-circle",
    "local-calendar",
    "weather-risk",
    "card-payment",
    "delay-notice",
];

/// How often the flights are posted again to measure speed.
const ROUNDS: usize = 4;

impl Demo {
    pub fn run(self) -> Result<()> {
        let root = checkout()?;
        let data = root.join("demo");
        let temporary = tempfile::tempdir()?;
        let dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| temporary.path().to_owned());

        step("building the transforms for WebAssembly");
        let options = BuildOptions {
            manifest_path: root.join("Cargo.toml"),
            packages: PLUGINS.map(str::to_owned).into(),
            examples: false,
            target_dir: root.join("target/tidemill"),
            with_source: false,
            quiet: false,
        };
        let components = author::build(&options, &mut |line| println!("  {line}"))?;

        let server = server::start(&dir, self.listen)?;
        step(&format!(
            "a server is at {}, its data in {}",
            server.url,
            dir.display()
        ));
        let client = Client::new(&server.url);
        for component in &components {
            let shown = transform::register(&client, &component.path)?;
            println!(
                "  transform {}@{}  {} bytes",
                component.name,
                shown["version"].as_str().unwrap_or(""),
                component.size
            );
        }
        for (name, file, rows) in [
            (
                "plane",
                "flights/plane.toml",
                Some("flights/planes.parquet"),
            ),
            (
                "airport",
                "flights/airport.toml",
                Some("flights/airports.parquet"),
            ),
            ("weather", "flights/weather.toml", None),
            (
                "customer",
                "cards/customer.toml",
                Some("cards/customers.ndjson"),
            ),
        ] {
            view::create(&client, &data.join(file))?;
            match rows {
                Some(rows) => println!(
                    "  view {name}  {} rows",
                    view::load(&client, name, &data.join(rows))?.0
                ),
                None => println!("  view {name}  its rows come hour by hour, below"),
            }
        }
        let shown = model::register(
            &client,
            &data.join("flights/model/flight-delay.onnx"),
            None,
            None,
            None,
        )?;
        println!("  model flight-delay@{}", shown["version"]);
        for file in [
            "flights/flight-delay.toml",
            "flights/flight-notice.toml",
            "cards/card-features.toml",
        ] {
            let text = std::fs::read(data.join(file))?;
            let shown = client.post("/v1/services", "application/toml", &text)?;
            println!(
                "  service {} version {}",
                shown["name"].as_str().unwrap_or(""),
                shown["version"]
            );
        }

        let flights = flights::read(&data.join("flights"))?;
        step(&format!(
            "posting {} flights of late 2013 in the order they left, the weather as its hour comes",
            flights.len()
        ));
        let events = flights::in_order(&data.join("flights"), &flights)?;
        let answered = replay(&client, &events)?;
        report::print_flights(&flights, &answered);

        step(&format!(
            "posting them {ROUNDS} times more over {} connections, to measure",
            self.connections
        ));
        let load = self.load(&server.url, &flights)?;
        report::print_figures(&flights, &answered, &load)?;
        report::print_curl(&server.url, &flights[0].inputs, self.serve);
        if self.serve {
            println!("\nanswering at {} until Ctrl-C", server.url);
            server.wait()?;
        } else {
            server.stop()?;
        }
        Ok(())
    }

    /// Posts every flight `ROUNDS` times over several connections; the clients' own CPU time is not the server's.
    fn load(&self, url: &str, flights: &[Flight]) -> Result<Load> {
        let connections = self.connections.max(1);
        let bar = bar(ROUNDS * flights.len(), "measuring")?;
        let (started, cpu) = (Instant::now(), ProcessTime::now());
        let clients: Vec<Result<(Duration, Vec<Duration>)>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..connections)
                .map(|worker| {
                    let bar = &bar;
                    scope.spawn(move || {
                        let cpu = ThreadTime::now();
                        let client = Client::new(url);
                        let mut latencies = Vec::new();
                        let all = std::iter::repeat_n(flights, ROUNDS).flatten();
                        for flight in all.skip(worker).step_by(connections) {
                            let started = Instant::now();
                            client.post_raw(
                                "/v1/services/flight-delay/score",
                                flight.body.as_bytes(),
                            )?;
                            latencies.push(started.elapsed());
                            if latencies.len() % 64 == 0 {
                                bar.inc(64);
                            }
                        }
                        Ok((cpu.elapsed(), latencies))
                    })
                })
                .collect();
            let gone = || Err(anyhow::anyhow!("a client panicked"));
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|_| gone()))
                .collect()
        });
        let (wall, mut server_cpu) = (started.elapsed(), cpu.elapsed());
        bar.finish_and_clear();
        let mut latencies = Vec::new();
        for client in clients {
            let (cpu, mine) = client?;
            server_cpu = server_cpu.saturating_sub(cpu);
            latencies.extend(mine);
        }
        Ok(Load {
            wall,
            server_cpu,
            latencies,
            connections,
        })
    }
}

/// Posts weather and flights one after another, as they came.
fn replay(client: &Client, events: &[Event<'_>]) -> Result<Vec<Answered>> {
    let flights = events
        .iter()
        .filter(|event| matches!(event, Event::Flight(_)))
        .count();
    let bar = bar(flights, "posting")?;
    let mut answered = Vec::with_capacity(flights);
    for event in events {
        match event {
            Event::Weather(rows) => {
                client.post("/v1/views/weather/rows", "application/x-ndjson", rows)?;
            }
            Event::Flight(flight) => {
                let started = Instant::now();
                let bytes = client
                    .post_raw("/v1/services/flight-delay/score", flight.body.as_bytes())
                    .with_context(|| format!("flight {}", flight.id))?;
                let latency = started.elapsed();
                answered.push(Answered::read(&bytes, latency)?);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(answered)
}

fn bar(length: usize, message: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(
        "  {msg:10} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left",
    )?;
    Ok(ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(message.to_owned()))
}

fn step(text: &str) {
    println!("\n▸ {text}");
}

/// The checkout this program was built from: the demo's transforms are built from their source.
fn checkout() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !root.join("plugins").is_dir() {
        bail!(
            "the demo builds its transforms from the checkout at {}, which is gone; run it from a clone",
            root.display()
        );
    }
    Ok(root.canonicalize()?)
}
