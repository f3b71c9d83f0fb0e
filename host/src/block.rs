//! Rows of columns grouped by physical type: the one currency between the rooms.
//!
//! The layout is that of `wit/transform.wit`, which is Arrow's with the columns of one type laid end to end. A block
//! knows no names: a [`Schema`] says which [`Slot`] is which.

mod build;
mod gather;
mod rows;
#[cfg(test)]
pub(crate) mod samples;
mod split;

pub use build::RowsBuilder;
pub use gather::{Column, Picked, gather, pick};
pub use rows::{Rows, Source};

use std::ops::Range;

use crate::schema::{Layout, Pool, Schema, Slot};

/// `rows` rows. A value of this type is always well formed for the layout it was made for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub(crate) rows: usize,
    pub(crate) floats: Vec<f64>,
    pub(crate) integers: Vec<i64>,
    /// 0 or 1.
    pub(crate) booleans: Vec<u8>,
    pub(crate) text: String,
    pub(crate) text_ends: Vec<u32>,
    pub(crate) list_offsets: Vec<u32>,
    pub(crate) validity: Vec<u8>,
}

/// A block as somebody else gives it, before it is believed.
#[derive(Debug, Default)]
pub struct Parts {
    pub rows: usize,
    pub floats: Vec<f64>,
    pub integers: Vec<i64>,
    pub booleans: Vec<u8>,
    pub text: Vec<u8>,
    pub text_ends: Vec<u32>,
    pub list_offsets: Vec<u32>,
    pub validity: Vec<u8>,
}

impl From<Block> for Parts {
    fn from(block: Block) -> Parts {
        Parts {
            rows: block.rows,
            floats: block.floats,
            integers: block.integers,
            booleans: block.booleans,
            text: block.text.into_bytes(),
            text_ends: block.text_ends,
            list_offsets: block.list_offsets,
            validity: block.validity,
        }
    }
}

impl Block {
    /// Believes `parts` if they are a block of `rows` rows of this schema; else says what is wrong with them.
    pub fn check(parts: Parts, schema: &Schema, rows: usize) -> Result<Block, String> {
        let layout = schema.layout();
        if parts.rows != rows {
            return Err(format!("it answered {} rows for {rows}", parts.rows));
        }
        at_least("floats", parts.floats.len(), layout.floats * rows)?;
        at_least("integers", parts.integers.len(), layout.integers * rows)?;
        at_least("booleans", parts.booleans.len(), layout.booleans * rows)?;
        at_least("text-ends", parts.text_ends.len(), layout.texts * rows)?;
        exactly(
            "list-offsets",
            parts.list_offsets.len(),
            layout.lists * (rows + 1),
        )?;
        exactly(
            "validity",
            parts.validity.len(),
            layout.nullables * rows.div_ceil(8),
        )?;
        if let Some(at) = parts.booleans.iter().position(|&value| value > 1) {
            return Err(format!(
                "boolean {at} is {}, neither 0 nor 1",
                parts.booleans[at]
            ));
        }
        let text = String::from_utf8(parts.text).map_err(|error| {
            format!(
                "its text is no UTF-8 at byte {}",
                error.utf8_error().valid_up_to()
            )
        })?;
        let mut start = 0;
        for (at, &end) in parts.text_ends.iter().enumerate() {
            if end < start || !text.is_char_boundary(end as usize) {
                return Err(format!(
                    "text-ends[{at}] is {end}, after {start}, in {} bytes of text",
                    text.len()
                ));
            }
            start = end;
        }
        let block = Block {
            rows,
            floats: parts.floats,
            integers: parts.integers,
            booleans: parts.booleans,
            text,
            text_ends: parts.text_ends,
            list_offsets: parts.list_offsets,
            validity: parts.validity,
        };
        block.check_lists(schema)?;
        Ok(block)
    }

