//! From the author's struct to a block.

use std::borrow::Cow;

use crate::json::Json;
use crate::list::{Item, List};
use crate::refusal::Refusal;
use crate::shape::{Field, Layout, Scalar, Shape};
use crate::timestamp::Timestamp;
use crate::write::{Bitmap, ListBuffer, Pools, TextBuffer};

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

    /// Opens the columns, once a block, and writes one row after another; where `next` has none, the row stays empty.
    #[doc(hidden)]
    fn fill(pools: &mut Pools<'_>, rows: usize, next: impl FnMut(usize) -> Option<Self>);
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
    type Column<'w>;
    fn open<'w>(pools: &mut Pools<'w>) -> Self::Column<'w>;
    fn write(self, column: &mut Self::Column<'_>, row: usize);
    fn skip(column: &mut Self::Column<'_>);
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
    type Column<'w> = (Bitmap<'w>, T::Column<'w>);

    #[inline]
    fn open<'w>(pools: &mut Pools<'w>) -> Self::Column<'w> {
        (pools.validity(), T::open(pools))
    }

    #[inline]
    fn write(self, (valid, column): &mut Self::Column<'_>, row: usize) {
        match self {
            Some(value) => {
                valid.mark(row);
                value.write(column, row);
            }
            None => T::skip(column),
        }
    }

    #[inline]
    fn skip((_, column): &mut Self::Column<'_>) {
        T::skip(column);
    }
}

/// Types with a fixed place, which is zero until it is written.
macro_rules! flat {
    ($($type:ty = $scalar:expr, $open:ident: [$Stored:ty], |$value:ident| $stored:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl IntoColumn for $type {
            const SHAPE: Shape = Shape::one($scalar);
            type Column<'w> = &'w mut [$Stored];

            #[inline]
            fn open<'w>(pools: &mut Pools<'w>) -> Self::Column<'w> {
                pools.$open()
            }

            #[inline]
            fn write(self, column: &mut Self::Column<'_>, row: usize) {
                let $value = self;
                column[row] = $stored;
            }

            #[inline]
            fn skip(_: &mut Self::Column<'_>) {}
        }
        impl IntoValue for $type {}
    )*};
}

flat! {
    bool = Scalar::Boolean, booleans: [u8], |value| value.into();
    i64 = Scalar::Integer, integers: [i64], |value| value;
    f64 = Scalar::Float, floats: [f64], |value| value;
    Timestamp = Scalar::Timestamp, integers: [i64], |value| value.micros();
}

macro_rules! text {
    ($($type:ty = $scalar:expr, |$buffer:ident, $value:ident| $push:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl IntoColumn for $type {
            const SHAPE: Shape = Shape::one($scalar);
            type Column<'w> = &'w mut TextBuffer;

            #[inline]
            fn open<'w>(pools: &mut Pools<'w>) -> Self::Column<'w> {
                pools.text()
            }

            #[inline]
            fn write(self, $buffer: &mut Self::Column<'_>, _: usize) {
                let $value = self;
                $push
            }

            #[inline]
            fn skip(buffer: &mut Self::Column<'_>) {
                buffer.push("");
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

/// Types that are many items.
macro_rules! many {
    ($($type:ty, for { $($parameters:tt)* };)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($parameters)*> IntoColumn for $type {
            const SHAPE: Shape = Shape::many(T::SCALAR);
            type Column<'w> = &'w mut ListBuffer;

            #[inline]
            fn open<'w>(pools: &mut Pools<'w>) -> Self::Column<'w> {
                pools.list()
            }

            #[inline]
            fn write(self, list: &mut Self::Column<'_>, _: usize) {
                self.iter().for_each(|item| item.push(list));
                list.end_row();
            }

            #[inline]
            fn skip(list: &mut Self::Column<'_>) {
                list.end_row();
            }
        }
        impl<$($parameters)*> IntoValue for $type {}
    )*};
}

many! {
    Vec<T>, for { T: IntoItem };
    &[T], for { T: IntoItem };
    List<'a, T>, for { 'a, T: Item<'a> + IntoItem };
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
