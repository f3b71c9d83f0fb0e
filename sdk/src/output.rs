//! From the author's struct to a block.

use std::borrow::Cow;

use crate::json::Json;
use crate::list::{Item, List};
use crate::refusal::Refusal;
use crate::shape::{Field, Layout, Scalar, Shape, Slot};
use crate::timestamp::Timestamp;
use crate::write::{ListBuffer, Writer};

/// A struct whose fields are the feature columns a transform gives: `#[derive(Output)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the output of a transform",
    label = "not an `Output`",
    note = "put the features into a struct with named fields and `#[derive(Output)]`"
)]
pub trait Output: Sized {
    /// The columns' types, in order.
    #[doc(hidden)]
    const SHAPES: &'static [Shape];
    /// The columns' names and docs, in the same order.
    #[doc(hidden)]
    const FIELDS: &'static [Field];
    #[doc(hidden)]
    const LAYOUT: Layout = Layout::of(Self::SHAPES);

    /// Writes one row; rows come in order.
    #[doc(hidden)]
    fn write(self, writer: &mut Writer, row: usize);

    /// Leaves one row empty.
    #[doc(hidden)]
    fn skip(writer: &mut Writer);
}

/// What a transform may return: an [`Output`], or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "a transform cannot return `{Self}`",
    label = "neither an `Output` nor a `Result` of one",
    note = "put the features into a struct with named fields and `#[derive(Output)]`, and return it or \
            `Result<…, Refusal>` of it"
)]
pub trait Outcome {
    type Output: Output;
    fn into_result(self) -> Result<Self::Output, Refusal>;
}

#[diagnostic::do_not_recommend]
impl<O: Output, E: Into<Refusal>> Outcome for Result<O, E> {
    type Output = O;

    #[inline]
    fn into_result(self) -> Result<O, Refusal> {
        self.map_err(E::into)
    }
}

/// What a field of an [`Output`] may be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of an `Output`",
    label = "no column has this type",
    note = "the types of a field are: bool, i64, f64, String, &str, Timestamp, Json<'a>; Vec<…> and &[…] of these; \
            and Option<…> of each"
)]
pub trait IntoColumn {
    const SHAPE: Shape;
    fn write(self, writer: &mut Writer, slot: Slot, row: usize);
    fn skip(writer: &mut Writer, slot: Slot);
}

/// A field's type that is no `Option`.
pub trait IntoValue: IntoColumn {}

/// What an item of a list in an [`Output`] may be.
pub trait IntoItem {
    const SCALAR: Scalar;
    fn push(&self, list: &mut ListBuffer);
}

/// What `min` and `max` may be said of.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no range",
    label = "`min` and `max` are for numbers",
    note = "the numbers are: i64, f64, Option<i64>, Option<f64>"
)]
pub trait Ranged {}
#[diagnostic::do_not_recommend]
impl Ranged for i64 {}
#[diagnostic::do_not_recommend]
impl Ranged for f64 {}
#[diagnostic::do_not_recommend]
impl Ranged for Option<i64> {}
#[diagnostic::do_not_recommend]
impl Ranged for Option<f64> {}

#[diagnostic::do_not_recommend]
impl<T: IntoValue> IntoColumn for Option<T> {
    const SHAPE: Shape = T::SHAPE.or_null();

    #[inline]
    fn write(self, writer: &mut Writer, slot: Slot, row: usize) {
        match self {
            Some(value) => {
                writer.mark_valid(slot.validity, row);
                value.write(writer, slot, row);
            }
            None => T::skip(writer, slot),
        }
    }

    #[inline]
    fn skip(writer: &mut Writer, slot: Slot) {
        T::skip(writer, slot);
    }
}

/// Types with a fixed place, which is zero until it is written.
macro_rules! flat {
    ($($type:ty = $scalar:expr, |$writer:ident, $column:ident, $row:ident, $value:ident| $write:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl IntoColumn for $type {
            const SHAPE: Shape = Shape::one($scalar);

            #[inline]
            fn write(self, $writer: &mut Writer, Slot { index: $column, .. }: Slot, $row: usize) {
                let $value = self;
                $write
            }

            #[inline]
            fn skip(_: &mut Writer, _: Slot) {}
        }
        impl IntoValue for $type {}
    )*};
}

