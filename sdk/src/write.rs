//! An answer in the making: flat columns at their place from the start, text and lists gathered and joined at the end.

use crate::bindings::tidemill::transform::types::{Answer, Block, Refusal};
use crate::shape::{Layout, Pool, Shape};

/// Takes the values of one row after another.
pub struct Writer {
    rows: usize,
    /// Bytes of one validity bitmap.
    bitmap: usize,
    floats: Vec<f64>,
    integers: Vec<i64>,
    booleans: Vec<u8>,
    validity: Vec<u8>,
    texts: Vec<TextBuffer>,
    lists: Vec<ListBuffer>,
    refusals: Vec<Refusal>,
}

#[derive(Clone, Default)]
pub struct TextBuffer {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

/// The items of one list column. Only the pool of its type is ever filled.
pub struct ListBuffer {
    pool: Pool,
    /// How many items there are up to and with each row.
    ends: Vec<u32>,
    pub(crate) floats: Vec<f64>,
    pub(crate) integers: Vec<i64>,
    pub(crate) booleans: Vec<u8>,
    pub(crate) text: TextBuffer,
}

impl Writer {
    #[inline]
    pub(crate) fn new(rows: usize, shapes: &[Shape], layout: Layout) -> Writer {
        let bitmap = rows.div_ceil(8);
        Writer {
            rows,
            bitmap,
            floats: vec![0.0; layout.floats * rows],
            integers: vec![0; layout.integers * rows],
            booleans: vec![0; layout.booleans * rows],
            validity: vec![0; layout.nullables * bitmap],
            texts: (0..layout.texts)
                .map(|_| TextBuffer::with_rows(rows))
                .collect(),
            lists: lists(shapes, layout, rows),
            refusals: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn mark_valid(&mut self, column: usize, row: usize) {
        self.validity[column * self.bitmap + row / 8] |= 1 << (row % 8);
    }

    #[inline]
    pub(crate) fn float(&mut self, column: usize, row: usize, value: f64) {
        self.floats[column * self.rows + row] = value;
    }

    #[inline]
    pub(crate) fn integer(&mut self, column: usize, row: usize, value: i64) {
        self.integers[column * self.rows + row] = value;
    }

    #[inline]
    pub(crate) fn boolean(&mut self, column: usize, row: usize, value: bool) {
        self.booleans[column * self.rows + row] = value.into();
    }

    /// The buffer of a text column; wants one text a row, in order.
    #[inline]
    pub(crate) fn text(&mut self, column: usize) -> &mut TextBuffer {
        &mut self.texts[column]
    }

    /// The buffer of a list column; wants items and one `end_row` a row, in order.
    #[inline]
    pub(crate) fn list(&mut self, list: usize) -> &mut ListBuffer {
        &mut self.lists[list]
    }

    #[cold]
    pub(crate) fn refuse(&mut self, row: usize, message: String) {
        self.refusals.push(Refusal {
            row: index(row),
            message,
        });
    }

    pub(crate) fn finish(self) -> Answer {
        let mut texts = self.texts.into_iter();
        let text = texts.next().unwrap_or_default();
        let mut block = Block {
            rows: index(self.rows),
            floats: self.floats,
            integers: self.integers,
            booleans: self.booleans,
            text: text.bytes,
            text_ends: text.ends,
            list_offsets: Vec::with_capacity(self.lists.len() * (self.rows + 1)),
            validity: self.validity,
        };
        for column in texts {
            column.append_to(&mut block);
        }
        for column in self.lists {
            column.append_to(&mut block);
        }
        Answer {
            rows: block,
            refusals: self.refusals,
        }
    }
}

impl TextBuffer {
    fn with_rows(rows: usize) -> TextBuffer {
        TextBuffer {
            bytes: Vec::new(),
            ends: Vec::with_capacity(rows),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(index(self.bytes.len()));
    }

    /// As `push`, but the first text lends its allocation.
    #[inline]
    pub(crate) fn push_owned(&mut self, text: String) {
        if self.bytes.capacity() == 0 {
            self.bytes = text.into_bytes();
            self.ends.push(index(self.bytes.len()));
        } else {
            self.push(&text);
        }
    }

    fn append_to(self, block: &mut Block) {
        let start = index(block.text.len());
        block.text.extend_from_slice(&self.bytes);
        // Checked as a whole: no end is beyond the last.
        index(block.text.len());
        block
            .text_ends
            .extend(self.ends.iter().map(|end| start + end));
    }
}

impl ListBuffer {
    fn new(pool: Pool, rows: usize) -> ListBuffer {
        ListBuffer {
            pool,
            ends: Vec::with_capacity(rows),
            floats: Vec::new(),
            integers: Vec::new(),
            booleans: Vec::new(),
            text: TextBuffer::default(),
        }
    }

    #[inline]
    pub(crate) fn end_row(&mut self) {
        let items = match self.pool {
            Pool::Floats => self.floats.len(),
            Pool::Integers => self.integers.len(),
            Pool::Booleans => self.booleans.len(),
            Pool::Text => self.text.ends.len(),
        };
        self.ends.push(index(items));
    }

    fn append_to(self, block: &mut Block) {
        let start = index(match self.pool {
            Pool::Floats => block.floats.len(),
            Pool::Integers => block.integers.len(),
            Pool::Booleans => block.booleans.len(),
            Pool::Text => block.text_ends.len(),
        });
        block.list_offsets.push(start);
        block
            .list_offsets
            .extend(self.ends.iter().map(|end| start + end));
        block.floats.extend_from_slice(&self.floats);
        block.integers.extend_from_slice(&self.integers);
        block.booleans.extend_from_slice(&self.booleans);
        self.text.append_to(block);
    }
}

/// Empty buffers for the list columns. Out of line: few transforms have any.
fn lists(shapes: &[Shape], layout: Layout, rows: usize) -> Vec<ListBuffer> {
    if layout.lists == 0 {
        return Vec::new();
    }
    let lists = shapes.iter().filter(|shape| shape.many);
    lists
        .map(|shape| ListBuffer::new(shape.scalar.pool(), rows))
        .collect()
}

#[inline]
fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a block holds less than 2^32 values and bytes of text")
}
