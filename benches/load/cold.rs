//! What a start costs, and what memory: a server started again over many transforms and services, the first request after
//! it, and what it holds before and after many more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use tidemill::app::App;
use tidemill::config::Config;

use crate::client::{self, Pace, Plan, Target};
use crate::flights;
use crate::process::Process;
use crate::server::{Served, Server};
use crate::timing::median;

#[derive(Args)]
pub struct Cold {
    #[command(flatten)]
    served: Served,
    /// Components of their own, a quarter of them made of each of the flights' four transforms.
    #[arg(long, default_value_t = 100)]
    transforms: usize,
    /// Services, each of which scores flights through four of the transforms.
    #[arg(long, default_value_t = 100)]
    services: usize,
    /// A data folder that has these already, or is to have them: to prove so many transforms takes a minute.
    #[arg(long, value_name = "DIR")]
    many: Option<PathBuf>,
    /// Starts, of which the median is told.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// So many scores afterwards, of all services in turn, while the memory is watched; 10000000 shows a leak of a byte.
    #[arg(long, default_value_t = 0)]
    requests: u64,
}

/// What a started server showed.
struct Start {
    /// From before it was started until it said that it is ready.
    ready: Duration,
    /// Of the first service asked, and the median of the requests after it.
    first: Duration,
    usual: Duration,
    /// The median of the other services' first.
    others: Duration,
    /// Bytes, when it was ready and when every service had been asked.
    idle: u64,
    asked: u64,
}

/// After the first request.
const NEXT: usize = 1_000;
/// How long is asked between two looks at the memory.
const LOOK: f64 = 5.0;

impl Cold {
    pub fn run(self) -> Result<()> {
        ensure!(self.starts > 0, "--starts is 0: nothing would be measured");
        ensure!(
            self.transforms >= 4 && self.services > 0,
            "a service takes four transforms, and there has to be one to ask"
        );
        let temporary = tempfile::tempdir()?;
        let data = self.served.data(temporary.path())?;
        println!(
            "the files are in the system's cache; medians of {} starts\n",
            self.starts
        );
        self.starts("the demo", &data, &["flight-delay".to_owned()])?;

        let many = match &self.many {
            None => data,
            Some(dir) => {
                if !dir.exists() {
                    crate::server::copy(&data, dir)?;
                }
                dir.clone()
            }
        };
        self.fill(&many)?;
        let services: Vec<String> = (0..self.services).map(service_name).collect();
        let what = format!("{} transforms, {} services", self.transforms, self.services);
        let server = self.starts(&what, &many, &services)?;
        if self.requests > 0 {
            self.watch(&server, &services)?;
        }
        Ok(())
    }

    /// Registers what is not there yet.
    fn fill(&self, data: &Path) -> Result<()> {
        let mut config = Config {
            data_dir: data.to_owned(),
            ..Config::default()
        };
        config.log.enabled = false;
        let app = Arc::new(App::open(config)?);
        let asked = app.registry.catalog().asked("flight-delay")?;
        let names: Vec<_> = (asked.service.plan.transforms())
            .map(|(_, transform)| transform.name().clone())
            .collect();
        let kinds = names.len();
        for at in 0..self.transforms {
            let own = &names[at % kinds];
            let name = transform_name(&own.name, at / kinds);
            if app.registry.catalog().transform(&name).is_ok() {
                continue;
            }
            let component = renamed(&app.registry.artifact(&own.digest)?, &own.name, &name);
            app.registry.register_transform(&component)?;
        }
        for at in 0..self.services {
            let mut definition = flights::service()?;
            definition.name = service_name(at);
            for transform in &mut definition.transforms {
                let own = transform.uses.split('@').next().unwrap_or_default();
                let name = transform_name(own, at % (self.transforms / kinds));
                // By the name that its columns go by, it is what it was.
                transform.alias.get_or_insert_with(|| own.to_owned());
                transform.uses = format!("{name}@1");
            }
            app.registry.register_service(definition)?;
        }
        drop(asked);
        App::close(app);
        Ok(())
    }

