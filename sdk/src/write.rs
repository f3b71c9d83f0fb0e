//! An answer in the making: flat columns at their place from the start, text and lists gathered and joined at the end.

use std::slice::IterMut;

use crate::bindings::tidemill::transform::types::Block;
use crate::shape::{Layout, Pool, Shape};

/// The memory of an answer.
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
}

/// What of a `Writer` is not yet given to a column. The columns of a kind take their parts one after another, in the
/// order of the fields.
pub struct Pools<'w> {
    rows: usize,
    bitmap: usize,
    floats: &'w mut [f64],
    integers: &'w mut [i64],
    booleans: &'w mut [u8],
    validity: &'w mut [u8],
    texts: IterMut<'w, TextBuffer>,
    lists: IterMut<'w, ListBuffer>,
}

/// The validity of a nullable column.
pub struct Bitmap<'w>(&'w mut [u8]);

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
        }
    }

    #[inline]
    pub(crate) fn pools(&mut self) -> Pools<'_> {
        Pools {
            rows: self.rows,
            bitmap: self.bitmap,
            floats: &mut self.floats,
            integers: &mut self.integers,
            booleans: &mut self.booleans,
            validity: &mut self.validity,
            texts: self.texts.iter_mut(),
            lists: self.lists.iter_mut(),
        }
    }

    pub(crate) fn finish(self) -> Block {
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
        block
    }
}

/// # Panics
///
/// If more columns are taken than the layout has: the SDK's own mistake.
impl<'w> Pools<'w> {
    #[inline]
    pub(crate) fn floats(&mut self) -> &'w mut [f64] {
        self.floats.split_off_mut(..self.rows).expect(COUNTED)
    }

    #[inline]
    pub(crate) fn integers(&mut self) -> &'w mut [i64] {
        self.integers.split_off_mut(..self.rows).expect(COUNTED)
    }

    #[inline]
    pub(crate) fn booleans(&mut self) -> &'w mut [u8] {
        self.booleans.split_off_mut(..self.rows).expect(COUNTED)
    }

    /// Wants one text a row, in order.
    #[inline]
    pub(crate) fn text(&mut self) -> &'w mut TextBuffer {
        self.texts.next().expect(COUNTED)
    }

    /// Wants items and one `end_row` a row, in order.
    #[inline]
    pub(crate) fn list(&mut self) -> &'w mut ListBuffer {
        self.lists.next().expect(COUNTED)
    }

    #[inline]
    pub(crate) fn validity(&mut self) -> Bitmap<'w> {
        Bitmap(self.validity.split_off_mut(..self.bitmap).expect(COUNTED))
    }
}

const COUNTED: &str = "every column was counted";

impl Bitmap<'_> {
    #[inline]
    pub(crate) fn mark(&mut self, row: usize) {
        self.0[row / 8] |= 1 << (row % 8);
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
pub(crate) fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a block holds less than 2^32 values and bytes of text")
}
