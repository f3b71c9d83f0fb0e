//! Labels beside the rows of a set: those of a file, or those that the server keeps.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, NullArray, RecordBatch};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::label::declared;
use crate::cli::view::escaped;
use crate::labels::{self, Book, Declared, FOUND, REQUEST_ID, ROW, TIME, column};
use crate::offline;
use crate::training;
use crate::training_set::Labelled;

/// What `--labels` says where the server's are meant.
pub const STORED: &str = "stored";

/// Joins labels to rows, and counts.
pub struct Labels<'a> {
    declared: Declared,
    from: From<'a>,
    /// As it was given.
    told: String,
    as_of: Option<Timestamp>,
    matched: u64,
    unmatched: u64,
}

/// Of each row, the answer it was given in; null where that is not known.
pub struct Ids {
    pub request_id: ArrayRef,
    pub row: ArrayRef,
}

enum From<'a> {
    File(Box<Book>),
    Server { client: &'a Client, path: String },
}

impl<'a> Labels<'a> {
    /// Of a service (by its name alone): those of `source`, a file or [`STORED`], as of a time where one is given.
    pub fn open(
        client: &'a Client,
        service: &str,
        source: &Path,
        as_of: Option<Timestamp>,
    ) -> Result<Labels<'a>> {
        let declared = declared(client, service)?;
        let until = as_of.map_or(i64::MAX, Timestamp::as_microsecond);
        let from = match source.to_str() {
            Some(STORED) => {
                let mut path = format!("/v1/services/{service}/label-rows");
                if let Some(as_of) = as_of {
                    path += &format!("?as_of={}", escaped(&as_of.to_string()));
                }
                From::Server { client, path }
            }
            _ => From::File(Box::new(book(&declared, source, until)?)),
        };
        Ok(Labels {
            declared,
            from,
            told: source.display().to_string(),
            as_of,
            matched: 0,
            unmatched: 0,
        })
    }

    /// The rows with `label.NAME` behind their columns, null where there is no label. `ids` are those of the answers, where
    /// the rows do not have them among their columns.
    pub fn join(&mut self, batch: &RecordBatch, ids: Option<&Ids>) -> Result<RecordBatch> {
        let subjects = self.subjects(batch, ids)?;
        let found = match &self.from {
            From::Server { client, path } => {
                let body = training::to_parquet(&subjects)?;
                let answer = client.post_bytes(path, "application/vnd.apache.parquet", &body)?;
                training::from_parquet(answer.into())?
            }
            From::File(book) => {
                let schema = self.declared.subject();
                let arrays: Vec<Option<ArrayRef>> =
                    subjects.columns().iter().cloned().map(Some).collect();
                let block = offline::from_arrays(&schema, &arrays, batch.num_rows())
                    .map_err(|fault| anyhow::anyhow!("{fault}"))?;
                let place = |row: usize| format!("row {}", row + 1);
                let subjects = labels::subjects(&self.declared, &block, place)?;
                labels::to_batch(&self.declared, &book.asked(&subjects))?
            }
        };
        if found.num_rows() != batch.num_rows() {
            bail!("{} rows got {} labels", batch.num_rows(), found.num_rows());
        }
        let mut fields = batch.schema().fields().to_vec();
        let mut columns = batch.columns().to_vec();
        for (field, column) in found.schema().fields().iter().zip(found.columns()) {
            if field.name() == FOUND {
                let matched = column.as_boolean().true_count();
                self.matched += matched as u64;
                self.unmatched += (column.len() - matched) as u64;
            } else {
                fields.push(field.clone());
                columns.push(column.clone());
            }
        }
        Ok(RecordBatch::try_new(
            ArrowSchema::new(fields).into(),
            columns,
        )?)
    }

    /// What names each row: the request and the row where the rows have them, and the fields of the key.
    fn subjects(&self, batch: &RecordBatch, ids: Option<&Ids>) -> Result<RecordBatch> {
        let schema = self.declared.subject();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        let mut has_any = false;
        for name in schema.names() {
            let column = match (name.as_str(), ids) {
                (REQUEST_ID, Some(ids)) => Some(ids.request_id.clone()),
                (ROW, Some(ids)) => Some(ids.row.clone()),
                (REQUEST_ID | ROW, None) => batch.column_by_name(&name).cloned(),
                (key, _) => batch.column_by_name(&format!("request.{key}")).cloned(),
            };
            has_any |= column.is_some() && name != ROW;
            // The log's types are near enough: rows are counted in 32 bits there.
            let column = column.unwrap_or_else(|| Arc::new(NullArray::new(batch.num_rows())));
            fields.push(ArrowField::new(name, column.data_type().clone(), true));
            columns.push(column);
        }
        if !has_any {
            let key = self.declared.key.names();
            let names: Vec<&str> = [REQUEST_ID]
                .into_iter()
                .chain(key.iter().map(String::as_str))
                .collect();
            bail!(
                "labels of {} name their rows by {}, and these rows have none of them",
                self.declared.service,
                names.join(" or ")
            );
        }
        Ok(RecordBatch::try_new(
            ArrowSchema::new(fields).into(),
            columns,
        )?)
    }

    /// What the manifest says of them.
    pub fn told(&self) -> Result<Value> {
        let names = self.declared.fields.names();
        Ok(serde_json::to_value(Labelled {
            from: self.told.clone(),
            declared_by: format!("{}@{}", self.declared.service, self.declared.version),
            columns: names.iter().map(|name| column(name)).collect(),
            as_of: self.as_of,
            matched: self.matched,
            unmatched: self.unmatched,
        })?)
    }

    /// What is printed of them.
    pub fn summary(&self) -> String {
        let mut said = format!(
            "{} rows have a label, {} have none",
            self.matched, self.unmatched
        );
        if let From::File(book) = &self.from {
            said += &format!("; {} labels in {}", book.reports, self.told);
            if let (Some(as_of), 1..) = (self.as_of, book.after) {
                said += &format!(", {} of them learnt after {as_of}", book.after);
            }
            if book.timeless > 0 {
                said += &format!(
                    " ({} for want of a time: what has none in the column {TIME} is learnt as it is read)",
                    book.timeless
                );
            }
        }
        said
    }
}

fn book(declared: &Declared, file: &Path, as_of: i64) -> Result<Book> {
    let now = Timestamp::now().as_microsecond();
    let mut book = Book::new(declared.clone(), as_of, now);
    let mut before = 0;
    for block in offline::open(file, &declared.report())? {
        let block = block?;
        book.read(&block, |row| {
            format!("{}, row {}", file.display(), before + row + 1)
        })?;
        before += block.rows();
    }
    if book.reports == 0 {
        let names = declared.fields.names().join(", ");
        bail!("no row of {} says any of {names}", file.display());
    }
    Ok(book.finished())
}
