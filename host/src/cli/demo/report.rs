//! What the demo says of how it went.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::flights::Flight;
use crate::cli::table::Table;

/// The answer to one flight.
pub struct Answered {
    pub score: f64,
    pub result: Value,
    pub latency: Duration,
}

/// How the measurement went.
pub struct Load {
    pub wall: Duration,
    /// CPU time of the whole process, less that of the clients' threads.
    pub server_cpu: Duration,
    pub latencies: Vec<Duration>,
    pub connections: usize,
}

/// Minutes after which a flight counts as late.
const LATE: f64 = 15.0;
/// Flights in the table.
const SHOWN: usize = 14;

impl Answered {
    pub fn read(bytes: &[u8], latency: Duration) -> Result<Answered> {
        let mut answer: Value = serde_json::from_slice(bytes)?;
        let result = answer["results"][0].take();
        let score = result["score"]
            .as_f64()
            .context("the answer has no score")?;
        Ok(Answered {
            score,
            result,
            latency,
        })
    }
}

pub fn print_flights(flights: &[Flight], answered: &[Answered]) {
    let head = [
        "flight",
        "late leaving",
        "km",
        "risk",
        "°F",
        "plane",
        "weather",
        "score",
        "what happened",
    ];
    let mut table = Table::new(&head);
    let every = (flights.len() / SHOWN).max(1);
    for (flight, answer) in flights.iter().zip(answered).step_by(every).take(SHOWN) {
        let feature = |name: &str, digits: usize| {
            answer.result["features"][name]
                .as_f64()
                .map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let status = |name: &str| {
            answer.result["lookups"][name]
                .as_str()
                .unwrap_or("")
                .to_owned()
        };
        let happened = match flight.arr_delay {
            None => "not recorded".to_owned(),
            Some(minutes) if minutes > LATE => format!("{minutes:.0} min late"),
            Some(_) => "on time".to_owned(),
        };
        table.row([
            flight.id.clone(),
            format!("{} min", feature("delay.minutes_late", 0)),
            feature("leg.km", 0),
            feature("risk.risk", 2),
            feature("weather.temp", 0),
            status("plane"),
            status("weather"),
            format!("{:.3}", answer.score),
            happened,
        ]);
    }
    print!("\n{table}");
}

pub fn print_figures(flights: &[Flight], answered: &[Answered], load: &Load) -> Result<()> {
    let labelled: Vec<(f64, bool)> = flights
        .iter()
        .zip(answered)
        .filter_map(|(flight, answer)| {
            flight
                .arr_delay
                .map(|minutes| (answer.score, minutes > LATE))
        })
        .collect();
    let late = labelled.iter().filter(|(_, late)| *late).count();
    let alone: Vec<Duration> = answered.iter().map(|answer| answer.latency).collect();
    let requests = load.latencies.len();
    println!(
        "\n{} flights scored, {} of them with a known end, {late} of these late",
        flights.len(),
        labelled.len()
    );
    println!(
        "AUC                     {:.4}",
        auc(&labelled).context("no flight was late, or all were")?
    );
    println!(
        "one at a time           p50 {}   p99 {}",
        at(&alone, 0.50),
        at(&alone, 0.99)
    );
    println!(
        "over {} connections      p50 {}   p99 {}   {:.0} requests a second",
        load.connections,
        at(&load.latencies, 0.50),
        at(&load.latencies, 0.99),
        requests as f64 / load.wall.as_secs_f64()
    );
    let per_request = load.server_cpu.as_secs_f64() * 1e6 / requests as f64;
    println!(
        "server CPU a request    {per_request:.1} µs   (the clients share the machine; their CPU is not counted)"
    );
    Ok(())
}

pub fn print_curl(url: &str, inputs: &str, serving: bool) {
    let hint = if serving {
        ""
    } else {
        " (after `tidemill demo --serve --listen 127.0.0.1:8360`)"
    };
    let url = if serving {
        url
    } else {
        "http://127.0.0.1:8360"
    };
    println!("\ntry{hint}:");
    println!(
        "  curl -s {url}/v1/services/flight-delay/score -d '{{\"inputs\":{inputs},\"features\":true}}'"
    );
    println!("  curl -s {url}/v1/transforms/great-circle@1");
    println!("  curl -s {url}/metrics | grep tidemill_transform_fuel");
}

/// The chance that a late flight scores above one on time, ties counting half.
fn auc(scored: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank, mut sum) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mean = rank + (ties.len() as f64 + 1.0) / 2.0;
        sum += mean * ties.iter().filter(|(_, late)| *late).count() as f64;
        rank += ties.len() as f64;
    }
    let late = scored.iter().filter(|(_, late)| *late).count() as f64;
    let rest = scored.len() as f64 - late;
    (late > 0.0 && rest > 0.0).then(|| (sum - late * (late + 1.0) / 2.0) / (late * rest))
}

fn at(latencies: &[Duration], quantile: f64) -> String {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let index = ((sorted.len() as f64 * quantile) as usize).min(sorted.len().saturating_sub(1));
    format!(
        "{:.0} µs",
        sorted
            .get(index)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    )
}

#[cfg(test)]
mod tests {
    use super::auc;

    #[test]
    fn auc_counts_pairs() {
        assert_eq!(auc(&[(0.1, false), (0.9, true)]), Some(1.0));
        assert_eq!(auc(&[(0.5, false), (0.5, true)]), Some(0.5));
        assert_eq!(auc(&[(0.1, true), (0.2, false), (0.3, true)]), Some(0.5));
        assert_eq!(auc(&[(0.1, true)]), None);
    }
}
