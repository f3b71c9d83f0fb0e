//! Rows of files that hold arrays.

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};
use arrow_schema::{ArrowError, DataType as ArrowType, SchemaRef};
use arrow_select::concat::concat_batches;

use super::{CHUNK_ROWS, Chunk, Chunks, Decoder, Raw, Rows};
use crate::block::{Block, Column, gather};
use crate::error::{Error, Result};
use crate::offline::read::{Arrays, Ill};
use crate::offline::{Fault, from_arrays};
use crate::schema::{DataType, Scalar, Schema};

/// What a block's column of these values is, if one can hold them.
pub fn data_type(arrow: &ArrowType) -> Option<DataType> {
    use ArrowType::*;
    let scalar = match arrow {
        Boolean => Scalar::Boolean,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Scalar::Integer,
        Float32 | Float64 => Scalar::Float,
        Utf8 | LargeUtf8 | Utf8View => Scalar::Text,
        Timestamp(..) | Date32 | Date64 => Scalar::Timestamp,
        Dictionary(_, values) => return data_type(values).filter(|_| is_text(values)),
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            return match data_type(item.data_type())? {
                DataType::One(scalar) => Some(DataType::Many(scalar)),
                DataType::Many(_) => None,
            };
        }
        _ => return None,
    };
    Some(DataType::One(scalar))
}

fn is_text(arrow: &ArrowType) -> bool {
    use ArrowType::*;
    matches!(arrow, Utf8 | LargeUtf8 | Utf8View)
}

/// The rows in chunks of one size, whatever the batches of the file.
pub fn chunks(arrays: Arrays, decoder: &mut Decoder) -> Result<Chunks> {
    let wanted = &decoder.wanted;
    let mut columns: Vec<usize> = wanted.places.iter().flatten().copied().collect();
    columns.extend(&wanted.arrays);
    columns.sort_unstable();
    columns.dedup();
    // A column of another type is refused before anything is read.
    let fields = arrays.schema.fields().clone();
    let empty: Vec<Option<ArrayRef>> = wanted
        .places
        .iter()
        .map(|place| place.map(|at| new_empty_array(fields[at].data_type())))
        .collect();
    from_arrays(&wanted.schema, &empty, 0).map_err(|fault| {
        let place = wanted.schema.position(&fault.column);
        let place = place.and_then(|at| wanted.places[at]);
        let column = place.map_or(fault.column.clone(), |at| fields[at].name().clone());
        Error::invalid(
            format!("{}, column \"{column}\"", decoder.name),
            fault.message,
        )
    })?;
    let name = decoder.name.clone();
    let schema = std::sync::Arc::new(
        arrays
            .schema
            .project(&columns)
            .map_err(|error| Error::Internal(error.to_string()))?,
    );
    let mut batches = Gathered {
        // Few at a time: a chunk is put together of some.
        batches: arrays.batches(&columns, CHUNK_ROWS)?,
        schema,
        rest: None,
    };
    decoder.batch = columns;
    let mut first = 0;
    let mut over = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if over {
            return None;
        }
        let batch = match batches.next().transpose() {
            Ok(batch) => batch?,
            Err(error) => {
                over = true;
                let place = format!("{name}, behind row {first}");
                return Some(Err(Error::invalid(
                    place,
                    format!("it cannot be read: {error}"),
                )));
            }
        };
        let chunk = Chunk {
            first,
            raw: Raw::Arrays(batch),
        };
        first += chunk.rows() as u64;
        Some(Ok(chunk))
    })))
}

/// Batches of [`CHUNK_ROWS`].
struct Gathered {
    batches: crate::offline::read::Batches,
    schema: SchemaRef,
    rest: Option<RecordBatch>,
}

impl Gathered {
    fn next(&mut self) -> Option<Result<RecordBatch, ArrowError>> {
        let mut parts: Vec<RecordBatch> = self.rest.take().into_iter().collect();
        let mut rows: usize = parts.iter().map(RecordBatch::num_rows).sum();
        while rows < CHUNK_ROWS {
            match self.batches.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(batch)) => {
                    rows += batch.num_rows();
                    parts.push(batch);
                }
            }
        }
        if rows == 0 {
            return None;
        }
        let whole = match parts.len() {
            1 => parts.remove(0),
            _ => match concat_batches(&self.schema, &parts) {
                Ok(whole) => whole,
                Err(error) => return Some(Err(error)),
            },
        };
        if rows > CHUNK_ROWS {
            self.rest = Some(whole.slice(CHUNK_ROWS, rows - CHUNK_ROWS));
        }
        Some(Ok(whole.slice(0, rows.min(CHUNK_ROWS))))
    }
}

pub fn decode(decoder: &Decoder, batch: &RecordBatch, first: u64) -> Result<Rows> {
    let wanted = &decoder.wanted;
    let array = |at: usize| {
        let place = decoder.batch.binary_search(&at).expect("it was asked for");
        batch.column(place).clone()
    };
    let arrays: Vec<Option<ArrayRef>> = wanted.places.iter().map(|at| at.map(array)).collect();
    let rows = batch.num_rows();
    let mut ill = Vec::new();
    let block = match from_arrays(&wanted.schema, &arrays, rows) {
        Ok(block) => block,
        Err(_) => apart(decoder, &arrays, rows, first, &mut ill)?,
    };
    Ok(Rows {
        block,
        arrays: wanted.arrays.iter().map(|&at| array(at)).collect(),
        ill,
    })
}

/// Each column for itself, and of those that do not fit each row.
fn apart(
    decoder: &Decoder,
    arrays: &[Option<ArrayRef>],
    rows: usize,
    first: u64,
    ill: &mut Vec<Ill>,
) -> Result<Block> {
    let schema = &decoder.wanted.schema;
    let mut messages: std::collections::BTreeMap<usize, String> = Default::default();
    let mut columns = Vec::new();
    for (field, array) in schema.fields().iter().zip(arrays) {
        let one = Schema::new(vec![field.clone()]);
        let whole = from_arrays(&one, std::slice::from_ref(array), rows);
        let (Err(_), Some(array)) = (&whole, array) else {
            columns.push((one, whole.map_err(|fault| wrong(decoder, &fault))?));
            continue;
        };
        let mut parts = Vec::with_capacity(rows);
        for row in 0..rows {
            match from_arrays(&one, &[Some(array.slice(row, 1))], 1) {
                Ok(part) => parts.push(part),
                Err(fault) if fault.row.is_none() => return Err(wrong(decoder, &fault)),
                Err(fault) => {
                    let at = first + row as u64 + 1;
                    let message = format!(
                        "{}, row {at}, column \"{}\": {}",
                        decoder.name, field.name, fault.message
                    );
                    messages.entry(row).or_insert(message);
                    parts.push(Block::nulls(&one, 1));
                }
            }
        }
        let block = Block::concat(&one, &parts);
        columns.push((one, block));
    }
    ill.extend(
        messages
            .into_iter()
            .map(|(row, message)| Ill { row, message }),
    );
    let columns: Vec<Column<'_>> = columns
        .iter()
        .map(|(schema, block)| Column {
            block,
            slot: schema.slot(0),
        })
        .collect();
    Ok(gather(schema, &columns, rows))
}

fn wrong(decoder: &Decoder, fault: &Fault) -> Error {
    Error::invalid(
        format!("{}, column \"{}\"", decoder.name, fault.column),
        fault.message.clone(),
    )
}
