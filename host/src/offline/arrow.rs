//! A block's columns as Arrow arrays. The way back is [`from_arrays`](super::from_arrays).
//!
//! f64, i64, bool and text are what they say; a timestamp is in microseconds, UTC; json is text; a list's items are never
//! null.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType as ArrowType, Field as ArrowField, TimeUnit};

use crate::block::Block;
use crate::schema::{DataType, Field, Scalar, Slot};

/// The Arrow type of a column.
pub fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::One(scalar) => scalar_type(scalar),
        DataType::Many(scalar) => ArrowType::List(item_field(scalar)),
    }
}

/// The Arrow field of a column, under another name where `name` gives one.
pub fn arrow_field(name: Option<&str>, field: &Field) -> ArrowField {
    ArrowField::new(
        name.unwrap_or(&field.name),
        arrow_type(field.data_type),
        field.nullable,
    )
}

/// What this project calls an Arrow type; Arrow's own word where it has none. Json is text in a file.
pub fn type_name(found: &ArrowType) -> String {
    let scalars = [
        Scalar::Boolean,
        Scalar::Integer,
        Scalar::Float,
        Scalar::Text,
        Scalar::Timestamp,
    ];
    let of = |found: &ArrowType| (scalars.into_iter()).find(|&one| scalar_type(one) == *found);
    let known = match found {
        ArrowType::List(item) => of(item.data_type()).map(DataType::Many),
        one => of(one).map(DataType::One),
    };
    known.map_or_else(|| found.to_string(), |known| known.to_string())
}

/// Timestamps as this project writes them.
pub fn timestamp_type() -> ArrowType {
    ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The column of `field` at `slot`, copied.
///
/// # Panics
/// If the column holds more than 2 GiB of text, or that many items: blocks of some thousand rows are far from it.
pub fn to_array(block: &Block, field: &Field, slot: Slot) -> ArrayRef {
    let rows = block.rows();
    let nulls = block
        .validity_bits(slot)
        .map(|bits| NullBuffer::new(BooleanBuffer::new(Buffer::from(bits), 0, rows)))
        .filter(|nulls| nulls.null_count() > 0);
    let scalar = field.data_type.scalar();
    if !slot.many {
        return values(block, scalar, slot.index * rows, rows, nulls);
    }
    let lengths = (0..rows).map(|row| block.items(slot, row).len());
    let first = if rows == 0 {
        0
    } else {
        block.items(slot, 0).start
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    let items = values(block, scalar, first, offsets[rows] as usize, None);
    Arc::new(ListArray::new(item_field(scalar), offsets, items, nulls))
}

/// `count` values of the scalar's pool, from `first` on.
fn values(
    block: &Block,
    scalar: Scalar,
    first: usize,
    count: usize,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let range = first..first + count;
    match scalar {
        Scalar::Float => Arc::new(Float64Array::new(
            ScalarBuffer::from(block.floats[range].to_vec()),
            nulls,
        )),
        Scalar::Integer => Arc::new(Int64Array::new(
            ScalarBuffer::from(block.integers[range].to_vec()),
            nulls,
        )),
        Scalar::Timestamp => {
            let micros = ScalarBuffer::from(block.integers[range].to_vec());
            Arc::new(TimestampMicrosecondArray::new(micros, nulls).with_timezone("UTC"))
        }
        Scalar::Boolean => {
            let bits = BooleanBuffer::collect_bool(count, |at| block.boolean_item(first + at));
            Arc::new(BooleanArray::new(bits, nulls))
        }
        Scalar::Text | Scalar::Json => {
            let start = first.checked_sub(1).map_or(0, |last| block.text_ends[last]);
            let ends = &block.text_ends[range];
            let length = ends.last().map_or(0, |end| end - start);
            i32::try_from(length).expect("at most 2 GiB of text");
            let offsets = std::iter::once(0).chain(ends.iter().map(|end| (end - start) as i32));
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets.collect::<Vec<i32>>()));
            let bytes = &block.text.as_bytes()[start as usize..(start + length) as usize];
            Arc::new(StringArray::new(offsets, Buffer::from(bytes), nulls))
        }
    }
}

fn scalar_type(scalar: Scalar) -> ArrowType {
    match scalar {
        Scalar::Boolean => ArrowType::Boolean,
        Scalar::Integer => ArrowType::Int64,
        Scalar::Float => ArrowType::Float64,
        Scalar::Text | Scalar::Json => ArrowType::Utf8,
        Scalar::Timestamp => timestamp_type(),
    }
}

fn item_field(scalar: Scalar) -> Arc<ArrowField> {
    Arc::new(ArrowField::new("item", scalar_type(scalar), false))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::samples::{any_block, every_type};
    use crate::offline::from_arrays;

    proptest! {
        #[test]
        fn there_and_back_bit_by_bit(block in any_block(every_type(), 20)) {
            let schema = every_type();
            let column = |at: usize| to_array(&block, schema.field(at), schema.slot(at));
            let arrays: Vec<_> = (0..schema.len()).map(|at| Some(column(at))).collect();
            for (field, array) in schema.fields().iter().zip(&arrays) {
                prop_assert_eq!(array.as_ref().unwrap().data_type(), &arrow_type(field.data_type));
            }
            let back = from_arrays(&schema, &arrays, block.rows()).unwrap();
            prop_assert_eq!(back.first_difference(&block, &schema), None);
        }
    }

    #[test]
    fn no_rows_are_no_values() {
        let schema = every_type();
        let block = Block::nulls(&schema, 0);
        for (field, &slot) in schema.fields().iter().zip(schema.slots()) {
            assert_eq!(to_array(&block, field, slot).len(), 0);
        }
    }
}
