//! A row of a view as bytes, compact and quick to read.
//!
//! One byte of version; event time and time of arrival, eight bytes each; how many columns follow; the validity bits of
//! the nullable ones, lowest first; then, in the order of the columns, every value that is there: f64, i64 and timestamp
//! in eight bytes, bool in one, text as its length and its bytes, a list as its count and its items. Numbers are
//! little-endian, lengths and counts LEB128.
//!
//! The bytes do not name the columns. A row is read with those of any version of its view: of two versions one begins
//! with the columns of the other, and what it has besides is nullable. Columns that the row was written without are
//! null; those that the reader does not know are passed over.

use crate::block::{Block, RowsBuilder};
use crate::error::{Error, Result};
use crate::schema::{Pool, Schema, Slot};

/// 1 had no count of columns.
const VERSION: u8 = 2;

/// When a row's event was, and when the row came. µs since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub event: i64,
    pub arrival: i64,
}

/// Appends the row at `row` of a block of these columns to `out`.
pub fn encode(columns: &Schema, block: &Block, row: usize, times: Times, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend_from_slice(&times.event.to_le_bytes());
    out.extend_from_slice(&times.arrival.to_le_bytes());
    write_length(columns.len(), out);
    let bits = out.len();
    out.resize(bits + columns.layout().nullables.div_ceil(8), 0);
    for &slot in columns.slots() {
        if !block.is_valid(slot, row) {
            continue;
        }
        if let Some(ordinal) = slot.validity {
            out[bits + ordinal / 8] |= 1 << (ordinal % 8);
        }
        if slot.many {
            let items = block.items(slot, row);
            write_length(items.len(), out);
            for item in items {
                match slot.pool {
                    Pool::Floats => out.extend_from_slice(&block.float_item(item).to_le_bytes()),
                    Pool::Integers => {
                        out.extend_from_slice(&block.integer_item(item).to_le_bytes())
                    }
                    Pool::Booleans => out.push(u8::from(block.boolean_item(item))),
                    Pool::Text => write_text(block.text_at(item), out),
                }
            }
        } else {
            match slot.pool {
                Pool::Floats => out.extend_from_slice(&block.float(slot, row).to_le_bytes()),
                Pool::Integers => out.extend_from_slice(&block.integer(slot, row).to_le_bytes()),
                Pool::Booleans => out.push(u8::from(block.boolean(slot, row))),
                Pool::Text => write_text(block.text(slot, row), out),
            }
        }
    }
}

/// The times of a row, without reading the rest.
pub fn times(bytes: &[u8]) -> Result<Times> {
    Bytes(bytes).header().ok_or_else(|| corrupt(bytes))
}

/// Appends the row, of any version of the view that has these columns, to `rows`, a builder of `into`: the same columns in the same order, of which more may be nullable
/// (see [`View::looked_up`](crate::view::View::looked_up)). After an error the builder holds a row in part: drop it.
pub fn decode(
    columns: &Schema,
    bytes: &[u8],
    into: &Schema,
    rows: &mut RowsBuilder,
) -> Result<Times> {
    debug_assert_eq!(columns.len(), into.len());
    rows.begin_row();
    read(columns, Bytes(bytes), into, rows).ok_or_else(|| corrupt(bytes))
}

fn read(
    columns: &Schema,
    mut bytes: Bytes<'_>,
    into: &Schema,
    rows: &mut RowsBuilder,
) -> Option<Times> {
    let times = bytes.header()?;
    let written = bytes.length()?;
    let known = columns.len();
    let nullables = match written == known {
        true => columns.layout().nullables,
        false => nullables(columns, written)?,
    };
    let validity = bytes.take(nullables.div_ceil(8))?;
    for (from, &to) in columns.slots()[..known.min(written)]
        .iter()
        .zip(into.slots())
    {
        if from
            .validity
            .is_some_and(|ordinal| validity[ordinal / 8] & (1 << (ordinal % 8)) == 0)
        {
            continue;
        }
        if from.many {
            rows.begin_list(to);
            for _ in 0..bytes.length()? {
                bytes.push_item(from.pool, rows)?;
            }
            rows.end_list(to);
        } else {
            bytes.set_value(from.pool, to, rows)?;
        }
    }
    // What is left belongs to columns that are not known here.
    (bytes.0.is_empty() || written > known).then_some(times)
}

