//! A block that was checked once, so that reading a value cannot fail.

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
    pub(crate) fn is_valid(&self, column: usize, row: usize) -> bool {
        self.validity[column * self.bitmap + row / 8] & (1 << (row % 8)) != 0
    }

    #[inline]
    pub(crate) fn float(&self, column: usize, row: usize) -> f64 {
        self.floats[column * self.rows + row]
    }

    #[inline]
    pub(crate) fn integer(&self, column: usize, row: usize) -> i64 {
        self.integers[column * self.rows + row]
    }

    #[inline]
    pub(crate) fn boolean(&self, column: usize, row: usize) -> bool {
        self.booleans[column * self.rows + row] != 0
    }

    #[inline]
    pub(crate) fn text(&self, column: usize, row: usize) -> &'b str {
        item(self.text, self.text_ends, column * self.rows + row)
    }

    #[inline]
    pub(crate) fn floats(&self, list: usize, row: usize) -> &'b [f64] {
        let (start, end) = self.items(list, row);
        &self.floats[start..end]
    }

    #[inline]
    pub(crate) fn integers(&self, list: usize, row: usize) -> &'b [i64] {
        let (start, end) = self.items(list, row);
        &self.integers[start..end]
    }

    #[inline]
    pub(crate) fn booleans(&self, list: usize, row: usize) -> &'b [u8] {
        let (start, end) = self.items(list, row);
        &self.booleans[start..end]
    }

    /// The arena, all its ends, and which of them are the row's items.
    #[inline]
    pub(crate) fn texts(&self, list: usize, row: usize) -> (&'b str, &'b [u32], (usize, usize)) {
        (self.text, self.text_ends, self.items(list, row))
    }

    #[inline]
    fn items(&self, list: usize, row: usize) -> (usize, usize) {
        let at = list * (self.rows + 1) + row;
        (
            self.list_offsets[at] as usize,
            self.list_offsets[at + 1] as usize,
        )
    }
}

/// The `index`-th text of an arena.
#[inline]
pub(crate) fn item<'b>(text: &'b str, ends: &[u32], index: usize) -> &'b str {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &text[start as usize..ends[index] as usize]
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