    fn check_lists(&self, schema: &Schema) -> Result<(), String> {
        for (field, slot) in schema
            .fields()
            .iter()
            .zip(schema.slots())
            .filter(|(_, slot)| slot.many)
        {
            let (first, last) = (
                self.items_start(slot.pool, schema.layout()),
                self.pool_len(slot.pool),
            );
            let mut low = first;
            for &offset in self.offsets(*slot) {
                if (offset as usize) < low || offset as usize > last {
                    return Err(format!(
                        "list \"{}\" has offset {offset}, outside {low}..={last}",
                        field.name
                    ));
                }
                low = offset as usize;
            }
        }
        Ok(())
    }

    /// The first number outside the range its field declares, as a sentence.
    pub fn out_of_range(&self, schema: &Schema) -> Option<String> {
        self.first_out_of_range(schema).map(|(row, index, value)| {
            let field = schema.field(index);
            format!(
                "\"{}\" is {value} in row {row}, outside its range {}",
                field.name,
                field.range_text()
            )
        })
    }

    /// The row, field and value of the first number outside the range its field declares.
    pub fn first_out_of_range(&self, schema: &Schema) -> Option<(usize, usize, f64)> {
        (0..schema.len())
            .filter(|&index| schema.field(index).is_ranged() && !self.all_within(schema, index))
            .find_map(|index| {
                (0..self.rows).find_map(|row| {
                    let value = self.outside(schema, index, row)?;
                    Some((row, index, value))
                })
            })
    }

    /// Whether all numbers of a column are within its range, also what stands for null; seen at a glance, without asking row
    /// by row.
    fn all_within(&self, schema: &Schema, index: usize) -> bool {
        let (field, slot) = (schema.field(index), schema.slot(index));
        let low = field.minimum.unwrap_or(f64::NEG_INFINITY);
        let high = field.maximum.unwrap_or(f64::INFINITY);
        let within = |value: f64| (value >= low) & (value <= high);
        match (slot.pool, slot.many) {
            (Pool::Floats, false) => {
                let column = self.float_column(slot).iter();
                column.fold(true, |all, &value| all & within(value))
            }
            (Pool::Integers, false) => {
                let column = self.integer_column(slot).iter();
                column.fold(true, |all, &value| all & within(value as f64))
            }
            _ => false,
        }
    }

