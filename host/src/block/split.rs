//! Parts of a block, and a block of parts.

use std::ops::Range;

use super::Block;
use crate::schema::{Pool, Schema};

impl Block {
    /// The rows of `range`, in a block of their own.
    pub fn slice(&self, schema: &Schema, range: Range<usize>) -> Block {
        self.take(schema, range.len(), |row| range.start + row)
    }

    /// The rows at `indices`, in that order.
    pub fn permuted(&self, schema: &Schema, indices: &[usize]) -> Block {
        self.take(schema, indices.len(), |row| indices[row])
    }

    fn take(&self, schema: &Schema, rows: usize, source: impl Fn(usize) -> usize) -> Block {
        let mut out = Block { rows, ..Block::default() };
        for slot in schema.slots() {
            if !slot.many {
                for row in 0..rows {
                    let at = slot.index * self.rows + source(row);
                    out.append(self, slot.pool, at, at + 1);
                }
            }
            if slot.validity.is_some() {
                let start = out.validity.len();
                out.validity.resize(start + rows.div_ceil(8), 0);
                for row in 0..rows {
                    if self.is_valid(*slot, source(row)) {
                        out.validity[start + row / 8] |= 1 << (row % 8);
                    }
                }
            }
        }
        for slot in schema.slots().iter().filter(|slot| slot.many) {
            out.list_offsets.push(out.pool_len(slot.pool) as u32);
            for row in 0..rows {
                let items = self.items(*slot, source(row));
                out.append(self, slot.pool, items.start, items.end);
                out.list_offsets.push(out.pool_len(slot.pool) as u32);
            }
        }
        out
    }

    /// The rows of all `parts`, one after another. All are of this schema.
    pub fn concat(schema: &Schema, parts: &[Block]) -> Block {
        let rows = parts.iter().map(Block::rows).sum();
        let mut out = Block { rows, ..Block::default() };
        for slot in schema.slots() {
            if !slot.many {
                for part in parts {
                    let from = slot.index * part.rows;
                    out.append(part, slot.pool, from, from + part.rows);
                }
            }
            if slot.validity.is_some() {
                let start = out.validity.len();
                out.validity.resize(start + rows.div_ceil(8), 0);
                let mut at = 0;
                for (part, row) in parts.iter().flat_map(|part| (0..part.rows).map(move |row| (part, row))) {
                    if part.is_valid(*slot, row) {
                        out.validity[start + at / 8] |= 1 << (at % 8);
                    }
                    at += 1;
                }
            }
        }
        for slot in schema.slots().iter().filter(|slot| slot.many) {
            out.list_offsets.push(out.pool_len(slot.pool) as u32);
            for (part, row) in parts.iter().flat_map(|part| (0..part.rows).map(move |row| (part, row))) {
                let items = part.items(*slot, row);
                out.append(part, slot.pool, items.start, items.end);
                out.list_offsets.push(out.pool_len(slot.pool) as u32);
            }
        }
        out
    }

    /// Whether two blocks of one schema hold the same bits wherever they hold a value. NaNs are equal if their bits are.
    pub fn same_bits(&self, other: &Block, schema: &Schema) -> bool {
        self.first_difference(other, schema).is_none()
    }

    /// The first (row, field) whose bits differ.
    pub fn first_difference(&self, other: &Block, schema: &Schema) -> Option<(usize, usize)> {
        (0..self.rows.max(other.rows)).find_map(|row| {
            if row >= self.rows || row >= other.rows {
                return Some((row, 0));
            }
            (0..schema.len()).find(|&field| !self.same_value(other, schema, field, row)).map(|field| (row, field))
        })
    }

    fn same_value(&self, other: &Block, schema: &Schema, field: usize, row: usize) -> bool {
        let slot = schema.slot(field);
        match (self.is_valid(slot, row), other.is_valid(slot, row)) {
            (false, false) => return true,
            (true, true) => {}
            _ => return false,
        }
        let at = |block: &Block| match slot.many {
            true => block.items(slot, row),
            false => slot.index * block.rows + row..slot.index * block.rows + row + 1,
        };
        let (mine, theirs) = (at(self), at(other));
        mine.len() == theirs.len()
            && mine.zip(theirs).all(|(a, b)| match slot.pool {
                Pool::Floats => self.floats[a].to_bits() == other.floats[b].to_bits(),
                Pool::Integers => self.integers[a] == other.integers[b],
                Pool::Booleans => self.booleans[a] == other.booleans[b],
                Pool::Text => self.text_at(a) == other.text_at(b),
            })
    }
}
