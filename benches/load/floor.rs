//! What an answer costs beside what HTTP costs: the flights of the demo, asked of servers with the feature log and
//! without it, of the same server with a route that reads the same bodies and answers with a constant of the same length,
//! and of axum alone with that route, in turns.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::client::{self, Pace, Plan, Target};
use crate::server::{self, Served, Server};
use crate::table::Lines;
use crate::tally::Report;
use crate::timing::{Cost, median};
use crate::{flights, measure};

#[derive(Args)]
pub struct Floor {
    #[command(flatten)]
    served: Served,
    #[command(flatten)]
    http: Http,
}

#[derive(Args)]
pub struct Http {
    /// Seconds of each round over HTTP.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds over HTTP, of which the median is told.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many connections; each number has lines of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    connections: Vec<usize>,
    /// Open loop: all servers are asked at this share of the rate of the slowest in a closed loop. A latency counts from
    /// when the request was due.
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// Services of the data folder, each of which is asked the same.
    #[arg(long, value_delimiter = ',', default_value = "flight-delay")]
    services: Vec<String>,
}

/// How long a request of an open loop waits for a free connection before it is given up, which fails the measurement.
const GIVE_UP: Duration = Duration::from_secs(5);

impl Floor {
    pub fn run(self) -> Result<()> {
        self.http.check()?;
        let temporary = tempfile::tempdir()?;
        let data = self.served.data(temporary.path())?;
        let lines = Lines::new(1);
        lines.head();
        self.http.measure(&self.served, &data, &lines)
    }
}

/// A server under one of its services.
struct Asked<'a> {
    name: String,
    server: &'a Server,
    target: Target,
}

/// What came of a round.
struct Figures {
    /// Requests a second.
    rate: f64,
    /// The server's CPU for one; on the clock, how long after the one before it was answered.
    request: Cost,
    p50: Cost,
    p99: Cost,
}

impl Http {
    pub fn check(&self) -> Result<()> {
        ensure!(self.rounds > 0, "--rounds is 0: nothing would be measured");
        ensure!(
            self.seconds > 0.0,
            "--seconds is {}: nothing would be measured",
            self.seconds
        );
        ensure!(
            !self.connections.contains(&0),
            "--connections has a 0: nobody would ask"
        );
        ensure!(
            self.share > 0.0 && self.share < 1.0,
            "--share is {}: it lies between 0 and 1, for at the whole rate what waits grows for ever",
            self.share
        );
        Ok(())
    }

    pub fn measure(&self, served: &Served, data: &Path, lines: &Lines) -> Result<()> {
        let bodies = flights::bodies(0)?;
        let copied = tempfile::tempdir()?;
        server::copy(data, copied.path())?;
        let logs = served.serve(data, "", None)?;
        let bare = served.serve(copied.path(), "[log]\nenabled = false", None)?;
        let target = |server: &Server, service: &str| {
            let url = format!("{}/v1/services/{service}/score", server.url);
            Target::new(&url, "POST", &bodies)
        };
        let url = format!("{}/v1/services/{}/score", bare.url, self.services[0]);
        let mut answer = ureq::post(url)
            .content_type("application/json")
            .send(&bodies[0])?;
        let answer = answer.body_mut().read_to_vec()?.len();
        let axum = Server::floor(server::Base::Axum, answer)?;
        let floor = Server::floor(server::Base::Own, answer)?;
        let asked = |name: String, server, service| {
            let target = target(server, service)?;
            anyhow::Ok(Asked {
                name,
                server,
                target,
            })
        };
        let mut all = vec![
            asked("axum".to_owned(), &axum, "floor")?,
            asked("a constant".to_owned(), &floor, "floor")?,
        ];
        for service in &self.services {
            all.push(asked(format!("{service}, no log"), &bare, service)?);
            all.push(asked(service.clone(), &logs, service)?);
        }
        lines.group(&format!(
            "scores over HTTP, so many connections: a request has {} bytes on the average, an answer {answer}",
            bodies.iter().map(Vec::len).sum::<usize>() / bodies.len(),
        ));
        for &connections in &self.connections {
            let closed = self.rounds(&all, connections, Pace::Closed)?;
            print(lines, &all, &closed, &format!("{connections} closed"));
            let rates = (closed.iter()).map(|rounds| median(rounds.iter().map(|one| one.rate)));
            let rate = rates.fold(f64::INFINITY, f64::min) * self.share;
            let give_up = GIVE_UP;
            let open = self.rounds(&all, connections, Pace::Open { rate, give_up })?;
            print(
                lines,
                &all,
                &open,
                &format!("{connections} open, {rate:.0}/s"),
            );
        }
        Ok(())
    }

