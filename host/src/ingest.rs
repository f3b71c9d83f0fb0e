//! Rows of a view in and out, as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::block::RowsBuilder;
use crate::clock;
use crate::error::{Error, Result, listed};
use crate::offline::json::write_row;
use crate::request;
use crate::schema::{DataType, Scalar};
use crate::store::{AsOf, OnlineStore, Status, Written, key, put_block, row};
use crate::view::View;

/// The newest row of a key, and its times; or that there is none.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoredRow {
    pub view: String,
    /// `present` or `not_found`.
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<Timestamp>,
    /// Column by column; null where there is none.
    #[schema(required)]
    pub row: Option<Map<String, Value>>,
}

/// Writes NDJSON, a row a line; empty lines are passed over. All lines are read before the first row is written, and all
/// rows are on disk when this returns: what is acknowledged is kept.
pub fn load(store: &dyn OnlineStore, view: &View, ndjson: &[u8]) -> Result<Written> {
    let mut rows = RowsBuilder::new(&view.columns);
    for (at, line) in ndjson.split(|&byte| byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            request::decode_row(&view.columns, line, at + 1, &mut rows)?;
        }
    }
    if rows.rows() == 0 {
        return Err(Error::invalid(
            "body",
            "no rows; send one JSON object a line",
        ));
    }
    let written = put_block(
        view,
        store.view(&view.name)?.as_ref(),
        &rows.finish(),
        clock::arrival(),
    )?;
    store.flush()?;
    Ok(written)
}

/// The newest row of a key given as text.
pub fn get(
    store: &dyn OnlineStore,
    view: &View,
    key: &BTreeMap<String, String>,
) -> Result<StoredRow> {
    if let Some(name) = key.keys().find(|name| !view.key.contains(name)) {
        return Err(Error::invalid(
            name.clone(),
            format!("no part of the key; {}", listed("part", &view.key)),
        ));
    }
    let schema = view.key_schema();
    let mut object = Map::new();
    for (name, text) in key {
        let field = schema.position(name).map(|at| schema.field(at).data_type);
        let value = match field {
            Some(DataType::One(Scalar::Integer | Scalar::Boolean)) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            _ => Value::from(text.as_str()),
        };
        object.insert(name.clone(), value);
    }
    let mut rows = RowsBuilder::new(&schema);
    request::decode_key(
        &schema,
        Value::Object(object).to_string().as_bytes(),
        &mut rows,
    )?;
    let block = rows.finish();
    let parts: Vec<key::Part> = (0..schema.len())
        .map(|at| key::Part::of(&schema, at))
        .collect();
    let mut bytes = Vec::new();
    key::encode(&block, &parts, 0, &mut bytes);

    let mut found = None;
    store
        .view(&view.name)?
        .get(&bytes, AsOf::NEWEST, &mut |bytes| {
            let mut rows = RowsBuilder::new(&view.columns);
            found = Some(
                row::decode(&view.columns, bytes, &view.columns, &mut rows)
                    .map(|times| (times, rows.finish())),
            );
        })?;
    let Some(found) = found else {
        return Ok(StoredRow {
            view: view.name.clone(),
            status: Status::NotFound,
            event_time: None,
            arrived_at: None,
            row: None,
        });
    };
    let (times, block) = found?;
    let mut row = Vec::new();
    write_row(&block, &view.columns, 0, &mut row);
    let row = serde_json::from_slice(&row).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(StoredRow {
        view: view.name.clone(),
        status: Status::Present,
        event_time: Timestamp::from_microsecond(times.event).ok(),
        arrived_at: Timestamp::from_microsecond(times.arrival).ok(),
        row: Some(row),
    })
}
