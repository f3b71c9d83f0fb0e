//! Rows as CSV and as NDJSON.

use super::{Cells, Column};
use crate::block::Block;
use crate::offline::json::{write_text, write_value};
use crate::schema::{Field, Scalar, Slot};

/// The line of names.
pub fn header(columns: &[Column]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to a vector cannot fail.
    let _ = writer.write_record(columns.iter().map(Column::name));
    writer.into_inner().unwrap_or_default()
}

pub fn csv(rows: usize, cells: &[Cells<'_>], columns: &[Column], out: &mut Vec<u8>) {
    let mut writer = csv::Writer::from_writer(out);
    let mut text = Vec::new();
    let places = places(cells, columns);
    for row in 0..rows {
        for &(block, field, slot, _) in &places {
            text.clear();
            let scalar = field.data_type.scalar();
            if block.is_valid(slot, row) {
                match scalar {
                    Scalar::Text | Scalar::Json if !slot.many => {
                        text.extend_from_slice(block.text(slot, row).as_bytes());
                    }
                    _ => write_value(block, field, slot, row, &mut text),
                }
            }
            let _ = writer.write_field(cell(&text, scalar, slot.many));
        }
        let _ = writer.write_record(None::<&[u8]>);
    }
}

pub fn ndjson(rows: usize, cells: &[Cells<'_>], columns: &[Column], out: &mut Vec<u8>) {
    let names: Vec<Vec<u8>> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let mut name = vec![if at == 0 { b'{' } else { b',' }];
            write_text(column.name(), &mut name);
            name.push(b':');
            name
        })
        .collect();
    let places = places(cells, columns);
    for row in 0..rows {
        for &(block, field, slot, at) in &places {
            out.extend_from_slice(&names[at]);
            write_value(block, field, slot, row, out);
        }
        out.extend_from_slice(b"}\n");
    }
}

type Place<'a> = (&'a Block, &'a Field, Slot, usize);

fn places<'a>(cells: &[Cells<'a>], columns: &'a [Column]) -> Vec<Place<'a>> {
    let place = |(at, (cells, column)): (usize, (&Cells<'a>, &'a Column))| match (cells, column) {
        (Cells::Values(block, slot), Column::Values(_, field)) => (*block, field, *slot, at),
        _ => unreachable!("text is written of values"),
    };
    cells.iter().zip(columns).enumerate().map(place).collect()
}

/// A value as JSON has it, as a cell has it: a timestamp without its quotes, nothing for what is not finite.
fn cell(json: &[u8], scalar: Scalar, many: bool) -> &[u8] {
    match scalar {
        _ if many => json,
        Scalar::Timestamp => json
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .unwrap_or(json),
        Scalar::Float if json == b"null" => b"",
        _ => json,
    }
}
