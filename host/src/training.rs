//! Training sets: the offline twin of a service's answers.
//!
//! For each row of a spine the views are joined as they stood, and the very components that the service pins run over
//! them: it is [`score`](crate::score) that runs, with the same plan. The files have the columns of the feature log, so
//! that the two can be compared column by column ([`diff`]).

pub mod diff;

use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use futures_util::FutureExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::block::{Block, Column, RowsBuilder, gather};
use crate::error::{Error, Result};
use crate::log::{self, Role};
use crate::request::{Declared, Request};
use crate::schema::{DataType, Field, Scalar, Schema};
use crate::score::{Arrived, score};
use crate::service::{Service, Wanted};

/// Computes rows of training sets of one service version.
pub struct Builder {
    service: Arc<Service>,
    whole: SchemaRef,
    /// Of the columns that are kept.
    schema: SchemaRef,
    kept: Vec<usize>,
}

/// Rows to be joined, as they go to the server: the service's request fields, and when each was asked.
pub const ARRIVAL: &str = "tidemill.arrival";

impl Builder {
    /// A service must say when its events happened, or `arrivals` must be given with the rows.
    pub fn new(service: Arc<Service>) -> Result<Builder> {
        let whole = log::arrow_schema(&service.shape);
        let kept: Vec<usize> = (0..whole.fields().len())
            .filter(|&at| {
                let name = whole.field(at).name().as_str();
                // The score is the model's word, not the training set's.
                !log::OF_ANSWERS.contains(&name) && name != "score"
            })
            .collect();
        let schema = whole
            .project(&kept)
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Builder {
            service,
            whole,
            schema: Arc::new(schema),
            kept,
        })
    }

    /// The columns of the files.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The training rows of a block of the service's request schema. Of `arrivals` (µs) there is one a row: nothing that
    /// came later is seen; without them all is seen whose event is not after the row's.
    pub fn rows(&self, spine: Block, arrivals: Option<Vec<i64>>) -> Result<RecordBatch> {
        if arrivals.is_none() && self.service.plan.event_time.is_none() {
            return Err(Error::invalid(
                "arrivals",
                "the service has no event_time, so say when each row was asked",
            ));
        }
        let request = Request {
            arrivals,
            unhurried: true,
            ..Request::of(spine)
        };
        let arrived = Arrived {
            at: 0,
            instant: Instant::now(),
        };
        let scored = score(&self.service, request, arrived, Wanted::Features);
        let Some(scored) = scored.now_or_never() else {
            return Err(Error::Internal(
                "the store waits; a training set is made beside the data".to_owned(),
            ));
        };
        let took = arrived.instant.elapsed();
        let record = scored?.into_record(&self.service, Uuid::nil(), 0, Role::Answer, took);
        log::to_batch(&self.whole, &self.service.shape, vec![record])
            .and_then(|batch| batch.project(&self.kept))
            .map_err(|error| Error::Internal(error.to_string()))
    }
}

/// The request fields of a service and, where `arrival` is its name in the file, the column that says when each row was
/// asked.
pub fn spine_schema(request: &Schema, arrival: Option<&str>) -> Schema {
    let arrival = arrival.map(|name| Field::new(name, DataType::One(Scalar::Timestamp), false));
    Schema::new(request.fields().iter().cloned().chain(arrival).collect())
}

/// Request fields as a file has them: what has a default may be null there, which is to leave it out.
pub fn lenient(request: &Schema) -> Schema {
    let fields = request.fields().iter().map(|field| Field {
        nullable: field.nullable || field.default.is_some(),
        ..field.clone()
    });
    Schema::new(fields.collect())
}

/// Puts the defaults of the request's fields where `rows`, which begin with the columns of [`lenient`], are null. Only in
/// fields that are `left_out`: of others null may be the value.
pub fn with_defaults(
    request: &Schema,
    schema: &Schema,
    rows: Block,
    left_out: impl Fn(&Field) -> bool,
) -> Result<Block> {
    let defaults: Map<String, Value> = request
        .fields()
        .iter()
        .filter(|field| left_out(field))
        .filter_map(|field| Some((field.name.clone(), field.default.clone()?)))
        .collect();
    if defaults.is_empty() {
        return Ok(rows);
    }
    let defaults = Declared::read(request, &defaults).map_err(Error::Internal)?;
    let mut filled = RowsBuilder::new(schema);
    for row in 0..rows.rows() {
        filled.begin_row();
        for at in 0..schema.len() {
            let slot = schema.slot(at);
            let covered = defaults.covered.get(at).is_some_and(|covered| *covered);
            match covered && !rows.is_valid(slot, row) {
                true => filled.copy(slot, &defaults.row, request.slot(at), 0),
                false => filled.copy(slot, &rows, slot, row),
            }
        }
    }
    Ok(filled.finish())
}

/// A spine as its request columns and, where it has more, its arrivals.
pub fn split_spine(request: &Schema, schema: &Schema, rows: &Block) -> (Block, Option<Vec<i64>>) {
    let column = |at: usize| Column {
        block: rows,
        slot: schema.slot(at),
    };
    let columns: Vec<Column<'_>> = (0..request.len()).map(column).collect();
    let arrivals = (schema.len() > request.len()).then(|| {
        let slot = schema.slot(request.len());
        rows.integer_column(slot).to_vec()
    });
    (gather(request, &columns, rows.rows()), arrivals)
}

/// A batch as a Parquet file.
pub fn to_parquet(batch: &RecordBatch) -> Result<Vec<u8>> {
    let failed = |error: parquet::errors::ParquetError| Error::Internal(error.to_string());
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// The columns of a Parquet file.
pub fn columns(bytes: Bytes) -> Result<Vec<String>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| {
        let message = format!("it is no Parquet file that can be read: {error}");
        Error::invalid("the spine", message)
    })?;
    let fields = reader.schema().fields().iter();
    Ok(fields.map(|field| field.name().clone()).collect())
}

/// Batches of one schema, one after another.
pub fn concat(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    concat_batches(schema, batches).map_err(|error| Error::Internal(error.to_string()))
}

/// A Parquet file as a batch.
pub fn from_parquet(bytes: Bytes) -> Result<RecordBatch> {
    let failed = |error: &dyn std::fmt::Display| Error::Internal(error.to_string());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| failed(&error))?;
    let schema = reader.schema().clone();
    let reader = reader.build().map_err(|error| failed(&error))?;
    let batches: Vec<RecordBatch> = reader
        .collect::<Result<_, _>>()
        .map_err(|error| failed(&error))?;
    concat_batches(&schema, &batches).map_err(|error| failed(&error))
}
