//! `tidemill audit …`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as Unread, StrDeserializer};
use serde_json::Value;

use super::client::{Client, ServerArg};
use super::table::Table;
use super::view::escaped;
use crate::access::audit::{self, Verified};
use crate::span::Span;

/// Show who changed what, or tried to, newest last.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  tidemill audit --since 24h
  tidemill audit --who ci --action transform
  tidemill audit --since 2026-11-01 --json --limit 1000000 > november.ndjson
  tidemill audit verify

An outcome is ok, the type of the problem that was answered, or begun: announced, and nobody knows what came of it."
)]
pub struct Audit {
    #[command(subcommand)]
    command: Option<Command>,
    /// Not older than a span (24h, 7d), a day (2026-11-01) or a moment (2026-11-01T12:00:00Z).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Timestamp>,
    /// Only what the token of this name did; `loopback` is whoever came without one.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only this action: transform.register, or transform for all of its kind.
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this: great-circle@1.0.0, or great-circle for all of it.
    #[arg(long)]
    subject: Option<String>,
    /// At most so many lines, the newest.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print the lines as they stand in the file, one JSON object each.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArg,
}

#[derive(Subcommand)]
enum Command {
    /// Check that no line was edited or removed, and name the first that was.
    Verify {
        /// Read the files of this data folder, instead of asking the server, which also knows where the log must end.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArg,
    },
}

/// Lines of one request.
const PAGE: usize = 1000;

impl Audit {
    pub fn run(self) -> Result<()> {
        if let Some(Command::Verify { data_dir, server }) = self.command {
            let verified = match data_dir {
                Some(dir) => audit::verify(&dir.join("audit"), None)?,
                None => serde_json::from_value(server.client().get("/v1/audit/verify")?)?,
            };
            return said(&verified);
        }
        let lines = self.lines(&self.server.client())?;
        if self.json {
            for line in &lines {
                println!("{line}");
            }
            return Ok(());
        }
        let mut table = Table::new(&[
            "at", "who", "from", "action", "subject", "outcome", "detail",
        ]);
        for line in &lines {
            let text = |name: &str| printable(line[name].as_str().unwrap_or("-"));
            table.row([
                moment(line["at"].as_str().unwrap_or_default()),
                text("who"),
                text("from"),
                text("action"),
                text("subject"),
                text("outcome"),
                printable(line["detail"].as_str().unwrap_or_default()),
            ]);
        }
        print!("{table}");
        Ok(())
    }

    /// The newest that fit, oldest first, page after page.
    fn lines(&self, client: &Client) -> Result<Vec<Value>> {
        let mut query = String::new();
        for (name, value) in [
            ("since", self.since.map(|since| since.to_string())),
            ("who", self.who.clone()),
            ("action", self.action.clone()),
            ("subject", self.subject.clone()),
        ] {
            if let Some(value) = value {
                query += &format!("&{name}={}", escaped(&value));
            }
        }
        let mut pages: Vec<Vec<Value>> = Vec::new();
        let (mut left, mut before) = (self.limit, String::new());
        while left > 0 {
            let mut page = client.get(&format!(
                "/v1/audit?limit={}{before}{query}",
                left.min(PAGE)
            ))?;
            let Value::Array(lines) = page["lines"].take() else {
                bail!("the server's answer has no lines; is it a Tidemill server?");
            };
            left = left.saturating_sub(lines.len());
            pages.push(lines);
            match page["earlier"].as_u64() {
                Some(seq) => before = format!("&before={seq}"),
                None => break,
            }
        }
        Ok(pages.into_iter().rev().flatten().collect())
    }
}

fn said(verified: &Verified) -> Result<()> {
    if let Some(bad) = &verified.bad {
        bail!(
            "audit/{}, line {}: {}; the {} lines before are whole",
            bad.file,
            bad.line,
            bad.reason,
            verified.lines
        );
    }
    println!(
        "{} lines, none edited or removed\nthe last is line {}, sha256:{}",
        verified.lines, verified.head.seq, verified.head.digest
    );
    Ok(())
}

/// A span of time.
pub fn span(text: &str) -> Result<Duration, String> {
    let text: StrDeserializer<'_, Unread> = text.into_deserializer();
    Span::deserialize(text)
        .map(|Span(span)| span)
        .map_err(|error| error.to_string())
}

pub fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = span(text) {
        return Timestamp::now()
            .checked_sub(span)
            .map_err(|error| error.to_string());
    }
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    match day() {
        Some(day) if text.len() == 10 => Ok(day.timestamp()),
        _ => text.parse().map_err(|_| {
            format!("\"{text}\" is no span such as 24h, day such as 2026-11-01, or moment such as 2026-11-01T12:00:00Z")
        }),
    }
}

/// A moment to the second, as a table shows it.
pub fn moment(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => printable(text),
    }
}

/// Others chose these words: on a terminal they should do nothing.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
