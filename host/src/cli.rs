//! The command line. The only room where errors are `anyhow`'s.

mod apply;
mod audit;
mod author;
mod client;
mod compare;
mod demo;
mod drift;
mod job;
mod label;
mod lifecycle;
mod lineage;
mod model;
mod progress;
mod replay;
mod rollout;
mod score;
mod serve;
mod service;
mod table;
mod token;
mod training_set;
mod transform;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Feature transforms written once, run as the same WebAssembly bytes online and offline.
#[derive(Parser)]
#[command(name = "tidemill", version, about, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
First steps:
  tidemill demo                     watch real flights being scored, from nothing
  tidemill transform new my-idea    a project of your own that builds, tests and registers as it stands
  tidemill serve                    a server on 127.0.0.1:8360 that keeps its data in ./data

Commands that talk to a server find it at http://127.0.0.1:8360, at --server URL or at $TIDEMILL_SERVER, and send the
token in $TIDEMILL_TOKEN or --token-file FILE, where the server asks for one.";

#[derive(Subcommand)]
enum Command {
    /// Score real flights from nothing: build, register, load, post, and print what came out.
    Demo(demo::Demo),
    /// Answer requests.
    Serve(serve::Serve),
    /// Write, build, check, test and register transforms.
    #[command(subcommand)]
    Transform(transform::Transform),
    /// Create feature views and load their rows.
    #[command(subcommand)]
    View(view::View),
    /// Register models and show what is in them.
    #[command(subcommand)]
    Model(model::Model),
    /// Register feature services, show their plans, move their aliases.
    #[command(subcommand)]
    Service(service::Service),
    /// Build training sets from past events, and compare them with one another and with the feature log.
    #[command(subcommand)]
    TrainingSet(training_set::TrainingSet),
    /// Compare what a service sees with what its model was trained on.
    Drift(drift::Drift),
    /// Report what truly happened with rows that were answered, and look at what was reported.
    #[command(subcommand)]
    Label(label::Label),
    /// Show what was made from what.
    Lineage(lineage::Lineage),
    /// Run logged answers again and compare them bit by bit.
    Replay(replay::Replay),
    /// Score rows with a service.
    Score(score::Score),
    /// Run transforms over all rows of a file.
    Apply(apply::Apply),
    /// Make, list and revoke access tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Show who changed what, or tried to.
    Audit(audit::Audit),
    /// Show, fetch and cancel what is answered later.
    #[command(subcommand)]
    Job(job::Job),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEMILL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("tidemill=info,warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    end_where_nobody_reads();
    let outcome = match Cli::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Serve(serve) => serve.run(),
        Command::Transform(command) => command.run(),
        Command::View(command) => command.run(),
        Command::Model(command) => command.run(),
        Command::Service(command) => command.run(),
        Command::TrainingSet(command) => command.run(),
        Command::Drift(drift) => drift.run(),
        Command::Label(command) => command.run(),
        Command::Lineage(lineage) => lineage.run(),
        Command::Replay(replay) => replay.run(),
        Command::Score(score) => score.run(),
        Command::Apply(apply) => apply.run(),
        Command::Token(command) => command.run(),
        Command::Audit(audit) => audit.run(),
        Command::Job(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever pipes what is printed into `head` has seen enough: that is no failure, and no panic to be told of.
fn end_where_nobody_reads() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        told(panic);
    }));
}
