//! What a server does when it is asked ten times what it can.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use crate::client::{self, Pace, Plan, Target};
use crate::process::Process;
use crate::server::Served;
use crate::{flights, measure};

#[derive(Args)]
pub struct Overload {
    #[command(flatten)]
    served: Served,
    /// Rows a request; 0: one as "inputs".
    #[arg(long, default_value_t = 200)]
    rows: usize,
    /// Seconds of overload.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// How many times what it can.
    #[arg(long, default_value_t = 10.0)]
    times: f64,
    /// Connections over which it is asked too much; what it can is found with 64.
    #[arg(long, default_value_t = 1024)]
    connections: usize,
    /// Threads that ask.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Overload {
    pub fn run(self) -> Result<()> {
        let server = self.served.start()?;
        let process = Process(server.child.id());
        let url = format!("{}/v1/services/flight-delay/score", server.url);
        let target = Target::new(&url, "POST", &flights::bodies(self.rows)?)?;
        let plan = |connections, seconds, pace| Plan {
            connections,
            seconds,
            threads: self.threads,
            pace,
        };
        client::run(&target, &plan(8, 2.0, Pace::Closed))?;

        println!("one at a time:");
        let alone = measure(&target, &plan(1, 3.0, Pace::Closed), Some(process.0))?;
        println!("{alone}\n\nwhat it can, over 64 connections:");
        let capacity = measure(&target, &plan(64, 8.0, Pace::Closed), Some(process.0))?;
        println!("{capacity}");

        let rate = capacity.good_per_second * self.times;
        println!(
            "\n{} times that, {rate:.0} a second, over {} connections:",
            self.times, self.connections
        );
        let pace = Pace::Open {
            rate,
            give_up: Duration::from_secs(1),
        };
        let resident = process.resident()?;
        let (over, health) = std::thread::scope(|scope| {
            let health = scope.spawn(|| probe(&server.url, self.seconds - 1.0));
            let over = measure(
                &target,
                &plan(self.connections, self.seconds, pace),
                Some(process.0),
            );
            (over, health.join())
        });
        let over = over?;
        let health = health.map_err(|_| anyhow::anyhow!("the probe panicked"))??;
        println!("{over}");
        println!("  health {health}");

        let mut after = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            let one = measure(&target, &plan(1, 0.0001, Pace::Closed), None)?;
            after.push((began.elapsed(), one.good.max, one.statuses));
        }
        let again = measure(&target, &plan(64, 4.0, Pace::Closed), Some(process.0))?;
        println!("\nthe first requests afterwards, one at a time:");
        for (_, micros, statuses) in after.iter().take(5) {
            println!("  {:.2} ms {statuses:?}", f64::from(*micros) / 1e3);
        }
        println!("\nand over 64 connections again:\n{again}\n");
        println!(
            "goodput under overload: {:.0} % of what it can; as the server's CPU goes: {:.0} %; memory {:.0} → {:.0} MiB at most",
            100.0 * over.good_per_second / capacity.good_per_second,
            100.0 * per_core(&over) / per_core(&capacity),
            resident as f64 / f64::from(1 << 20),
            over.server_peak_mib.unwrap_or(0.0),
        );
        Ok(())
    }
}

/// Good answers for each second of the server's CPU.
fn per_core(report: &crate::tally::Report) -> f64 {
    report.good_per_second / report.server_cores.unwrap_or(1.0)
}

/// Asks for health ten times a second, each time over a new connection.
fn probe(url: &str, seconds: f64) -> Result<String> {
    let target = Target::new(&format!("{url}/healthz"), "GET", &[Vec::new()])?;
    let began = Instant::now();
    let mut latencies = Vec::new();
    let mut failed = 0;
    while began.elapsed().as_secs_f64() < seconds {
        let plan = Plan {
            connections: 1,
            seconds: 0.0001,
            threads: 1,
            pace: Pace::Closed,
        };
        match client::run(&target, &plan) {
            Ok((tally, ..)) => latencies.extend(tally.good),
            Err(_) => failed += 1,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let quantiles = crate::tally::Quantiles::of(&mut latencies);
    Ok(format!(
        "{} answered, {failed} not; {quantiles}",
        latencies.len()
    ))
}
