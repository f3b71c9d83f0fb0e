//! A block that was checked once, so that reading a value cannot fail.

use std::ops::Range;

use crate::bindings::tidemill::transform::types::{Block, Failure};
use crate::shape::{Layout, Pool, Shape};

/// A checked view of a block.
#[derive(Clone, Copy)]
pub struct Reader<'b> {
    pub(crate) rows: usize,
    /// Bytes of one validity bitmap.
    bitmap: usize,
    floats: &'b [f64],
    integers: &'b [i64],
    booleans: &'b [u8],
    text: &'b str,
    text_ends: &'b [u32],
    list_offsets: &'b [u32],
    validity: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Checks that the block is as long as the columns ask, and that every index in it leads into it.
    #[inline]
    pub(crate) fn new(
        block: &'b Block,
        shapes: &[Shape],
        layout: Layout,
    ) -> Result<Reader<'b>, Failure> {
        let reader = Reader {
            rows: block.rows as usize,
            bitmap: (block.rows as usize).div_ceil(8),
            floats: &block.floats,
            integers: &block.integers,
            booleans: &block.booleans,
            text: text(block)?,
            text_ends: &block.text_ends,
            list_offsets: &block.list_offsets,
            validity: &block.validity,
        };
        reader.check(shapes, layout)?;
        Ok(reader)
    }

    fn check(&self, shapes: &[Shape], layout: Layout) -> Result<(), Failure> {
        if self.rows == 0 {
            return Err(failure("a block has at least one row".into()));
        }
        let in_lists = |pool| {
            shapes
                .iter()
                .any(|shape| shape.many && shape.scalar.pool() == pool)
        };
        let expect =
            |what: &str, found: usize, columns: usize, each: usize, more: bool| match columns
                .checked_mul(each)
            {
                Some(expected) if found == expected || (more && found > expected) => Ok(()),
                _ => Err(failure(format!(
                    "{what} holds {found} entries; {columns} columns of {} rows take {each} each",
                    self.rows
                ))),
            };
        let lists = layout.lists > 0;
        let (rows, more) = (self.rows, |pool| lists && in_lists(pool));
        expect(
            "floats",
            self.floats.len(),
            layout.floats,
            rows,
            more(Pool::Floats),
        )?;
        expect(
            "integers",
            self.integers.len(),
            layout.integers,
            rows,
            more(Pool::Integers),
        )?;
        expect(
            "booleans",
            self.booleans.len(),
            layout.booleans,
            rows,
            more(Pool::Booleans),
        )?;
        expect(
            "text-ends",
            self.text_ends.len(),
            layout.texts,
            rows,
            more(Pool::Text),
        )?;
        expect(
            "list-offsets",
            self.list_offsets.len(),
            layout.lists,
            rows + 1,
            false,
        )?;
        expect(
            "validity",
            self.validity.len(),
            layout.nullables,
            self.bitmap,
            false,
        )?;
        if lists {
            self.check_lists(shapes, layout)
        } else {
            Ok(())
        }
    }

    fn check_lists(&self, shapes: &[Shape], layout: Layout) -> Result<(), Failure> {
        let lists = shapes.iter().filter(|shape| shape.many);
        for (shape, offsets) in lists.zip(self.list_offsets.chunks_exact(self.rows + 1)) {
            let (columns, end) = match shape.scalar.pool() {
                Pool::Floats => (layout.floats, self.floats.len()),
                Pool::Integers => (layout.integers, self.integers.len()),
                Pool::Booleans => (layout.booleans, self.booleans.len()),
                Pool::Text => (layout.texts, self.text_ends.len()),
            };
            let inside =
                offsets[0] as usize >= columns * self.rows && offsets[self.rows] as usize <= end;
            if !inside || !offsets.is_sorted() {
                return Err(failure(
                    "list-offsets must ascend within the items of their pool".into(),
                ));
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn floats(&self, column: usize) -> &'b [f64] {
        &self.floats[column * self.rows..][..self.rows]
    }

    #[inline]
    pub(crate) fn integers(&self, column: usize) -> &'b [i64] {
        &self.integers[column * self.rows..][..self.rows]
    }

    #[inline]
    pub(crate) fn booleans(&self, column: usize) -> &'b [u8] {
        &self.booleans[column * self.rows..][..self.rows]
    }

    #[inline]
    pub(crate) fn texts(&self, column: usize) -> Texts<'b> {
        let first = column * self.rows;
        Texts {
            text: self.text,
            start: start(self.text_ends, first),
            ends: &self.text_ends[first..][..self.rows],
        }
    }

    #[inline]
    pub(crate) fn list(&self, list: usize) -> List<'b> {
        let offsets = &self.list_offsets[list * (self.rows + 1)..][..self.rows + 1];
        List {
            reader: *self,
            offsets,
        }
    }

    #[inline]
    pub(crate) fn bitmap(&self, column: usize) -> Bitmap<'b> {
        Bitmap(&self.validity[column * self.bitmap..][..self.bitmap])
    }
}

/// Which rows of a nullable column have a value.
#[derive(Clone, Copy)]
pub struct Bitmap<'b>(&'b [u8]);

impl Bitmap<'_> {
    #[inline]
    pub(crate) fn has(&self, row: usize) -> bool {
        self.0[row / 8] & (1 << (row % 8)) != 0
    }
}

/// A run of texts, one behind the other in the arena.
#[derive(Clone, Copy)]
pub struct Texts<'b> {
    text: &'b str,
    /// Where the first begins.
    start: u32,
    ends: &'b [u32],
}

impl<'b> Texts<'b> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> &'b str {
        let start = if index == 0 {
            self.start
        } else {
            self.ends[index - 1]
        };
        &self.text[start as usize..self.ends[index] as usize]
    }
}

/// A list column.
#[derive(Clone, Copy)]
pub struct List<'b> {
    reader: Reader<'b>,
    /// One more than there are rows.
    offsets: &'b [u32],
}

impl<'b> List<'b> {
    #[inline]
    pub(crate) fn floats(&self, row: usize) -> &'b [f64] {
        &self.reader.floats[self.items(row)]
    }

    #[inline]
    pub(crate) fn integers(&self, row: usize) -> &'b [i64] {
        &self.reader.integers[self.items(row)]
    }

    #[inline]
    pub(crate) fn booleans(&self, row: usize) -> &'b [u8] {
        &self.reader.booleans[self.items(row)]
    }

    #[inline]
    pub(crate) fn texts(&self, row: usize) -> Texts<'b> {
        let (items, ends) = (self.items(row), self.reader.text_ends);
        Texts {
            text: self.reader.text,
            start: start(ends, items.start),
            ends: &ends[items],
        }
    }

    #[inline]
    fn items(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}

/// Where the `index`-th text of a block begins.
#[inline]
fn start(ends: &[u32], index: usize) -> u32 {
    if index == 0 { 0 } else { ends[index - 1] }
}

/// The arena as text: UTF-8 as a whole, and cut only between characters.
fn text(block: &Block) -> Result<&str, Failure> {
    let text = str::from_utf8(&block.text)
        .map_err(|error| failure(format!("text is not UTF-8: {error}")))?;
    let mut start = 0;
    for &end in &block.text_ends {
        if end < start || !text.is_char_boundary(end as usize) {
            return Err(failure(format!(
                "text-ends must ascend and cut the text between characters; found {end}"
            )));
        }
        start = end;
    }
    Ok(text)
}

#[cold]
fn failure(message: String) -> Failure {
    Failure { message }
}
