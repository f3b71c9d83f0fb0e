//! `tidemill label …`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::client::{Client, ServerArg};
use super::service::text_of;
use super::table::Table;
use super::view::escaped;
use crate::block::Block;
use crate::labels::{Declared, REQUEST_ID, ROW, Report, reports};
use crate::offline::{self, json::write_row};
use crate::schema::{Pool, Schema};

#[derive(Subcommand)]
pub enum Label {
    /// Report the labels in a file: a file with a column for each label.
    ///
    /// A row names what it speaks of by the fields of the service's key, or by the columns request_id and row of an answer
    /// (row is 0 where it is left out; rows of a stream, whose chunks are requests of their own, are best named by key). The
    /// column time, where there is one, says when the label was learnt. Other columns are passed over, and so are rows whose
    /// labels are all null: what is null is not known yet.
    ///
    /// Labels come late, and more than once: everything reported of a row is kept, and the one with the latest time counts;
    /// without a time of its own a label's is when it arrived, and of equal times the later arrival counts. To put a file
    /// again is harmless: what has a time is there already, and what has none is one report more that says the same.
    #[command(after_help = "\
Examples:
  tidemill label put flight-delay --file arrivals.parquet
  tidemill label put flight-delay --file corrections.csv")]
    Put {
        /// The name of the service, whose file declares [labels].
        service: String,
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        server: ServerArg,
    },
    /// Show the label of a row that counts, and all that was reported of it; without a row, which labels there are.
    Show {
        service: String,
        /// The values of the key's fields, in the order of the service file.
        #[arg(conflicts_with = "request_id")]
        key: Vec<String>,
        /// The answer whose row it is.
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Which row of that request.
        #[arg(long, value_name = "ROW", default_value_t = 0, requires = "request_id")]
        row: u32,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerArg,
    },
}

impl Label {
    pub fn run(self) -> Result<()> {
        match self {
            Label::Put {
                service,
                file,
                server,
            } => put(&server.client(), &service, &file),
            Label::Show {
                service,
                key,
                request_id,
                row,
                json,
                server,
            } => {
                let client = server.client();
                let declared = declared(&client, &service)?;
                let query = match request_id {
                    Some(id) => format!("{REQUEST_ID}={}&{ROW}={row}", escaped(&id)),
                    None if key.is_empty() => {
                        describe(&declared);
                        return Ok(());
                    }
                    None => query(&declared, &key)?,
                };
                let shown = client.get(&format!("/v1/services/{service}/label?{query}"))?;
                match json {
                    true => println!("{shown:#}"),
                    false => show(&shown),
                }
                Ok(())
            }
        }
    }
}

/// What labels a service has.
pub fn declared(client: &Client, service: &str) -> Result<Declared> {
    let shown = client.get(&format!("/v1/services/{service}/labels"))?;
    Ok(serde_json::from_value(shown)?)
}

/// What became of a file's labels, in the words of the server's answer.
const COUNTS: [&str; 5] = ["stored", "replaced", "outdated", "unchanged", "unknown"];

/// Lines of one request: few enough to be held, so many that the server need not look for their answers again and again.
const CHUNK_BYTES: usize = 8 << 20;

/// A file while it is sent.
#[derive(Default)]
struct Put {
    /// What waits to be sent.
    lines: Vec<u8>,
    /// Rows that were read, and rows that were sent.
    rows: usize,
    sent: usize,
    /// Rows that say nothing.
    silent: usize,
    counts: [u64; COUNTS.len()],
    unknown: Vec<String>,
    /// Whether the server writes no log, or cannot read it: then it cannot know an answer.
    no_log: bool,
}

impl Put {
    fn count(&mut self, answer: &Value) {
        for (count, name) in self.counts.iter_mut().zip(COUNTS) {
            *count += answer[name].as_u64().unwrap_or(0);
        }
        self.no_log |= answer["unknown"].is_null();
        let ids = answer["unknown_ids"].as_array();
        self.unknown.extend(ids.into_iter().flatten().map(text_of));
    }
}