    /// Starts a server some times, prints what it showed, and gives the last.
    fn starts(&self, what: &str, data: &Path, services: &[String]) -> Result<Server> {
        let bodies = flights::bodies(0)?;
        let mut starts = Vec::new();
        loop {
            let began = Instant::now();
            let server = self.served.serve(data, "", None)?;
            let target = |method, path: &str, bodies: &[Vec<u8>]| {
                Target::new(&format!("{}{path}", server.url), method, bodies)
            };
            let health = target("GET", "/readyz", &[Vec::new()])?;
            client::one_by_one(&health, 1)?;
            let ready = began.elapsed();
            let process = Process(server.child.id());
            let idle = process.resident()?;
            let scores = services.iter().map(|service| {
                let path = format!("/v1/services/{service}/score");
                target("POST", &path, &bodies)
            });
            let scores: Vec<Target> = scores.collect::<Result<_>>()?;
            // The connection is another matter: it has been used before.
            let times = client::one_by_one(&health.then(&scores[0]), NEXT + 2)?;
            let others = match &scores[1..] {
                [] => Vec::new(),
                others => {
                    let all = health.then(&Target::of_all(others)?);
                    client::one_by_one(&all, others.len() + 1)?.split_off(1)
                }
            };
            starts.push(Start {
                ready,
                first: times[1],
                usual: middle(&times[2..]),
                others: middle(&others),
                idle,
                asked: process.resident()?,
            });
            if starts.len() == self.starts {
                print(what, &starts);
                return Ok(server);
            }
            server.stop()?;
        }
    }

    /// Scores, and looks at the memory now and then.
    fn watch(&self, server: &Server, services: &[String]) -> Result<()> {
        let process = Process(server.child.id());
        let bodies = flights::bodies(0)?;
        let mut targets = Vec::new();
        for service in services {
            let url = format!("{}/v1/services/{service}/score", server.url);
            targets.push(Target::new(&url, "POST", &bodies)?);
        }
        let target = Target::of_all(&targets)?;
        println!("\n{:>12} {:>12} {:>12}", "scored", "a second", "MiB");
        let mut scored = 0;
        let mut seen = Vec::new();
        while scored < self.requests {
            let plan = Plan {
                connections: 64,
                seconds: LOOK,
                threads: 1,
                pace: Pace::Closed,
            };
            let (tally, seconds, _) = client::run(&target, &plan)?;
            if tally.statuses.keys().any(|status| *status != 200) || tally.broken > 0 {
                bail!("not all was answered: {:?}", tally.statuses);
            }
            scored += tally.good.len() as u64;
            let rate = tally.good.len() as f64 / seconds;
            seen.push(mib(process.resident()?));
            println!("{scored:>12} {rate:>12.0} {:>12.1}", seen[seen.len() - 1]);
        }
        let part = (seen.len() / 10).max(1);
        println!(
            "memory: {:.1} MiB over the second tenth, {:.1} over the last, {:.1} at most",
            median(seen.iter().copied().skip(part).take(part)),
            median(seen.iter().copied().rev().take(part)),
            seen.iter().copied().fold(0.0, f64::max),
        );
        Ok(())
    }
}

fn print(what: &str, starts: &[Start]) {
    let of = |value: fn(&Start) -> f64| median(starts.iter().map(value));
    println!("{what}");
    println!(
        "  ready after          {:>9.0} ms",
        of(|start| start.ready.as_secs_f64() * 1e3)
    );
    println!(
        "  the first request    {:>9.2} ms, {:.1} × the median of the next {NEXT} ({:.3} ms)",
        of(|start| start.first.as_secs_f64() * 1e3),
        of(|start| start.first.as_secs_f64() / start.usual.as_secs_f64()),
        of(|start| start.usual.as_secs_f64() * 1e3),
    );
    if starts.iter().any(|start| !start.others.is_zero()) {
        println!(
            "  other services' first {:>8.2} ms, {:.1} ×",
            of(|start| start.others.as_secs_f64() * 1e3),
            of(|start| start.others.as_secs_f64() / start.usual.as_secs_f64()),
        );
    }
    println!(
        "  memory when ready    {:>9.1} MiB",
        of(|start| mib(start.idle))
    );
    println!(
        "  when all were asked  {:>9.1} MiB",
        of(|start| mib(start.asked))
    );
}

/// None of none.
fn middle(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn service_name(at: usize) -> String {
    format!("cold-{at}")
}

/// As long as the name it is made of.
fn transform_name(own: &str, at: usize) -> String {
    format!("{}{at:03}", &own[..own.len() - 3])
}

/// The component under a name of the same length: the bytes of a name stand in it as they are.
fn renamed(component: &[u8], own: &str, name: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    for at in 0..bytes.len().saturating_sub(own.len()) {
        if bytes[at..].starts_with(own.as_bytes()) {
            bytes[at..at + own.len()].copy_from_slice(name.as_bytes());
        }
    }
    bytes
}
