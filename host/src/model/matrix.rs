//! Rows × columns of one type, row-major, as models take and give them.

use super::{Kind, Tensor};
use crate::block::Block;
use crate::schema::{Pool, Slot};

#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Values a row.
    pub columns: usize,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<String>),
}

impl Matrix {
    /// Rows of zeros, or of empty texts, as an input takes them.
    pub fn zeros(input: &Tensor, rows: usize) -> Matrix {
        let count = rows * input.columns;
        let values = match input.kind {
            Kind::F32 => Values::F32(vec![0.0; count]),
            Kind::F64 => Values::F64(vec![0.0; count]),
            Kind::I64 => Values::I64(vec![0; count]),
            Kind::Bool => Values::Bool(vec![false; count]),
            Kind::Text => Values::Text(vec![String::new(); count]),
        };
        Matrix {
            columns: input.columns,
            values,
        }
    }

    /// The columns of a block side by side. A null becomes NaN among numbers and the empty text among texts.
    pub fn of_columns(block: &Block, slots: &[Slot], kind: Kind) -> Matrix {
        let values = match kind {
            Kind::F32 => Values::F32(filled(block, slots, |block, slot, row| {
                number(block, slot, row) as f32
            })),
            Kind::F64 => Values::F64(filled(block, slots, number)),
            Kind::I64 => Values::I64(filled(block, slots, |block, slot, row| match slot.pool {
                Pool::Booleans => i64::from(block.boolean(slot, row)),
                _ => block.integer(slot, row),
            })),
            Kind::Bool => Values::Bool(filled(block, slots, Block::boolean)),
            Kind::Text => Values::Text(filled(block, slots, |block, slot, row| {
                block.text(slot, row).to_owned()
            })),
        };
        Matrix {
            columns: slots.len(),
            values,
        }
    }

    /// The value as a number; a text is none.
    pub fn number(&self, row: usize, column: usize) -> f64 {
        let at = row * self.columns + column;
        match &self.values {
            Values::F32(values) => f64::from(values[at]),
            Values::F64(values) => values[at],
            Values::I64(values) => values[at] as f64,
            Values::Bool(values) => f64::from(u8::from(values[at])),
            Values::Text(_) => f64::NAN,
        }
    }

    /// One row, in a matrix of its own.
    pub fn row(&self, row: usize) -> Matrix {
        let range = row * self.columns..(row + 1) * self.columns;
        let values = match &self.values {
            Values::F32(values) => Values::F32(values[range].to_vec()),
            Values::F64(values) => Values::F64(values[range].to_vec()),
            Values::I64(values) => Values::I64(values[range].to_vec()),
            Values::Bool(values) => Values::Bool(values[range].to_vec()),
            Values::Text(values) => Values::Text(values[range].to_vec()),
        };
        Matrix {
            columns: self.columns,
            values,
        }
    }

    /// Puts the rows of another matrix of this kind behind its own; of another kind nothing.
    pub fn append(&mut self, other: Matrix) {
        match (&mut self.values, other.values) {
            (Values::F32(values), Values::F32(more)) => values.extend(more),
            (Values::F64(values), Values::F64(more)) => values.extend(more),
            (Values::I64(values), Values::I64(more)) => values.extend(more),
            (Values::Bool(values), Values::Bool(more)) => values.extend(more),
            (Values::Text(values), Values::Text(more)) => values.extend(more),
            _ => {}
        }
    }

    pub fn kind(&self) -> Kind {
        match &self.values {
            Values::F32(_) => Kind::F32,
            Values::F64(_) => Kind::F64,
            Values::I64(_) => Kind::I64,
            Values::Bool(_) => Kind::Bool,
            Values::Text(_) => Kind::Text,
        }
    }

    pub fn len(&self) -> usize {
        match &self.values {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I64(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::Text(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn filled<T>(block: &Block, slots: &[Slot], value: impl Fn(&Block, Slot, usize) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(block.rows() * slots.len());
    for row in 0..block.rows() {
        out.extend(slots.iter().map(|slot| value(block, *slot, row)));
    }
    out
}

fn number(block: &Block, slot: Slot, row: usize) -> f64 {
    if !block.is_valid(slot, row) {
        return f64::NAN;
    }
    match slot.pool {
        Pool::Floats => block.float(slot, row),
        Pool::Integers => block.integer(slot, row) as f64,
        Pool::Booleans => f64::from(u8::from(block.boolean(slot, row))),
        Pool::Text => f64::NAN,
    }
}
