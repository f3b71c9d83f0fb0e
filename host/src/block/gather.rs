//! A block of one schema, put together from columns of others.

use super::Block;
use crate::schema::{Pool, Schema, Slot};

/// A column, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub block: &'a Block,
    pub slot: Slot,
}

/// A column of which some rows are wanted, perhaps more than once.
#[derive(Clone, Copy, Debug)]
pub struct Picked<'a> {
    pub column: Column<'a>,
    /// The rows of the column's block, in order; none: all of them.
    pub rows: Option<&'a [u32]>,
}

/// Copies whole `columns`, one for each field of `schema` and of its type, into a block of `rows` rows. A column that may
/// be null goes only into a field that may.
pub fn gather(schema: &Schema, columns: &[Column<'_>], rows: usize) -> Block {
    debug_assert_eq!(columns.len(), schema.len());
    let whole = |at: usize| Picked {
        column: columns[at],
        rows: None,
    };
    pick(schema, whole, rows)
}

/// As [`gather`], of the picked rows of each column, given its place in the schema; they are `rows` rows each.
pub fn pick<'a>(schema: &Schema, column: impl Fn(usize) -> Picked<'a>, rows: usize) -> Block {
    let layout = schema.layout();
    let mut out = Block {
        rows,
        floats: Vec::with_capacity(layout.floats * rows),
        integers: Vec::with_capacity(layout.integers * rows),
        booleans: Vec::with_capacity(layout.booleans * rows),
        text: String::new(),
        text_ends: Vec::with_capacity(layout.texts * rows),
        list_offsets: Vec::with_capacity(layout.lists * (rows + 1)),
        validity: Vec::with_capacity(layout.nullables * rows.div_ceil(8)),
    };
    for (at, target) in schema.slots().iter().enumerate() {
        let Picked { column, rows: pick } = column(at);
        if !target.many {
            let from = column.slot.index * column.block.rows;
            match pick {
                None => out.append(column.block, column.slot.pool, from, from + rows),
                Some(pick) => pick.iter().for_each(|&row| {
                    let at = from + row as usize;
                    out.append(column.block, column.slot.pool, at, at + 1);
                }),
            }
        }
        if target.validity.is_some() {
            match (column.block.validity_bits(column.slot), pick) {
                (Some(bits), None) => out.validity.extend_from_slice(bits),
                (Some(_), Some(pick)) => {
                    let start = out.validity.len();
                    out.validity.resize(start + rows.div_ceil(8), 0);
                    for (at, &row) in pick.iter().enumerate() {
                        if column.block.is_valid(column.slot, row as usize) {
                            out.validity[start + at / 8] |= 1 << (at % 8);
                        }
                    }
                }
                (None, _) => out
                    .validity
                    .extend((0..rows.div_ceil(8)).map(|byte| all_valid(rows, byte))),
            }
        }
    }
    for (at, target) in schema.slots().iter().enumerate() {
        if !target.many {
            continue;
        }
        let Picked { column, rows: pick } = column(at);
        let start = out.pool_len(target.pool);
        let Some(pick) = pick else {
            let offsets = column.block.offsets(column.slot);
            let (first, last) = (offsets[0] as usize, offsets[rows] as usize);
            out.append(column.block, target.pool, first, last);
            out.list_offsets.extend(
                offsets
                    .iter()
                    .map(|&offset| (offset as usize - first + start) as u32),
            );
            continue;
        };
        out.list_offsets.push(start as u32);
        for &row in pick {
            let items = column.block.items(column.slot, row as usize);
            out.append(column.block, target.pool, items.start, items.end);
            out.list_offsets.push(out.pool_len(target.pool) as u32);
        }
    }
    out
}

impl Block {
    /// Copies the values `from..to` of another block's pool behind those of this one's.
    pub(super) fn append(&mut self, other: &Block, pool: Pool, from: usize, to: usize) {
        match pool {
            // One at a time, as most requests have it, a copy is dearer than a push.
            Pool::Floats if to - from == 1 => self.floats.push(other.floats[from]),
            Pool::Integers if to - from == 1 => self.integers.push(other.integers[from]),
            Pool::Floats => self.floats.extend_from_slice(&other.floats[from..to]),
            Pool::Integers => self.integers.extend_from_slice(&other.integers[from..to]),
            Pool::Booleans => self.booleans.extend_from_slice(&other.booleans[from..to]),
            Pool::Text if from == to => {}
            Pool::Text => {
                let (start, base) = (other.text_start(from), self.text.len());
                self.text
                    .push_str(&other.text[start..other.text_ends[to - 1] as usize]);
                self.text_ends.extend(
                    other.text_ends[from..to]
                        .iter()
                        .map(|&end| (end as usize - start + base) as u32),
                );
            }
        }
    }
}

/// The validity byte of `rows` rows that all have a value; bits beyond the last row are zero.
fn all_valid(rows: usize, byte: usize) -> u8 {
    match rows - byte * 8 {
        0..8 => (1 << (rows - byte * 8)) - 1,
        _ => 0xff,
    }
}