    /// Asks all in turns.
    fn rounds(
        &self,
        all: &[Asked<'_>],
        connections: usize,
        pace: Pace,
    ) -> Result<Vec<Vec<Figures>>> {
        let plan = |seconds| Plan {
            connections,
            seconds,
            threads: 1,
            pace,
        };
        for asked in all {
            client::run(&asked.target, &plan(0.3))?;
        }
        let mut figures: Vec<Vec<Figures>> = all.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.rounds {
            for (asked, figures) in all.iter().zip(&mut figures) {
                let report = measure(
                    &asked.target,
                    &plan(self.seconds),
                    Some(asked.server.child.id()),
                )?;
                figures.push(Figures::of(&report, pace)?);
            }
        }
        Ok(figures)
    }
}

/// The constant beside axum's; a service without the log beside the constant; with it beside that, itself without, and
/// axum; and the flights' beside itself with native transforms, where their tax is known.
fn print(lines: &Lines, all: &[Asked<'_>], figures: &[Vec<Figures>], how: &str) {
    let services = (2..all.len()).step_by(2);
    let pairs = services.flat_map(|at| [(at, 1), (at + 1, 1), (at + 1, at), (at + 1, 0)]);
    for (own, floor) in std::iter::once((1, 0)).chain(pairs) {
        for (what, cost) in [
            ("", (|one| one.request) as fn(&Figures) -> Cost),
            (", p50", |one| one.p50),
            (", p99", |one| one.p99),
        ] {
            let costs = |at: usize| figures[at].iter().map(cost).collect::<Vec<Cost>>();
            let what = format!("{}, {how}{what}", all[own].name);
            lines.line(&what, &costs(own), &all[floor].name, &costs(floor));
        }
    }
    let flights = all[2].name.starts_with("flight-delay,");
    if let Some(tax) = lines.tax.get().filter(|_| flights) {
        let own: Vec<Cost> = figures[2].iter().map(|one| one.request).collect();
        let native = own.iter().map(|cost| Cost {
            cpu: cost.cpu - tax,
            wall: f64::NAN,
        });
        let native: Vec<Cost> = native.collect();
        let what = format!("{}, {how}", all[2].name);
        lines.line(&what, &own, "the same, native (computed)", &native);
    }
}

impl Figures {
    fn of(report: &Report, pace: Pace) -> Result<Figures> {
        let others = report.statuses.keys().any(|status| *status != 200);
        if others || report.given_up + report.broken > 0 {
            bail!("not all was answered: {report}");
        }
        let on_the_clock = |micros: u32| Cost {
            cpu: f64::NAN,
            wall: f64::from(micros) * 1e3,
        };
        Ok(Figures {
            rate: report.good_per_second,
            request: Cost {
                cpu: report.server_cpu_us_per_answer.unwrap_or(f64::NAN) * 1e3,
                wall: match pace {
                    Pace::Closed => 1e9 / report.good_per_second,
                    // As many as were asked for.
                    Pace::Open { .. } => f64::NAN,
                },
            },
            p50: on_the_clock(report.good.p50),
            p99: on_the_clock(report.good.p99),
        })
    }
}
