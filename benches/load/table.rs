//! The table: each part of an answer beside a floor that cannot be had for less, in one run.

mod answers;
mod demo;
mod gate;
mod model;
mod store;
mod tax;
mod wasm;

use std::cell::Cell;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use crate::floor::Http;
use crate::server::Served;
use crate::timing::{self, Cost, Subject};
use demo::Demo;

/// All but `http` is measured in this process, without a socket, in CPU time of one thread.
#[derive(Args)]
pub struct Table {
    /// Parts of the table; without any, all.
    #[arg(value_enum)]
    parts: Vec<Part>,
    #[command(flatten)]
    served: Served,
    /// Rounds in this process, of some milliseconds each, of which the median is told.
    #[arg(long, default_value_t = 15)]
    repeat: usize,
    #[command(flatten)]
    http: Http,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Each transform as Wasm, on a warm instance and on a fresh one, against the same code compiled natively.
    Wasm,
    /// What a service would save whose transforms were compiled into the server.
    Tax,
    /// A row out of sled, against a hash map of the same rows.
    Store,
    /// The demo's trees, against reading as many words as their paths have nodes.
    Model,
    /// A request's JSON into columns, and an answer's out of them, against serde_json and structs made for them.
    Json,
    /// A request without a socket: against a route that reads it and answers a constant; with 0, 1, 2 and 4 transforms;
    /// many rows in one request against many requests.
    Requests,
    /// What stands before a request: tokens and rules against SHA-256; canaries and shadows against decoding.
    Gate,
    /// Scores over HTTP, with and without the feature log, against the same server with a constant to answer, and that
    /// against axum alone: what `load floor` prints.
    Http,
}

impl Table {
    pub fn run(self) -> Result<()> {
        ensure!(self.repeat > 0, "--repeat is 0: nothing would be measured");
        self.http.check()?;
        let has = |part| self.parts.is_empty() || self.parts.contains(&part);
        let temporary = tempfile::tempdir()?;
        let data = self.served.data(temporary.path())?;
        let lines = Lines::new(self.repeat);
        lines.head();
        // The store is this process's until then.
        {
            let demo = Demo::open(&data)?;
            for (part, measure) in [
                (Part::Wasm, wasm::measure as fn(&Demo, &Lines) -> Result<()>),
                (Part::Tax, tax::measure),
                (Part::Store, store::measure),
                (Part::Model, model::measure),
                (Part::Json, answers::json),
                (Part::Requests, answers::requests),
                (Part::Gate, gate::measure),
            ] {
                if has(part) {
                    measure(&demo, &lines)?;
                }
            }
        }
        if has(Part::Http) {
            self.http.measure(&self.served, &data, &lines)?;
        }
        Ok(())
    }
}

/// How lines are measured and printed.
pub struct Lines {
    pub rounds: usize,
    /// ns of CPU that a flight's score would save were its transforms native, once that has been measured.
    pub tax: Cell<Option<f64>>,
}

impl Lines {
    pub fn new(rounds: usize) -> Lines {
        Lines {
            rounds,
            tax: Cell::new(None),
        }
    }

    pub fn head(&self) {
        println!(
            "{:<46} {:>10} {:>10} {:>8} {:>8}   floor",
            "", "CPU", "wall", "× CPU", "× wall"
        );
    }

    pub fn group(&self, title: &str) {
        println!("\n{title}");
    }

    /// Measures in turns, and prints each subject beside the floor.
    pub fn compare(&self, floor: Subject<'_>, subjects: Vec<Subject<'_>>) {
        let mut all = vec![floor];
        all.extend(subjects);
        let costs = timing::rounds(&mut all, self.rounds);
        for (subject, own) in all.iter().zip(&costs).skip(1) {
            self.line(&subject.what, own, &all[0].what, &costs[0]);
        }
    }

    pub fn line(&self, what: &str, own: &[Cost], floor_name: &str, floor: &[Cost]) {
        let (cost, ratio) = (Cost::median(own), Cost::ratio(own, floor));
        let base = Cost::median(floor);
        println!(
            "  {what:<44} {:>10} {:>10} {:>8} {:>8}   {floor_name}: {}",
            time(cost.cpu),
            time(cost.wall),
            times(ratio.cpu),
            times(ratio.wall),
            time(if base.cpu.is_nan() {
                base.wall
            } else {
                base.cpu
            }),
        );
    }
}

/// ns in words; what was not measured is a dash.
fn time(ns: f64) -> String {
    match ns {
        ns if ns.is_nan() => "–".to_owned(),
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

fn times(ratio: f64) -> String {
    match ratio.is_nan() {
        true => "–".to_owned(),
        false => format!("{ratio:.2}"),
    }
}