    /// The field's number in that row, or the first of its list, that lies outside the range the field declares.
    pub fn outside(&self, schema: &Schema, index: usize, row: usize) -> Option<f64> {
        let (field, slot) = (schema.field(index), schema.slot(index));
        let outside = |value: &f64| !field.allows(*value);
        match (slot.pool, slot.many) {
            _ if !self.is_valid(slot, row) => None,
            (Pool::Floats, false) => Some(self.float(slot, row)).filter(outside),
            (Pool::Integers, false) => Some(self.integer(slot, row) as f64).filter(outside),
            (Pool::Floats, true) => self
                .items(slot, row)
                .map(|item| self.floats[item])
                .find(outside),
            (Pool::Integers, true) => self
                .items(slot, row)
                .map(|item| self.integers[item] as f64)
                .find(outside),
            _ => None,
        }
    }

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        8 * (self.floats.len() + self.integers.len())
            + 4 * (self.text_ends.len() + self.list_offsets.len())
            + self.booleans.len()
            + self.text.len()
    }

    /// A block whose every nullable value is null, and every other zero, empty or false.
    pub fn nulls(schema: &Schema, rows: usize) -> Block {
        let layout = schema.layout();
        let mut block = Block {
            rows,
            floats: vec![0.0; layout.floats * rows],
            integers: vec![0; layout.integers * rows],
            booleans: vec![0; layout.booleans * rows],
            text: String::new(),
            text_ends: vec![0; layout.texts * rows],
            list_offsets: Vec::new(),
            validity: vec![0; layout.nullables * rows.div_ceil(8)],
        };
        for slot in schema.slots().iter().filter(|slot| slot.many) {
            let empty = block.items_start(slot.pool, layout) as u32;
            block
                .list_offsets
                .extend(std::iter::repeat_n(empty, rows + 1));
        }
        block
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the row has a value in this column.
    pub fn is_valid(&self, slot: Slot, row: usize) -> bool {
        match slot.validity {
            None => true,
            Some(ordinal) => {
                self.validity[ordinal * self.rows.div_ceil(8) + row / 8] & (1 << (row % 8)) != 0
            }
        }
    }

    pub fn float(&self, slot: Slot, row: usize) -> f64 {
        self.floats[slot.index * self.rows + row]
    }

    pub fn integer(&self, slot: Slot, row: usize) -> i64 {
        self.integers[slot.index * self.rows + row]
    }

    pub fn boolean(&self, slot: Slot, row: usize) -> bool {
        self.booleans[slot.index * self.rows + row] != 0
    }

    pub fn text(&self, slot: Slot, row: usize) -> &str {
        self.text_at(slot.index * self.rows + row)
    }

    /// The indices, in the column's pool, of the row's items.
    pub fn items(&self, slot: Slot, row: usize) -> Range<usize> {
        let offsets = self.offsets(slot);
        offsets[row] as usize..offsets[row + 1] as usize
    }

    pub fn float_item(&self, index: usize) -> f64 {
        self.floats[index]
    }

    pub fn integer_item(&self, index: usize) -> i64 {
        self.integers[index]
    }

    pub fn boolean_item(&self, index: usize) -> bool {
        self.booleans[index] != 0
    }

    /// The `index`-th text of the pool.
    pub fn text_at(&self, index: usize) -> &str {
        &self.text[self.text_start(index)..self.text_ends[index] as usize]
    }

    /// The floats of a column that has one a row.
    pub fn float_column(&self, slot: Slot) -> &[f64] {
        &self.floats[slot.index * self.rows..(slot.index + 1) * self.rows]
    }

    /// The integers or timestamps of a column that has one a row.
    pub fn integer_column(&self, slot: Slot) -> &[i64] {
        &self.integers[slot.index * self.rows..(slot.index + 1) * self.rows]
    }

    /// The column's validity bits, lowest bit first; none if it is never null.
    pub fn validity_bits(&self, slot: Slot) -> Option<&[u8]> {
        let bytes = self.rows.div_ceil(8);
        slot.validity
            .map(|ordinal| &self.validity[ordinal * bytes..(ordinal + 1) * bytes])
    }

    fn text_start(&self, index: usize) -> usize {
        if index == 0 {
            0
        } else {
            self.text_ends[index - 1] as usize
        }
    }

    fn offsets(&self, slot: Slot) -> &[u32] {
        &self.list_offsets[slot.index * (self.rows + 1)..(slot.index + 1) * (self.rows + 1)]
    }

    fn items_start(&self, pool: Pool, layout: Layout) -> usize {
        self.rows
            * match pool {
                Pool::Floats => layout.floats,
                Pool::Integers => layout.integers,
                Pool::Booleans => layout.booleans,
                Pool::Text => layout.texts,
            }
    }

    fn pool_len(&self, pool: Pool) -> usize {
        match pool {
            Pool::Floats => self.floats.len(),
            Pool::Integers => self.integers.len(),
            Pool::Booleans => self.booleans.len(),
            Pool::Text => self.text_ends.len(),
        }
    }
}

fn at_least(what: &str, found: usize, wanted: usize) -> Result<(), String> {
    if found < wanted {
        Err(format!(
            "its {what} hold {found} values where at least {wanted} belong"
        ))
    } else {
        Ok(())
    }
}

fn exactly(what: &str, found: usize, wanted: usize) -> Result<(), String> {
    if found != wanted {
        Err(format!(
            "its {what} hold {found} values where {wanted} belong"
        ))
    } else {
        Ok(())
    }
}
