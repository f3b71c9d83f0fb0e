//! A model's outputs as columns, for the transforms that come after it.

use super::{Matrix, Tensor, Values};
use crate::block::{Block, RowsBuilder};
use crate::schema::{DataType, Field, Schema};

/// One column an output, by its name; one of several values a row is a list. Numbers are f64 whatever the model has: what
/// was an f32 is that number exactly.
pub fn columns(outputs: &[Tensor]) -> Schema {
    let field = |output: &Tensor| {
        let scalar = output.kind.scalar();
        Field::new(
            output.name.clone(),
            match output.columns {
                1 => DataType::One(scalar),
                _ => DataType::Many(scalar),
            },
            false,
        )
    };
    Schema::new(outputs.iter().map(field).collect())
}

/// The rows of `outputs` as a block of `schema`, which [`columns`] made.
pub fn to_block(schema: &Schema, outputs: &[Matrix], rows: usize) -> Block {
    let mut block = RowsBuilder::new(schema);
    for row in 0..rows {
        block.begin_row();
        for (slot, matrix) in schema.slots().iter().zip(outputs) {
            let values = row * matrix.columns..(row + 1) * matrix.columns;
            if !slot.many {
                match &matrix.values {
                    Values::F32(all) => block.set_float(*slot, f64::from(all[values.start])),
                    Values::F64(all) => block.set_float(*slot, all[values.start]),
                    Values::I64(all) => block.set_integer(*slot, all[values.start]),
                    Values::Bool(all) => block.set_boolean(*slot, all[values.start]),
                    Values::Text(all) => block.set_text(*slot, &all[values.start]),
                }
                continue;
            }
            block.begin_list(*slot);
            for at in values {
                match &matrix.values {
                    Values::F32(all) => block.push_float(f64::from(all[at])),
                    Values::F64(all) => block.push_float(all[at]),
                    Values::I64(all) => block.push_integer(all[at]),
                    Values::Bool(all) => block.push_boolean(all[at]),
                    Values::Text(all) => block.push_text(&all[at]),
                }
            }
            block.end_list(*slot);
        }
    }
    block.finish()
}
