//! Entity keys as bytes: the values of the key's columns, one after another.
//!
//! Text is its length (four bytes, little-endian) and its bytes; i64 and timestamp are eight bytes, bool is one. No two
//! different keys of one view have the same bytes: the types are the view's, and text says how long it is.

use crate::block::Block;
use crate::schema::{Pool, Schema, Slot};

/// One column of a key, wherever it lies: in a view's own rows, or in a request that is to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    slot: Slot,
}

impl Part {
    /// The column at `position` of `schema`. It must be text, i64, bool or timestamp, not a list; a view's check and a
    /// service's plan see to that.
    pub fn of(schema: &Schema, position: usize) -> Part {
        Part::at(schema.slot(position))
    }

    /// As [`Part::of`], of a column whose place is known.
    pub fn at(slot: Slot) -> Part {
        debug_assert!(!slot.many && slot.pool != Pool::Floats);
        Part { slot }
    }
}

/// Writes the key of a row into `out`, which it empties first. False, if a part is null.
pub fn encode(block: &Block, parts: &[Part], row: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    append(block, parts, row, out)
}

/// As [`encode`], behind what `out` holds.
pub fn append(block: &Block, parts: &[Part], row: usize, out: &mut Vec<u8>) -> bool {
    parts.iter().all(|part| part.append(block, row, out))
}

/// As [`encode`], where the parts lie in several blocks: of each its block, itself, and which row of the block.
pub fn encode_across<'a>(
    parts: impl IntoIterator<Item = (&'a Block, Part, usize)>,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    parts
        .into_iter()
        .all(|(block, part, row)| part.append(block, row, out))
}

impl Part {
    fn append(self, block: &Block, row: usize, out: &mut Vec<u8>) -> bool {
        if !block.is_valid(self.slot, row) {
            return false;
        }
        match self.slot.pool {
            Pool::Integers => out.extend_from_slice(&block.integer(self.slot, row).to_le_bytes()),
            Pool::Booleans => out.push(u8::from(block.boolean(self.slot, row))),
            Pool::Text => {
                let text = block.text(self.slot, row);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            // Not reached: see `Part::of`. The bits are as good a key as any.
            Pool::Floats => {
                out.extend_from_slice(&block.float(self.slot, row).to_bits().to_le_bytes())
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::RowsBuilder;
    use crate::block::samples::schema;

    #[test]
    fn keys_are_told_apart_and_null_is_none() {
        let schema = schema(&[
            ("a", "text", false),
            ("b", "text", true),
            ("n", "i64", false),
            ("c", "bool", false),
        ]);
        let parts: Vec<Part> = (0..4).map(|at| Part::of(&schema, at)).collect();
        let rows = [
            ("ab", Some("c"), 1),
            ("a", Some("bc"), 1),
            ("abc", Some(""), 1),
            ("abc", Some(""), 2),
        ];
        let mut builder = RowsBuilder::new(&schema);
        for (a, b, n) in rows.into_iter().chain([("ab", None, 1)]) {
            builder.begin_row();
            builder.set_text(schema.slot(0), a);
            b.into_iter()
                .for_each(|b| builder.set_text(schema.slot(1), b));
            builder.set_integer(schema.slot(2), n);
            builder.set_boolean(schema.slot(3), true);
        }
        let block = builder.finish();

        let mut out = b"left from before".to_vec();
        let mut seen = std::collections::HashSet::new();
        for row in 0..rows.len() {
            assert!(encode(&block, &parts, row, &mut out));
            assert!(seen.insert(out.clone()));
        }
        assert!(!encode(&block, &parts, rows.len(), &mut out));
        assert!(encode(&block, &parts, 0, &mut out));
        let across: Vec<_> = parts.iter().map(|part| (&block, *part)).collect();
        let mut again = Vec::new();
        let across = across.iter().map(|(block, part)| (*block, *part, 0));
        assert!(encode_across(across, &mut again));
        assert_eq!(again, out);
        assert_eq!(out, b"\x02\0\0\0ab\x01\0\0\0c\x01\0\0\0\0\0\0\0\x01");
    }
}
