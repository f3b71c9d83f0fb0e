//! From a block to the author's struct.

use crate::json::Json;
use crate::list::{Bools, Jsons, Texts};
use crate::read::{self, Bitmap, List, Reader};
use crate::shape::{Field, Layout, Scalar, Shape, Slot};
use crate::timestamp::{self, Timestamp};

/// A struct whose fields are the input columns of a transform: `#[derive(Input)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the input of a transform",
    label = "not an `Input`",
    note = "put the columns into a struct with named fields and `#[derive(Input)]`, and take it by value"
)]
pub trait Input<'b>: Sized {
    /// The columns' types, in order.
    #[doc(hidden)]
    const SHAPES: &'static [Shape];
    /// The columns' names and docs, in the same order.
    #[doc(hidden)]
    const FIELDS: &'static [Field];
    #[doc(hidden)]
    const LAYOUT: Layout = Layout::of(Self::SHAPES);

    /// Opens the columns, once a block, so that they lie in local variables; then reads one row after another.
    #[doc(hidden)]
    fn rows(reader: Reader<'b>) -> impl Fn(usize) -> Self;
}

/// What a field of an [`Input`] may be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of an `Input`",
    label = "no column has this type",
    note = "the types of a field are: bool, i64, f64, &'a str, Timestamp, Json<'a>; the lists &'a [f64], &'a [i64], \
            &'a [Timestamp], Bools<'a>, Texts<'a>, Jsons<'a>; and Option<…> of each"
)]
pub trait FromColumn<'b>: Sized {
    const SHAPE: Shape;
    type Column;
    fn open(reader: Reader<'b>, slot: Slot) -> Self::Column;
    fn read(column: &Self::Column, row: usize) -> Self;
}

/// A field's type that is no `Option`.
pub trait FromValue<'b>: FromColumn<'b> {}

// Without such attributes an error would list these impls beside the note.
#[diagnostic::do_not_recommend]
impl<'b, T: FromValue<'b>> FromColumn<'b> for Option<T> {
    const SHAPE: Shape = T::SHAPE.or_null();
    type Column = (Bitmap<'b>, T::Column);

    #[inline]
    fn open(reader: Reader<'b>, slot: Slot) -> Self::Column {
        (reader.bitmap(slot.validity), T::open(reader, slot))
    }

    #[inline]
    fn read((valid, column): &Self::Column, row: usize) -> Self {
        valid.has(row).then(|| T::read(column, row))
    }
}

// Not by the macro below: the compiler shows this impl to whoever writes `String`.
#[diagnostic::do_not_recommend]
impl<'b> FromColumn<'b> for &'b str {
    const SHAPE: Shape = Shape::one(Scalar::Text);
    type Column = read::Texts<'b>;

    #[inline]
    fn open(reader: Reader<'b>, slot: Slot) -> Self::Column {
        reader.texts(slot.index)
    }

    #[inline]
    fn read(column: &Self::Column, row: usize) -> Self {
        column.get(row)
    }
}
impl<'b> FromValue<'b> for &'b str {}

macro_rules! columns {
    ($($type:ty = $shape:expr, $open:ident: $Column:ty, |$column:ident, $row:ident| $value:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<'b> FromColumn<'b> for $type {
            const SHAPE: Shape = $shape;
            type Column = $Column;

            #[inline]
            fn open(reader: Reader<'b>, slot: Slot) -> Self::Column {
                reader.$open(slot.index)
            }

            #[inline]
            fn read($column: &Self::Column, $row: usize) -> Self {
                $value
            }
        }
        impl<'b> FromValue<'b> for $type {}
    )*};
}

columns! {
    bool = Shape::one(Scalar::Boolean), booleans: &'b [u8], |column, row| column[row] != 0;
    i64 = Shape::one(Scalar::Integer), integers: &'b [i64], |column, row| column[row];
    f64 = Shape::one(Scalar::Float), floats: &'b [f64], |column, row| column[row];
    Timestamp = Shape::one(Scalar::Timestamp), integers: &'b [i64], |column, row| Timestamp::from_micros(column[row]);
    Json<'b> = Shape::one(Scalar::Json), texts: read::Texts<'b>, |column, row| Json::new(column.get(row));
    Bools<'b> = Shape::many(Scalar::Boolean), list: List<'b>, |column, row| Bools::new(column.booleans(row));
    &'b [i64] = Shape::many(Scalar::Integer), list: List<'b>, |column, row| column.integers(row);
    &'b [f64] = Shape::many(Scalar::Float), list: List<'b>, |column, row| column.floats(row);
    &'b [Timestamp] = Shape::many(Scalar::Timestamp), list: List<'b>, |column, row|
        timestamp::from_micros(column.integers(row));
    Texts<'b> = Shape::many(Scalar::Text), list: List<'b>, |column, row| Texts::new(column.texts(row));
    Jsons<'b> = Shape::many(Scalar::Json), list: List<'b>, |column, row| Jsons::new(column.texts(row));
}
