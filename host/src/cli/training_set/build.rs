//! `tidemill training-set build`

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::block::Block;
use crate::cli::client::{Client, ServerArg};
use crate::cli::service::text_of;
use crate::offline::arrow::{arrow_field, to_array};
use crate::offline::{self, parallel::ordered};
use crate::schema::Schema;
use crate::service::Definition;
use crate::training::{self, ARRIVAL};

#[derive(Args)]
pub struct Build {
    /// The service whose vectors they are: name, name@3 or name@alias.
    #[arg(long)]
    service: String,
    /// Past events: a Parquet, CSV or NDJSON file with the fields of the service's request.
    #[arg(long, value_name = "FILE")]
    spine: PathBuf,
    /// A new folder for the files and their manifest.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The spine's column that says when each row was asked: rows of views that arrived later are not seen. Without it all
    /// rows are seen whose event is not after the row's own.
    #[arg(long, value_name = "COLUMN")]
    arrival: Option<String>,
    #[command(flatten)]
    server: ServerArg,
}

impl Build {
    pub fn run(self) -> Result<()> {
        let client = self.server.client();
        let shown = client.get(&format!("/v1/services/{}", self.service))?;
        let id = format!("{}@{}", text_of(&shown["name"]), shown["version"]);
        let definition: Definition = serde_json::from_value(shown["definition"].clone())?;
        let schema = training::spine_schema(&definition.request, self.arrival.as_deref());
        let spine = offline::open(&self.spine, &schema)?;

        if self.out.exists() && std::fs::read_dir(&self.out)?.next().is_some() {
            bail!(
                "{} is there and not empty; name a new folder",
                self.out.display()
            );
        }
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot create {}", self.out.display()))?;
        let progress = match spine.rows_hint() {
            Some(rows) => ProgressBar::new(rows).with_style(ProgressStyle::with_template(
                "{bar:30} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
            )?),
            None => ProgressBar::new_spinner(),
        };
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let path = format!("/v1/services/{id}/training-rows");
        let mut rows = Rows::create(self.out.join("rows.parquet"));
        ordered(
            spine,
            threads,
            |block| joined(&client, &path, &schema, self.arrival.as_deref(), &block?),
            |batch| {
                progress.inc(batch.num_rows() as u64);
                rows.write(&batch)
            },
        )?;
        progress.finish_and_clear();
        let file = rows.finish()?;
        let manifest = json!({
            "service": id,
            "transforms": shown["pins"]["transforms"],
            "model": shown["pins"]["model"],
            "features": shown["features"].as_array().into_iter().flatten()
                .map(|field| field["name"].clone()).collect::<Vec<Value>>(),
            "rows": file["rows"],
            "spine": { "file": self.spine.display().to_string(), "arrival": self.arrival },
            "files": [file],
            "made_by": concat!("tidemill ", env!("CARGO_PKG_VERSION")),
        });
        let path = self.out.join("manifest.json");
        std::fs::write(&path, serde_json::to_string_pretty(&manifest)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!(
            "{} rows of {id} in {}",
            manifest["rows"],
            self.out.display()
        );
        Ok(())
    }
}

/// Posts rows of a spine and reads the training rows.
fn joined(
    client: &Client,
    path: &str,
    schema: &Schema,
    arrival: Option<&str>,
    block: &Block,
) -> Result<RecordBatch> {
    let name = |name: &str| match Some(name) == arrival {
        true => ARRIVAL.to_owned(),
        false => name.to_owned(),
    };
    let fields: Vec<ArrowField> = schema
        .fields()
        .iter()
        .map(|field| arrow_field(Some(&name(&field.name)), field))
        .collect();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(schema.slots())
        .map(|(field, slot)| to_array(block, field, *slot))
        .collect();
    let batch = RecordBatch::try_new(ArrowSchema::new(fields).into(), columns)?;
    let body = training::to_parquet(&batch)?;
    let answer = client.post_bytes(path, "application/vnd.apache.parquet", &body)?;
    Ok(training::from_parquet(answer.into())?)
}

/// A Parquet file that has its name only once it is whole.
struct Rows {
    path: PathBuf,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
}

impl Rows {
    fn create(path: PathBuf) -> Rows {
        Rows {
            path,
            writer: None,
            rows: 0,
        }
    }

    fn in_progress(&self) -> PathBuf {
        self.path.with_extension("parquet.inprogress")
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.writer.is_none() {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .build();
            let file = File::create(self.in_progress())?;
            self.writer = Some(ArrowWriter::try_new(
                file,
                batch.schema(),
                Some(properties),
            )?);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the file, and says what a manifest says of it.
    fn finish(mut self) -> Result<Value> {
        let Some(mut writer) = self.writer.take() else {
            bail!("the spine has no rows");
        };
        writer.finish()?;
        writer.inner().sync_all()?;
        std::fs::rename(self.in_progress(), &self.path)?;
        let mut file = File::open(&self.path)?;
        let mut digest = Sha256::new();
        let bytes = std::io::copy(&mut file, &mut digest)?;
        let sha256: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = self.path.file_name().map(|name| name.to_string_lossy());
        Ok(json!({ "path": name, "sha256": sha256, "rows": self.rows, "bytes": bytes }))
    }
}
