//! What an answer costs beside what HTTP costs: the flights of the demo, asked of the server and of a server that reads
//! the same bodies and answers with a constant of the same length, in turns.

use anyhow::{Result, bail};
use clap::Args;

use crate::client::{self, Pace, Plan, Target};
use crate::server::{Served, Server};
use crate::tally::Report;
use crate::{flights, measure};

#[derive(Args)]
pub struct Floor {
    #[command(flatten)]
    served: Served,
    /// Seconds of each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds, of which the median is told.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many connections; each has lines of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    connections: Vec<usize>,
    /// Services of the data folder, each of which is asked the same.
    #[arg(long, value_delimiter = ',', default_value = "flight-delay")]
    services: Vec<String>,
}

/// A server's figures in one round.
struct Figures {
    cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Floor {
    pub fn run(self) -> Result<()> {
        let bodies = flights::bodies(0)?;
        let server = self.served.start()?;
        let target = |server: &Server, service: &str| {
            let url = format!("{}/v1/services/{service}/score", server.url);
            Target::new(&url, "POST", &bodies)
        };
        let answer = ureq::post(format!(
            "{}/v1/services/{}/score",
            server.url, self.services[0]
        ))
        .content_type("application/json")
        .send(&bodies[0])?
        .body_mut()
        .read_to_vec()?;
        let floor = Server::floor(answer.len())?;
        println!(
            "A request has {} bytes on the average, an answer {}; × is the ratio to the floor. Medians of {} rounds of {} s.\n",
            bodies.iter().map(Vec::len).sum::<usize>() / bodies.len(),
            answer.len(),
            self.rounds,
            self.seconds
        );
        println!(
            "{:<16} {:>11} {:>19} {:>20} {:>19} {:>19}",
            "", "connections", "CPU µs a request", "requests a second", "p50 µs", "p99 µs"
        );
        let mut subjects = vec![("floor".to_owned(), &floor, target(&floor, "floor")?)];
        for service in &self.services {
            subjects.push((service.clone(), &server, target(&server, service)?));
        }
        for &connections in &self.connections {
            let plan = Plan {
                connections,
                seconds: self.seconds,
                threads: 1,
                pace: Pace::Closed,
            };
            let warm = Plan {
                seconds: 0.5,
                ..plan
            };
            let mut rounds: Vec<Vec<Figures>> = subjects.iter().map(|_| Vec::new()).collect();
            for (_, _, target) in &subjects {
                client::run(target, &warm)?;
            }
            for _ in 0..self.rounds {
                for ((_, server, target), rounds) in subjects.iter().zip(&mut rounds) {
                    let report = measure(target, &plan, Some(server.child.id()))?;
                    rounds.push(Figures::of(&report)?);
                }
            }
            let floor = Figures::median(&rounds[0]);
            for ((name, ..), rounds) in subjects.iter().zip(&rounds) {
                let own = Figures::median(rounds);
                let cell = |own: f64, floor: f64, width: usize| {
                    format!(
                        "{:>width$} ({:.2} ×)",
                        format!("{own:.1}"),
                        own / floor,
                        width = width - 9
                    )
                };
                println!(
                    "{name:<16} {connections:>11} {} {} {} {}",
                    cell(own.cpu, floor.cpu, 19),
                    cell(own.rate, floor.rate, 20),
                    cell(own.p50, floor.p50, 19),
                    cell(own.p99, floor.p99, 19),
                );
            }
        }
        Ok(())
    }
}

impl Figures {
    fn of(report: &Report) -> Result<Figures> {
        if report.statuses.keys().any(|status| *status != 200) {
            bail!("not all was answered: {report}");
        }
        Ok(Figures {
            cpu: report.server_cpu_us_per_answer.unwrap_or(f64::NAN),
            rate: report.good_per_second,
            p50: f64::from(report.good.p50),
            p99: f64::from(report.good.p99),
        })
    }

    fn median(rounds: &[Figures]) -> Figures {
        let median = |of: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Figures {
            cpu: median(|figures| figures.cpu),
            rate: median(|figures| figures.rate),
            p50: median(|figures| figures.p50),
            p99: median(|figures| figures.p99),
        }
    }
}