/// How many of the `written` columns of a row are nullable, where that is more or fewer than are known: the versions of
/// a view differ in nullable columns at the end and in nothing else.
fn nullables(columns: &Schema, written: usize) -> Option<usize> {
    let all = columns.layout().nullables;
    if written > columns.len() {
        return Some(all + (written - columns.len()));
    }
    let missing = &columns.slots()[written..];
    let nullable = missing.iter().all(|slot| slot.validity.is_some());
    nullable.then(|| all - missing.len())
}

/// What is left to read. None from any method: there is less than that, or it is something else.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn header(&mut self) -> Option<Times> {
        if self.array::<1>()? != [VERSION] {
            return None;
        }
        Some(Times {
            event: self.integer()?,
            arrival: self.integer()?,
        })
    }

    fn set_value(&mut self, pool: Pool, slot: Slot, rows: &mut RowsBuilder) -> Option<()> {
        match pool {
            Pool::Floats => rows.set_float(slot, f64::from_le_bytes(self.array()?)),
            Pool::Integers => rows.set_integer(slot, self.integer()?),
            Pool::Booleans => rows.set_boolean(slot, self.boolean()?),
            Pool::Text => rows.set_text(slot, self.text()?),
        }
        Some(())
    }

    fn push_item(&mut self, pool: Pool, rows: &mut RowsBuilder) -> Option<()> {
        match pool {
            Pool::Floats => rows.push_float(f64::from_le_bytes(self.array()?)),
            Pool::Integers => rows.push_integer(self.integer()?),
            Pool::Booleans => rows.push_boolean(self.boolean()?),
            Pool::Text => rows.push_text(self.text()?),
        }
        Some(())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn integer(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// At most 32 bits: a block counts text and items in as many.
    fn length(&mut self) -> Option<usize> {
        let mut length = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(length).ok().map(|length| length as usize);
            }
        }
        None
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn write_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn corrupt(bytes: &[u8]) -> Error {
    Error::Store(match bytes.first() {
        Some(&VERSION) => format!(
            "a stored row of {} bytes is damaged, or of another schema",
            bytes.len()
        ),
        Some(version) => format!(
            "a stored row is of version {version}; this program reads version {VERSION}: load the view's rows anew"
        ),
        None => "a stored row is empty".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::samples::{any_block, every_type, schema};

    /// Every type, then every type again, under other names and nullable.
    fn widened() -> Schema {
        let more = every_type().opened();
        let more = more.fields().iter().map(|field| crate::schema::Field {
            name: format!("more_{}", field.name),
            ..field.clone()
        });
        Schema::new(every_type().fields().iter().cloned().chain(more).collect())
    }

    #[test]
    fn columns_that_must_be_there_are_not_made_up() {
        let one = schema(&[("a", "f64", false)]);
        let two = schema(&[("a", "f64", false), ("b", "f64", false)]);
        let mut row = RowsBuilder::new(&one);
        row.begin_row();
        let (block, mut bytes) = (row.finish(), Vec::new());
        encode(&one, &block, 0, TIMES, &mut bytes);
        let error = decode(&two, &bytes, &two, &mut RowsBuilder::new(&two)).unwrap_err();
        assert!(
            error.to_string().contains("damaged, or of another schema"),
            "{error}"
        );
    }

    const TIMES: Times = Times {
        event: -5,
        arrival: i64::MAX,
    };

    proptest! {
        #[test]
        fn rows_come_back_bit_by_bit(block in any_block(every_type(), 5)) {
            let (columns, into) = (every_type(), every_type().opened());
            let (mut same, mut looked_up) = (RowsBuilder::new(&columns), RowsBuilder::new(&into));
            for row in 0..block.rows() {
                let mut bytes = Vec::new();
                encode(&columns, &block, row, TIMES, &mut bytes);
                prop_assert_eq!(times(&bytes).unwrap(), TIMES);
                prop_assert_eq!(decode(&columns, &bytes, &columns, &mut same).unwrap(), TIMES);
                prop_assert_eq!(decode(&columns, &bytes, &into, &mut looked_up).unwrap(), TIMES);
            }
            prop_assert!(same.finish().same_bits(&block, &columns));
            let looked_up = looked_up.finish();
            for (from, to) in columns.slots().iter().zip(into.slots()) {
                for row in 0..block.rows() {
                    prop_assert_eq!(block.is_valid(*from, row), looked_up.is_valid(*to, row));
                }
            }
        }

        /// Of two versions of a view the wider has every type besides, nullable. Rows of each are read by both.
        #[test]
        fn versions_of_a_view_read_each_other(block in any_block(widened(), 5)) {
            let (narrow, wide) = (every_type(), widened());
            let (mut old, mut new, mut wider) =
                (RowsBuilder::new(&narrow), RowsBuilder::new(&wide), RowsBuilder::new(&wide));
            for row in 0..block.rows() {
                let mut bytes = Vec::new();
                encode(&wide, &block, row, TIMES, &mut bytes);
                prop_assert_eq!(decode(&narrow, &bytes, &narrow, &mut old).unwrap(), TIMES);
                prop_assert_eq!(decode(&wide, &bytes, &wide, &mut wider).unwrap(), TIMES);
            }
            let old = old.finish();
            prop_assert!(wider.finish().same_bits(&block, &wide));
            for row in 0..block.rows() {
                let mut bytes = Vec::new();
                encode(&narrow, &old, row, TIMES, &mut bytes);
                prop_assert_eq!(decode(&wide, &bytes, &wide, &mut new).unwrap(), TIMES);
            }
            let new = new.finish();
            // There and back through both formats: what both versions know is the same, the rest is null.
            let mut again = RowsBuilder::new(&narrow);
            for row in 0..block.rows() {
                let mut bytes = Vec::new();
                encode(&wide, &new, row, TIMES, &mut bytes);
                decode(&narrow, &bytes, &narrow, &mut again).unwrap();
                for slot in &wide.slots()[narrow.len()..] {
                    prop_assert!(!new.is_valid(*slot, row));
                }
            }
            prop_assert!(again.finish().same_bits(&old, &narrow));
            for (narrow, wide) in narrow.slots().iter().zip(wide.slots()) {
                prop_assert_eq!(narrow, wide);
                for row in 0..block.rows() {
                    prop_assert_eq!(old.is_valid(*narrow, row), block.is_valid(*wide, row));
                    if narrow.pool == Pool::Text && !narrow.many {
                        prop_assert_eq!(old.text(*narrow, row), block.text(*wide, row));
                    }
                    if narrow.pool == Pool::Integers && !narrow.many {
                        prop_assert_eq!(old.integer(*narrow, row), block.integer(*wide, row));
                    }
                }
            }
        }

        #[test]
        fn damaged_rows_are_errors(block in any_block(every_type(), 1), at: prop::sample::Index, byte: u8) {
            let columns = every_type();
            let mut bytes = Vec::new();
            encode(&columns, &block, 0, TIMES, &mut bytes);
            let cut = decode(&columns, &bytes[..at.index(bytes.len())], &columns, &mut RowsBuilder::new(&columns));
            prop_assert!(matches!(cut, Err(Error::Store(_))));
            // Another byte may make another row, but never a panic.
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&columns, &bytes, &columns, &mut RowsBuilder::new(&columns));
            bytes.push(0);
            let _ = decode(&columns, &bytes, &columns, &mut RowsBuilder::new(&columns));
        }
    }

    #[test]
    fn a_row_of_another_version_says_so() {
        let columns = schema(&[("a", "f64", false)]);
        let error = decode(
            &columns,
            &[9, 0, 0],
            &columns,
            &mut RowsBuilder::new(&columns),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the online store failed: a stored row is of version 9; this program reads version 2: load \
             the view's rows anew"
        );
    }
}
