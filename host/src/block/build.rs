//! Building a block a value at a time, in any order within a row, as JSON and stored rows come.

use std::ops::Range;

use super::Block;
use crate::schema::{Pool, Schema, Slot};

/// Collects rows, then lays them out in columns. Values not set are null where they may be, else zero, empty or false.
pub struct RowsBuilder {
    schema: Schema,
    rows: usize,
    // One entry a row and column, the columns of a row side by side.
    floats: Vec<f64>,
    integers: Vec<i64>,
    booleans: Vec<u8>,
    texts: Vec<Range<u32>>,
    lists: Vec<Range<u32>>,
    valid: Vec<bool>,
    // What `texts` and `lists` point into. Items of text lists are ranges of `arena`.
    arena: String,
    float_items: Vec<f64>,
    integer_items: Vec<i64>,
    boolean_items: Vec<u8>,
    text_items: Vec<Range<u32>>,
}

impl RowsBuilder {
    pub fn new(schema: &Schema) -> RowsBuilder {
        RowsBuilder {
            schema: schema.clone(),
            rows: 0,
            floats: Vec::new(),
            integers: Vec::new(),
            booleans: Vec::new(),
            texts: Vec::new(),
            lists: Vec::new(),
            valid: Vec::new(),
            arena: String::new(),
            float_items: Vec::new(),
            integer_items: Vec::new(),
            boolean_items: Vec::new(),
            text_items: Vec::new(),
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Starts a row. What is set from here on belongs to it.
    pub fn begin_row(&mut self) {
        let layout = self.schema.layout();
        self.rows += 1;
        self.floats.resize(self.rows * layout.floats, 0.0);
        self.integers.resize(self.rows * layout.integers, 0);
        self.booleans.resize(self.rows * layout.booleans, 0);
        self.texts.resize(self.rows * layout.texts, 0..0);
        self.lists.resize(self.rows * layout.lists, 0..0);
        self.valid.resize(self.rows * layout.nullables, false);
    }

    /// Takes the row back that was begun last, whatever of it is set. Its texts and items stay where nothing points.
    pub fn drop_row(&mut self) {
        let layout = self.schema.layout();
        self.rows -= 1;
        self.floats.truncate(self.rows * layout.floats);
        self.integers.truncate(self.rows * layout.integers);
        self.booleans.truncate(self.rows * layout.booleans);
        self.texts.truncate(self.rows * layout.texts);
        self.lists.truncate(self.rows * layout.lists);
        self.valid.truncate(self.rows * layout.nullables);
    }

    pub fn set_float(&mut self, slot: Slot, value: f64) {
        let at = (self.rows - 1) * self.schema.layout().floats + slot.index;
        self.floats[at] = value;
        self.mark_valid(slot);
    }

    pub fn set_integer(&mut self, slot: Slot, value: i64) {
        let at = (self.rows - 1) * self.schema.layout().integers + slot.index;
        self.integers[at] = value;
        self.mark_valid(slot);
    }

    pub fn set_boolean(&mut self, slot: Slot, value: bool) {
        let at = (self.rows - 1) * self.schema.layout().booleans + slot.index;
        self.booleans[at] = u8::from(value);
        self.mark_valid(slot);
    }

    pub fn set_text(&mut self, slot: Slot, value: &str) {
        let at = (self.rows - 1) * self.schema.layout().texts + slot.index;
        self.texts[at] = self.store_text(value);
        self.mark_valid(slot);
    }

    /// Starts the row's list in this column; its items follow, by the `push_` methods, before another list begins.
    pub fn begin_list(&mut self, slot: Slot) {
        let end = self.item_count(slot.pool);
        let at = (self.rows - 1) * self.schema.layout().lists + slot.index;
        self.lists[at] = end..end;
        self.mark_valid(slot);
    }

    pub fn end_list(&mut self, slot: Slot) {
        let end = self.item_count(slot.pool);
        let at = (self.rows - 1) * self.schema.layout().lists + slot.index;
        self.lists[at].end = end;
    }

    pub fn push_float(&mut self, value: f64) {
        self.float_items.push(value);
    }

    pub fn push_integer(&mut self, value: i64) {
        self.integer_items.push(value);
    }

    pub fn push_boolean(&mut self, value: bool) {
        self.boolean_items.push(u8::from(value));
    }

    pub fn push_text(&mut self, value: &str) {
        let range = self.store_text(value);
        self.text_items.push(range);
    }

    /// Sets the column of the current row to what a row of a block holds in one of the same type.
    pub fn copy(&mut self, to: Slot, block: &Block, from: Slot, row: usize) {
        if !block.is_valid(from, row) {
            return;
        }
        if !from.many {
            return match from.pool {
                Pool::Floats => self.set_float(to, block.float(from, row)),
                Pool::Integers => self.set_integer(to, block.integer(from, row)),
                Pool::Booleans => self.set_boolean(to, block.boolean(from, row)),
                Pool::Text => self.set_text(to, block.text(from, row)),
            };
        }
        self.begin_list(to);
        for item in block.items(from, row) {
            match from.pool {
                Pool::Floats => self.push_float(block.float_item(item)),
                Pool::Integers => self.push_integer(block.integer_item(item)),
                Pool::Booleans => self.push_boolean(block.boolean_item(item)),
                Pool::Text => self.push_text(block.text_at(item)),
            }
        }
        self.end_list(to);
    }

    /// Appends the rows of a block of the same schema.
    pub fn append(&mut self, block: &Block) {
        let layout = self.schema.layout();
        if block.rows != 1 || layout.lists > 0 {
            let schema = self.schema.clone();
            for row in 0..block.rows {
                self.begin_row();
                for &slot in schema.slots() {
                    self.copy(slot, block, slot, row);
                }
            }
            return;
        }
        // The columns of one row lie side by side there as here.
        self.rows += 1;
        self.floats
            .extend_from_slice(&block.floats[..layout.floats]);
        self.integers
            .extend_from_slice(&block.integers[..layout.integers]);
        self.booleans
            .extend_from_slice(&block.booleans[..layout.booleans]);
        let mut start = self.arena.len() as u32;
        let base = start;
        self.arena.push_str(&block.text);
        for end in &block.text_ends[..layout.texts] {
            self.texts.push(start..base + end);
            start = base + end;
        }
        let valid = block.validity[..layout.nullables].iter();
        self.valid.extend(valid.map(|bits| bits & 1 != 0));
    }

    /// Lays the rows out in columns.
    pub fn finish(self) -> Block {
        let layout = self.schema.layout();
        let rows = self.rows;
        if rows == 1 && layout.lists == 0 {
            return self.only_row();
        }
        let mut block = Block {
            rows,
            floats: transposed(self.floats, rows, layout.floats),
            integers: transposed(self.integers, rows, layout.integers),
            booleans: transposed(self.booleans, rows, layout.booleans),
            text: String::with_capacity(self.arena.len()),
            text_ends: Vec::with_capacity(rows * layout.texts + self.text_items.len()),
            list_offsets: Vec::with_capacity(layout.lists * (rows + 1)),
            validity: vec![0; layout.nullables * rows.div_ceil(8)],
        };
        for column in 0..layout.texts {
            for row in 0..rows {
                append_text(
                    &mut block,
                    &self.arena,
                    &self.texts[row * layout.texts + column],
                );
            }
        }
        for column in 0..layout.nullables {
            for row in 0..rows {
                if self.valid[row * layout.nullables + column] {
                    block.validity[column * rows.div_ceil(8) + row / 8] |= 1 << (row % 8);
                }
            }
        }
        for slot in self.schema.slots().iter().filter(|slot| slot.many) {
            let start = block.pool_len(slot.pool) as u32;
            block.list_offsets.push(start);
            for row in 0..rows {
                let range = &self.lists[row * layout.lists + slot.index];
                let items = range.start as usize..range.end as usize;
                match slot.pool {
                    Pool::Floats => block.floats.extend_from_slice(&self.float_items[items]),
                    Pool::Integers => block.integers.extend_from_slice(&self.integer_items[items]),
                    Pool::Booleans => block.booleans.extend_from_slice(&self.boolean_items[items]),
                    Pool::Text => {
                        for item in &self.text_items[items] {
                            append_text(&mut block, &self.arena, item);
                        }
                    }
                }
                let end = block.pool_len(slot.pool) as u32;
                block.list_offsets.push(end);
            }
        }
        block
    }

    /// One row without lists is laid out already, but for texts that were not set in the order of their columns.
    fn only_row(self) -> Block {
        let mut end = 0;
        let in_order = (self.texts.iter())
            .all(|text| text.is_empty() || std::mem::replace(&mut end, text.end) == text.start)
            && end as usize == self.arena.len();
        let (text, text_ends) = if in_order {
            let mut end = 0;
            let ends = self.texts.into_iter().map(|text| {
                // One that is empty may stand behind texts of columns after its own.
                if !text.is_empty() {
                    end = text.end;
                }
                end
            });
            (self.arena, ends.collect())
        } else {
            let (mut text, mut ends) = (String::with_capacity(self.arena.len()), Vec::new());
            for range in &self.texts {
                text.push_str(&self.arena[range.start as usize..range.end as usize]);
                ends.push(text.len() as u32);
            }
            (text, ends)
        };
        Block {
            rows: 1,
            floats: self.floats,
            integers: self.integers,
            booleans: self.booleans,
            text,
            text_ends,
            list_offsets: Vec::new(),
            validity: self.valid.into_iter().map(u8::from).collect(),
        }
    }

    fn mark_valid(&mut self, slot: Slot) {
        if let Some(ordinal) = slot.validity {
            let at = (self.rows - 1) * self.schema.layout().nullables + ordinal;
            self.valid[at] = true;
        }
    }

    fn store_text(&mut self, value: &str) -> Range<u32> {
        if self.arena.capacity() == 0 {
            self.arena.reserve(value.len().max(64));
        }
        let start = self.arena.len() as u32;
        self.arena.push_str(value);
        start..self.arena.len() as u32
    }

    fn item_count(&self, pool: Pool) -> u32 {
        match pool {
            Pool::Floats => self.float_items.len() as u32,
            Pool::Integers => self.integer_items.len() as u32,
            Pool::Booleans => self.boolean_items.len() as u32,
            Pool::Text => self.text_items.len() as u32,
        }
    }
}

fn append_text(block: &mut Block, arena: &str, range: &Range<u32>) {
    block
        .text
        .push_str(&arena[range.start as usize..range.end as usize]);
    block.text_ends.push(block.text.len() as u32);
}

/// Rows of `columns` values side by side become columns of `rows` values. One row is both already.
fn transposed<T: Copy>(values: Vec<T>, rows: usize, columns: usize) -> Vec<T> {
    if rows <= 1 || columns <= 1 {
        return values;
    }
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::samples::schema;

    #[test]
    fn rows_set_in_any_order_become_columns() {
        let schema = schema(&[
            ("a", "f64", false),
            ("b", "text", true),
            ("c", "f64", true),
            ("d", "text", false),
            ("e", "list<text>", true),
        ]);
        let mut rows = RowsBuilder::new(&schema);
        rows.begin_row();
        rows.set_text(schema.slot(3), "d0");
        rows.set_text(schema.slot(1), "b0");
        rows.set_float(schema.slot(0), 1.0);
        rows.begin_list(schema.slot(4));
        rows.push_text("x");
        rows.push_text("yy");
        rows.end_list(schema.slot(4));
        rows.begin_row();
        rows.set_float(schema.slot(2), 4.0);
        rows.set_float(schema.slot(0), 3.0);
        rows.set_text(schema.slot(3), "d1");
        let block = rows.finish();

        assert_eq!(block.floats, [1.0, 3.0, 0.0, 4.0]);
        assert_eq!(block.text, "b0d0d1xyy");
        assert_eq!(block.text(schema.slot(3), 1), "d1");
        assert!(block.is_valid(schema.slot(1), 0) && !block.is_valid(schema.slot(1), 1));
        assert!(!block.is_valid(schema.slot(2), 0) && block.is_valid(schema.slot(2), 1));
        let items: Vec<&str> = block
            .items(schema.slot(4), 0)
            .map(|i| block.text_at(i))
            .collect();
        assert_eq!(items, ["x", "yy"]);
        assert!(block.items(schema.slot(4), 1).is_empty());
        assert!(!block.is_valid(schema.slot(4), 1));
    }

    proptest! {
        /// One row without lists is laid out by a way of its own: whatever the order in which its values come.
        #[test]
        fn one_row_is_laid_out_as_it_would_be_beside_others(
            values in prop::collection::vec(prop::option::of("[a-cé]{0,3}"), 4),
            order in Just([0, 1, 2, 3]).prop_shuffle(),
            again in any::<bool>(),
        ) {
            let schema = schema(&[
                ("a", "text", true),
                ("b", "f64", true),
                ("c", "text", true),
                ("d", "text", true),
            ]);
            let mut rows = RowsBuilder::new(&schema);
            let fill = |rows: &mut RowsBuilder| {
                rows.begin_row();
                for &at in &order {
                    let Some(text) = &values[at] else { continue };
                    match at {
                        1 => rows.set_float(schema.slot(1), text.len() as f64),
                        _ => rows.set_text(schema.slot(at), text),
                    }
                }
            };
            fill(&mut rows);
            if again {
                fill(&mut rows);
                rows.drop_row();
            }
            let block = rows.finish();
            for (at, value) in values.iter().enumerate() {
                let slot = schema.slot(at);
                prop_assert_eq!(block.is_valid(slot, 0), value.is_some());
                let Some(text) = value else { continue };
                match at {
                    1 => prop_assert_eq!(block.float(slot, 0), text.len() as f64),
                    _ => prop_assert_eq!(block.text(slot, 0), text),
                }
            }
            let mut two = RowsBuilder::new(&schema);
            fill(&mut two);
            fill(&mut two);
            prop_assert!(two.finish().slice(&schema, 0..1).same_bits(&block, &schema));
        }
    }
}