flat! {
    bool = Scalar::Boolean, |writer, column, row, value| writer.boolean(column, row, value);
    i64 = Scalar::Integer, |writer, column, row, value| writer.integer(column, row, value);
    f64 = Scalar::Float, |writer, column, row, value| writer.float(column, row, value);
    Timestamp = Scalar::Timestamp, |writer, column, row, value| writer.integer(column, row, value.micros());
}

macro_rules! text {
    ($($type:ty = $scalar:expr, |$buffer:ident, $value:ident| $push:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl IntoColumn for $type {
            const SHAPE: Shape = Shape::one($scalar);

            #[inline]
            fn write(self, writer: &mut Writer, slot: Slot, _: usize) {
                let ($buffer, $value) = (writer.text(slot.index), self);
                $push
            }

            #[inline]
            fn skip(writer: &mut Writer, slot: Slot) {
                writer.text(slot.index).push("");
            }
        }
        impl IntoValue for $type {}
    )*};
}

text! {
    &str = Scalar::Text, |buffer, value| buffer.push(value);
    String = Scalar::Text, |buffer, value| buffer.push_owned(value);
    Json<'_> = Scalar::Json, |buffer, value| match value.into_text() {
        Cow::Borrowed(text) => buffer.push(text),
        Cow::Owned(text) => buffer.push_owned(text),
    };
}

macro_rules! item {
    ($($type:ty = $scalar:expr, |$list:ident, $value:ident| $push:expr;)*) => {$(
        impl IntoItem for $type {
            const SCALAR: Scalar = $scalar;

            #[inline]
            fn push(&self, $list: &mut ListBuffer) {
                let $value = self;
                $push
            }
        }
    )*};
}

item! {
    bool = Scalar::Boolean, |list, value| list.booleans.push((*value).into());
    i64 = Scalar::Integer, |list, value| list.integers.push(*value);
    f64 = Scalar::Float, |list, value| list.floats.push(*value);
    Timestamp = Scalar::Timestamp, |list, value| list.integers.push(value.micros());
    &str = Scalar::Text, |list, value| list.text.push(value);
    String = Scalar::Text, |list, value| list.text.push(value);
    Json<'_> = Scalar::Json, |list, value| list.text.push(value.as_str());
}

#[diagnostic::do_not_recommend]
impl<T: IntoItem> IntoColumn for &[T] {
    const SHAPE: Shape = Shape::many(T::SCALAR);

    #[inline]
    fn write(self, writer: &mut Writer, slot: Slot, _: usize) {
        let list = writer.list(slot.index);
        self.iter().for_each(|item| item.push(list));
        list.end_row();
    }

    #[inline]
    fn skip(writer: &mut Writer, slot: Slot) {
        writer.list(slot.index).end_row();
    }
}
impl<T: IntoItem> IntoValue for &[T] {}

#[diagnostic::do_not_recommend]
impl<'a, T: Item<'a> + IntoItem> IntoColumn for List<'a, T> {
    const SHAPE: Shape = Shape::many(T::SCALAR);

    #[inline]
    fn write(self, writer: &mut Writer, slot: Slot, _: usize) {
        let list = writer.list(slot.index);
        self.iter().for_each(|item| item.push(list));
        list.end_row();
    }

    #[inline]
    fn skip(writer: &mut Writer, slot: Slot) {
        writer.list(slot.index).end_row();
    }
}
impl<'a, T: Item<'a> + IntoItem> IntoValue for List<'a, T> {}

#[diagnostic::do_not_recommend]
impl<T: IntoItem> IntoColumn for Vec<T> {
    const SHAPE: Shape = Shape::many(T::SCALAR);

    #[inline]
    fn write(self, writer: &mut Writer, slot: Slot, row: usize) {
        self.as_slice().write(writer, slot, row);
    }

    #[inline]
    fn skip(writer: &mut Writer, slot: Slot) {
        <&[T]>::skip(writer, slot);
    }
}
impl<T: IntoItem> IntoValue for Vec<T> {}
