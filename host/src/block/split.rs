//! Parts of a block, and a block of parts.

use std::ops::Range;

use super::Block;
use crate::schema::{Pool, Schema};

impl Block {
    /// The rows of `range`, in a block of their own.
    pub fn slice(&self, schema: &Schema, range: Range<usize>) -> Block {
        Block::concat_ranges(schema, &[(self, range)])
    }

    /// The rows at `indices`, in that order.
    pub fn permuted(&self, schema: &Schema, indices: &[usize]) -> Block {
        let rows: Vec<_> = indices.iter().map(|&row| (self, row..row + 1)).collect();
        Block::concat_ranges(schema, &rows)
    }

    /// The rows of all `parts`, one after another. All are of this schema.
    pub fn concat(schema: &Schema, parts: &[Block]) -> Block {
        let whole: Vec<_> = parts.iter().map(|part| (part, 0..part.rows)).collect();
        Block::concat_ranges(schema, &whole)
    }

    fn concat_ranges(schema: &Schema, parts: &[(&Block, Range<usize>)]) -> Block {
        let rows = parts.iter().map(|(_, range)| range.len()).sum();
        let mut out = Block {
            rows,
            ..Block::default()
        };
        for slot in schema.slots() {
            if !slot.many {
                for (part, range) in parts {
                    let start = slot.index * part.rows;
                    out.append(part, slot.pool, start + range.start, start + range.end);
                }
            }
            if slot.validity.is_some() {
                let start = out.validity.len();
                out.validity.resize(start + rows.div_ceil(8), 0);
                let valid = parts
                    .iter()
                    .flat_map(|(part, range)| range.clone().map(|row| part.is_valid(*slot, row)));
                for (at, _) in valid.enumerate().filter(|(_, valid)| *valid) {
                    out.validity[start + at / 8] |= 1 << (at % 8);
                }
            }
        }
        for slot in schema.slots().iter().filter(|slot| slot.many) {
            out.list_offsets.push(out.pool_len(slot.pool) as u32);
            for (part, range) in parts {
                for row in range.clone() {
                    let items = part.items(*slot, row);
                    out.append(part, slot.pool, items.start, items.end);
                    out.list_offsets.push(out.pool_len(slot.pool) as u32);
                }
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
        // Nearly always they are the same in every part; where they are not, it may still be in what stands for no value.
        if self.same_parts(other) {
            return None;
        }
        (0..self.rows.max(other.rows)).find_map(|row| {
            if row >= self.rows || row >= other.rows {
                return Some((row, 0));
            }
            (0..schema.len())
                .find(|&field| !self.same_value(other, schema, field, row))
                .map(|field| (row, field))
        })
    }

    fn same_parts(&self, other: &Block) -> bool {
        self.rows == other.rows
            && self.integers == other.integers
            && self.booleans == other.booleans
            && self.text_ends == other.text_ends
            && self.list_offsets == other.list_offsets
            && self.validity == other.validity
            && self.text == other.text
            && self.floats.len() == other.floats.len()
            && self
                .floats
                .iter()
                .zip(&other.floats)
                .all(|(mine, theirs)| mine.to_bits() == theirs.to_bits())
    }

    pub(crate) fn same_value(
        &self,
        other: &Block,
        schema: &Schema,
        field: usize,
        row: usize,
    ) -> bool {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::samples;

    proptest! {
        #[test]
        fn parts_put_together_are_the_whole(
            block in samples::any_block(samples::every_type(), 20),
            cut in any::<prop::sample::Index>(),
        ) {
            let schema = samples::every_type();
            let cut = cut.index(block.rows() + 1);
            let parts = [block.slice(&schema, 0..cut), block.slice(&schema, cut..block.rows())];
            prop_assert!(Block::concat(&schema, &parts).same_bits(&block, &schema));
            let backwards: Vec<usize> = (0..block.rows()).rev().collect();
            let turned = block.permuted(&schema, &backwards);
            prop_assert!(turned.permuted(&schema, &backwards).same_bits(&block, &schema));
        }
    }
}
