//! Where each column lies in a block, worked out at compile time.

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Boolean,
    Integer,
    Float,
    Text,
    Timestamp,
    Json,
}

/// The physical home of a value in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    Booleans,
    Integers,
    Floats,
    Text,
}

/// All of a column's type that decides where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub scalar: Scalar,
    pub many: bool,
    pub nullable: bool,
}

/// All of a column that is only told.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub doc: &'static str,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
}

/// The place of a column among its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// For one value a row: which of its pool's columns. For a list: which of the list columns.
    pub index: usize,
    /// Which of the nullable columns, if it is one.
    pub validity: usize,
}

/// How many columns of each kind a block has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub booleans: usize,
    pub integers: usize,
    pub floats: usize,
    pub texts: usize,
    pub lists: usize,
    pub nullables: usize,
}

impl Scalar {
    pub const fn pool(self) -> Pool {
        match self {
            Scalar::Boolean => Pool::Booleans,
            Scalar::Integer | Scalar::Timestamp => Pool::Integers,
            Scalar::Float => Pool::Floats,
            Scalar::Text | Scalar::Json => Pool::Text,
        }
    }
}

impl Shape {
    pub const fn one(scalar: Scalar) -> Shape {
        Shape {
            scalar,
            many: false,
            nullable: false,
        }
    }

    pub const fn many(scalar: Scalar) -> Shape {
        Shape {
            scalar,
            many: true,
            nullable: false,
        }
    }

    pub const fn or_null(self) -> Shape {
        Shape {
            nullable: true,
            ..self
        }
    }
}

impl Slot {
    /// The slot of the column at `position`.
    pub const fn of(shapes: &[Shape], position: usize) -> Slot {
        let before = Layout::of(shapes.split_at(position).0);
        let index = match shapes[position] {
            Shape { many: true, .. } => before.lists,
            Shape { scalar, .. } => match scalar.pool() {
                Pool::Booleans => before.booleans,
                Pool::Integers => before.integers,
                Pool::Floats => before.floats,
                Pool::Text => before.texts,
            },
        };
        Slot {
            index,
            validity: before.nullables,
        }
    }
}

impl Layout {
    pub const fn of(shapes: &[Shape]) -> Layout {
        let mut layout = Layout {
            booleans: 0,
            integers: 0,
            floats: 0,
            texts: 0,
            lists: 0,
            nullables: 0,
        };
        let mut position = 0;
        while position < shapes.len() {
            let shape = shapes[position];
            let count = match shape.scalar.pool() {
                _ if shape.many => &mut layout.lists,
                Pool::Booleans => &mut layout.booleans,
                Pool::Integers => &mut layout.integers,
                Pool::Floats => &mut layout.floats,
                Pool::Text => &mut layout.texts,
            };
            *count += 1;
            layout.nullables += shape.nullable as usize;
            position += 1;
        }
        layout
    }
}

/// Stops the build at a range that no number is in.
#[track_caller]
pub const fn ascending(minimum: f64, maximum: f64) {
    assert!(
        minimum <= maximum,
        "the range of a field goes from `min` up to `max`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_among_their_like() {
        let shapes = [
            Shape::one(Scalar::Float),
            Shape::one(Scalar::Timestamp).or_null(),
            Shape::many(Scalar::Float).or_null(),
            Shape::one(Scalar::Float).or_null(),
            Shape::one(Scalar::Integer),
            Shape::many(Scalar::Text),
        ];
        let slots: Vec<_> = (0..shapes.len())
            .map(|at| Slot::of(&shapes, at))
            .map(|slot| slot.index)
            .collect();
        assert_eq!(slots, [0, 0, 0, 1, 1, 1]);
        assert_eq!(Slot::of(&shapes, 3).validity, 2);
        assert_eq!(
            Layout::of(&shapes),
            Layout {
                booleans: 0,
                integers: 2,
                floats: 2,
                texts: 0,
                lists: 2,
                nullables: 3
            }
        );
    }
}