fn put(client: &Client, service: &str, file: &Path) -> Result<()> {
    let declared = declared(client, service)?;
    let schema = declared.report();
    let reader = offline::open(file, &schema)?;
    let bar = match reader.rows_hint() {
        Some(rows) => ProgressBar::new(rows),
        None => ProgressBar::no_length(),
    };
    bar.set_style(ProgressStyle::with_template(
        "{msg:24} {wide_bar} {human_pos} labels  {per_sec}",
    )?);
    bar.set_message(format!("labels of {service}"));
    let path = format!("/v1/services/{service}/labels");
    let mut put = Put::default();
    let send = |put: &mut Put| -> Result<()> {
        let lines = std::mem::take(&mut put.lines);
        if !lines.is_empty() {
            let answer = client
                .post(&path, "application/x-ndjson", &lines)
                .with_context(|| {
                    format!("the labels of the first {} rows are kept; put the file again once it is mended", put.sent)
                })?;
            put.count(&answer);
        }
        put.sent = put.rows;
        Ok(())
    };
    for block in reader {
        let block = block?;
        let place = |row: usize| format!("{}, row {}", file.display(), put.rows + row + 1);
        let said = reports(&declared, &block, place)?;
        let mut lines = std::mem::take(&mut put.lines);
        for report in said.iter().flatten() {
            finite(&declared, &schema, &block, report)
                .map_err(|message| anyhow::anyhow!("{}: {message}", place(report.at)))?;
            write_row(&block, &schema, report.at, &mut lines);
            lines.push(b'\n');
        }
        put.lines = lines;
        put.silent += said.iter().filter(|report| report.is_none()).count();
        put.rows += block.rows();
        if put.lines.len() >= CHUNK_BYTES {
            send(&mut put)?;
        }
        bar.inc(block.rows() as u64);
    }
    send(&mut put)?;
    bar.finish_and_clear();
    let Put {
        rows,
        silent,
        counts,
        mut unknown,
        no_log,
        ..
    } = put;
    if rows == silent {
        let names = declared.fields.names().join(", ");
        bail!(
            "no row of {} says any of {names}: {silent} rows, all null",
            file.display()
        );
    }
    println!("{} labels of {service}", rows - silent);
    for (count, what) in counts.into_iter().zip([
        "stored, the first of their rows",
        "replaced an earlier one, which stays in the history",
        "outdated: a later one is there; kept in the history",
        "unchanged: there already",
        "name an answer that is not in the feature log; kept all the same",
    ]) {
        if count > 0 {
            println!("  {count} {what}");
        }
    }
    if !unknown.is_empty() {
        unknown.truncate(5);
        println!("    such as {}", unknown.join(", "));
    }
    if no_log {
        println!(
            "  the server writes no feature log, or cannot read it, so whether it gave these answers is not known"
        );
    }
    if silent > 0 {
        println!("  {silent} rows say nothing and are passed over");
    }
    Ok(())
}

/// JSON has no word for NaN: as null it would be another label.
fn finite(
    declared: &Declared,
    schema: &Schema,
    block: &Block,
    report: &Report,
) -> Result<(), String> {
    for at in schema.len() - declared.fields.len()..schema.len() {
        let slot = schema.slot(at);
        if slot.pool != Pool::Floats || !block.is_valid(slot, report.at) {
            continue;
        }
        let values = match slot.many {
            true => block
                .items(slot, report.at)
                .map(|at| block.float_item(at))
                .collect(),
            false => vec![block.float(slot, report.at)],
        };
        if let Some(value) = values.into_iter().find(|value| !value.is_finite()) {
            return Err(format!(
                "label {} is {value}, which JSON cannot say; leave it out where it is not known",
                schema.field(at).name
            ));
        }
    }
    Ok(())
}

fn query(declared: &Declared, key: &[String]) -> Result<String> {
    let names = declared.key.names();
    if names.len() != key.len() {
        bail!(
            "the key of {}'s labels is ({}): give {} values, or --request-id",
            declared.service,
            names.join(", "),
            names.len()
        );
    }
    let pairs = names.iter().zip(key);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    Ok(pairs.join("&"))
}

fn describe(declared: &Declared) {
    let key = match declared.key.is_empty() {
        true => "no key: a label names its answer by request_id and row".to_owned(),
        false => format!("key {}", declared.key.names().join(", ")),
    };
    println!(
        "labels of {}, as {}@{} declares them; {key}\n",
        declared.service, declared.service, declared.version
    );
    let mut table = Table::new(&["label", "type", "null", "doc"]);
    for field in declared.fields.fields() {
        table.row([
            field.name.clone(),
            field.data_type.to_string(),
            if field.nullable { "may be" } else { "" }.to_owned(),
            field.doc.clone(),
        ]);
    }
    print!("{table}");
}

fn show(shown: &Value) {
    let history = shown["history"].as_array().map_or(&[][..], Vec::as_slice);
    if history.is_empty() {
        println!("nothing was reported of it");
        return;
    }
    let mut table = Table::new(&["time", "arrived at", "by", "label", ""]);
    for (at, report) in history.iter().enumerate() {
        let [time, arrived, by] = ["time", "arrived_at", "by"].map(|name| text_of(&report[name]));
        let counts = match at + 1 == history.len() {
            true => "counts",
            false => "",
        };
        let label = report["label"].to_string();
        table.row([time, arrived, by, label, counts.to_owned()]);
    }
    print!("{table}");
}
