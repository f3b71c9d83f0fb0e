//! From a block to the author's struct.

use crate::json::Json;
use crate::list::{Bools, Jsons, Texts};
use crate::read::Reader;
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

    /// Reads one row.
    #[doc(hidden)]
    fn read(reader: &Reader<'b>, row: usize) -> Self;
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
    fn read(reader: &Reader<'b>, slot: Slot, row: usize) -> Self;
}

/// A field's type that is no `Option`.
pub trait FromValue<'b>: FromColumn<'b> {}

// Without such attributes an error would list these impls beside the note.
#[diagnostic::do_not_recommend]
impl<'b, T: FromValue<'b>> FromColumn<'b> for Option<T> {
    const SHAPE: Shape = T::SHAPE.or_null();

    #[inline]
    fn read(reader: &Reader<'b>, slot: Slot, row: usize) -> Self {
        reader
            .is_valid(slot.validity, row)
            .then(|| T::read(reader, slot, row))
    }
}

// Not by the macro below: the compiler shows this impl to whoever writes `String`.
impl<'b> FromColumn<'b> for &'b str {
    const SHAPE: Shape = Shape::one(Scalar::Text);

    #[inline]
    fn read(reader: &Reader<'b>, slot: Slot, row: usize) -> Self {
        reader.text(slot.index, row)
    }
}
impl<'b> FromValue<'b> for &'b str {}

macro_rules! read {
    ($($type:ty = $shape:expr, |$reader:ident, $column:ident, $row:ident| $value:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<'b> FromColumn<'b> for $type {
            const SHAPE: Shape = $shape;

            #[inline]
            fn read($reader: &Reader<'b>, Slot { index: $column, .. }: Slot, $row: usize) -> Self {
                $value
            }
        }
        impl<'b> FromValue<'b> for $type {}
    )*};
}

read! {
    bool = Shape::one(Scalar::Boolean), |reader, column, row| reader.boolean(column, row);
    i64 = Shape::one(Scalar::Integer), |reader, column, row| reader.integer(column, row);
    f64 = Shape::one(Scalar::Float), |reader, column, row| reader.float(column, row);
    Timestamp = Shape::one(Scalar::Timestamp), |reader, column, row|
        Timestamp::from_micros(reader.integer(column, row));
    Json<'b> = Shape::one(Scalar::Json), |reader, column, row| Json::new(reader.text(column, row));
    Bools<'b> = Shape::many(Scalar::Boolean), |reader, list, row| Bools::new(reader.booleans(list, row));
    &'b [i64] = Shape::many(Scalar::Integer), |reader, list, row| reader.integers(list, row);
    &'b [f64] = Shape::many(Scalar::Float), |reader, list, row| reader.floats(list, row);
    &'b [Timestamp] = Shape::many(Scalar::Timestamp), |reader, list, row|
        timestamp::from_micros(reader.integers(list, row));
    Texts<'b> = Shape::many(Scalar::Text), |reader, list, row| Texts::new(reader.texts(list, row));
    Jsons<'b> = Shape::many(Scalar::Json), |reader, list, row| Jsons::new(reader.texts(list, row));
}
