//! What came of requests, and how it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// What came of the requests of one connection, or of all.
#[derive(Default)]
pub struct Tally {
    pub statuses: BTreeMap<u16, u64>,
    /// µs from when the request was due (where it is not given up), or sent, of those answered with 2xx.
    pub good: Vec<u32>,
    /// The same, of the others.
    pub bad: Vec<u32>,
    /// Requests for which there was no free connection in time.
    pub given_up: u64,
    /// Requests whose connection broke before the answer.
    pub broken: u64,
    pub connects: u64,
}

impl Tally {
    pub fn answered(&mut self, status: u16, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        match status {
            200..=299 => self.good.push(micros),
            _ => self.bad.push(micros),
        }
    }

    pub fn add(&mut self, other: Tally) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.good.extend(other.good);
        self.bad.extend(other.bad);
        self.given_up += other.given_up;
        self.broken += other.broken;
        self.connects += other.connects;
    }
}

/// Latencies in µs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    pub p50: u32,
    pub p90: u32,
    pub p99: u32,
    pub p999: u32,
    pub max: u32,
}

impl Quantiles {
    pub fn of(latencies: &mut [u32]) -> Quantiles {
        latencies.sort_unstable();
        let at = |share: f64| {
            let last = latencies.len().saturating_sub(1);
            latencies
                .get((share * last as f64).round() as usize)
                .copied()
                .unwrap_or(0)
        };
        Quantiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

#[derive(Serialize)]
pub struct Report {
    pub seconds: f64,
    /// Answers of 2xx a second.
    pub good_per_second: f64,
    pub answers_per_second: f64,
    pub statuses: BTreeMap<u16, u64>,
    pub good: Quantiles,
    pub bad: Quantiles,
    pub given_up: u64,
    pub broken: u64,
    pub connects: u64,
    /// Cores that the server kept busy.
    pub server_cores: Option<f64>,
    pub server_cpu_us_per_answer: Option<f64>,
    pub server_peak_mib: Option<f64>,
    pub client_cores: f64,
}

impl Report {
    pub fn new(mut tally: Tally, seconds: f64, own: Duration) -> Report {
        let answers: u64 = tally.statuses.values().sum();
        Report {
            seconds,
            good_per_second: tally.good.len() as f64 / seconds,
            answers_per_second: answers as f64 / seconds,
            good: Quantiles::of(&mut tally.good),
            bad: Quantiles::of(&mut tally.bad),
            statuses: tally.statuses,
            given_up: tally.given_up,
            broken: tally.broken,
            connects: tally.connects,
            server_cores: None,
            server_cpu_us_per_answer: None,
            server_peak_mib: None,
            client_cores: own.as_secs_f64() / seconds,
        }
    }

    pub fn of_server(&mut self, cpu: Duration, peak: u64) {
        let answers: u64 = self.statuses.values().sum();
        self.server_cores = Some(cpu.as_secs_f64() / self.seconds);
        self.server_cpu_us_per_answer = Some(cpu.as_secs_f64() * 1e6 / answers.max(1) as f64);
        self.server_peak_mib = Some(peak as f64 / f64::from(1 << 20));
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |micros: u32| f64::from(micros) / 1e3;
        write!(
            f,
            "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms",
            ms(self.p50),
            ms(self.p90),
            ms(self.p99),
            ms(self.p999),
            ms(self.max)
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<String> = (self.statuses.iter())
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        writeln!(
            f,
            "{:.0} good answers a second, {:.0} in all, over {:.1} s ({})",
            self.good_per_second,
            self.answers_per_second,
            self.seconds,
            statuses.join(", ")
        )?;
        writeln!(f, "  good   {}", self.good)?;
        if self.bad.max > 0 {
            writeln!(f, "  others {}", self.bad)?;
        }
        if self.given_up + self.broken > 0 {
            writeln!(
                f,
                "  {} given up unsent, {} broken off; {} connections made",
                self.given_up, self.broken, self.connects
            )?;
        }
        if let (Some(cores), Some(each), Some(peak)) = (
            self.server_cores,
            self.server_cpu_us_per_answer,
            self.server_peak_mib,
        ) {
            writeln!(
                f,
                "  server {each:.1} µs of CPU an answer, {cores:.2} cores, {peak:.0} MiB at most"
            )?;
        }
        write!(f, "  client {:.2} cores", self.client_cores)
    }
}
