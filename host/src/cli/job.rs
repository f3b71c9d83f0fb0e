//! `tidemill job …`

use std::io::Write;

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::client::ServerArg;
use super::service::text_of;
use super::table::Table;

#[derive(Subcommand)]
#[command(after_help = "\
A job is what `tidemill score … --later`, or the header `Prefer: respond-async`, makes of a request. It survives a restart of
the server; its answer is kept for a day, or as long as the server's jobs.keep says.")]
pub enum Job {
    /// Show how a job is doing, and its callback.
    Show {
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// List your jobs, or everybody's if you are an admin, the newest first.
    List {
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Print the answer of a job that is done, as the request would have got it.
    Result {
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Cancel a job that waits, or forget one that is finished. One that runs ends, for nobody.
    Cancel {
        id: String,
        #[command(flatten)]
        server: ServerArg,
    },
}

impl Job {
    pub fn run(self) -> Result<()> {
        match self {
            Job::Show { id, server } => {
                show(&server.client().get(&format!("/v1/jobs/{id}"))?);
            }
            Job::List { limit, server } => {
                let answer = server.client().get(&format!("/v1/jobs?limit={limit}"))?;
                let mut table = Table::new(&["job", "state", "service", "created"]);
                for job in answer["jobs"].as_array().into_iter().flatten() {
                    table.row([
                        text_of(&job["id"]),
                        text_of(&job["state"]),
                        service(job),
                        text_of(&job["created_at"]),
                    ]);
                }
                print!("{table}");
            }
            Job::Result { id, server } => {
                let answer = server.client().get_raw(&format!("/v1/jobs/{id}/result"))?;
                let mut out = std::io::stdout().lock();
                out.write_all(&answer)?;
                writeln!(out)?;
            }
            Job::Cancel { id, server } => {
                let job = server.client().delete(&format!("/v1/jobs/{id}"))?;
                println!("job {id} was {} and is forgotten", text_of(&job["state"]));
            }
        }
        Ok(())
    }
}

fn service(job: &Value) -> String {
    format!("{}@{}", text_of(&job["service"]), job["service_version"])
}

/// Says all that is known of a job.
fn show(job: &Value) {
    println!("job {}  {}", text_of(&job["id"]), text_of(&job["state"]));
    println!(
        "  service   {}, its {}",
        service(job),
        text_of(&job["kind"])
    );
    for (name, key) in [
        ("created", "created_at"),
        ("started", "started_at"),
        ("finished", "finished_at"),
    ] {
        if !job[key].is_null() {
            println!("  {name:9} {}", text_of(&job[key]));
        }
    }
    println!("  attempts  {}", job["attempts"]);
    if let Some(detail) = job["problem"]["detail"].as_str() {
        println!("  problem   {detail}");
    }
    let callback = &job["callback"];
    if callback.is_object() {
        println!(
            "  callback  {} to {}, tried {} times",
            text_of(&callback["state"]),
            text_of(&callback["url"]),
            callback["attempts"]
        );
        if let Some(error) = callback["error"].as_str() {
            println!("            {error}");
        }
    }
}
