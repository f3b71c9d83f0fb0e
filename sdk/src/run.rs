//! What a transform does with a block: the one path for the component, for tests, and for native runs.

use crate::bindings::tidemill::transform::types;
use crate::input::Input;
use crate::output::{Outcome, Output};
use crate::read::Reader;
use crate::shape::{Field, Scalar, Shape};
use crate::write::{Writer, index};

/// What `#[transform]` makes of a function: a type of the function's name that can describe and run it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transform",
    note = "a transform is a function under `#[transform]`"
)]
pub trait Transform {
    /// What the transform is.
    #[doc(hidden)]
    fn describe() -> types::Description;

    /// Runs the function on every row of a block.
    #[doc(hidden)]
    fn transform(rows: &types::Block) -> Result<types::Answer, types::Failure>;
}

/// A function under `#[transform]`. It is let in by one door, so that one mistake in its types is told once.
pub trait Function {
    const ABOUT: About;
    fn enter<'b, V: Visitor<'b>>(visitor: V) -> V::Given;
}

/// What is done with a function of whatever types.
pub trait Visitor<'b> {
    type Given;
    fn visit<I: Input<'b>, R: Outcome>(self, function: impl Fn(I) -> R) -> Self::Given;
}

#[diagnostic::do_not_recommend]
impl<T: Function> Transform for T {
    fn describe() -> types::Description {
        T::enter(Describe(T::ABOUT))
    }

    #[inline]
    fn transform(rows: &types::Block) -> Result<types::Answer, types::Failure> {
        T::enter(Run(rows))
    }
}

impl<T: Transform> crate::bindings::Guest for T {
    #[inline]
    fn describe() -> types::Description {
        T::describe()
    }

    #[inline]
    fn transform(rows: types::Block) -> Result<types::Answer, types::Failure> {
        T::transform(&rows)
    }
}

/// What `#[transform]` knows of a function besides its types.
pub struct About {
    pub name: &'static str,
    pub version: &'static str,
    pub doc: &'static str,
    pub package: &'static str,
}

struct Describe(About);

impl<'b> Visitor<'b> for Describe {
    type Given = types::Description;

    fn visit<I: Input<'b>, R: Outcome>(self, _: impl Fn(I) -> R) -> types::Description {
        describe(
            self.0,
            (I::SHAPES, I::FIELDS),
            (R::Output::SHAPES, R::Output::FIELDS),
        )
    }
}

type Columns = (&'static [Shape], &'static [Field]);

fn describe(about: About, inputs: Columns, outputs: Columns) -> types::Description {
    let provenance = [
        ("sdk", env!("CARGO_PKG_VERSION")),
        ("rustc", env!("TIDEMILL_RUSTC")),
        ("crate", about.package),
    ];
    types::Description {
        name: about.name.into(),
        version: about.version.into(),
        doc: about.doc.into(),
        inputs: fields(inputs),
        outputs: fields(outputs),
        provenance: provenance
            .map(|(key, value)| (key.into(), value.into()))
            .into(),
    }
}

fn fields((shapes, fields): Columns) -> Vec<types::Field> {
    let told = |(shape, field): (&Shape, &Field)| types::Field {
        name: field.name.into(),
        data_type: match shape.many {
            true => types::DataType::Many(scalar(shape.scalar)),
            false => types::DataType::One(scalar(shape.scalar)),
        },
        nullable: shape.nullable,
        doc: field.doc.into(),
        minimum: field.minimum,
        maximum: field.maximum,
    };
    shapes.iter().zip(fields).map(told).collect()
}

fn scalar(scalar: Scalar) -> types::Scalar {
    match scalar {
        Scalar::Boolean => types::Scalar::Boolean,
        Scalar::Integer => types::Scalar::Integer,
        Scalar::Float => types::Scalar::Float,
        Scalar::Text => types::Scalar::Text,
        Scalar::Timestamp => types::Scalar::Timestamp,
        Scalar::Json => types::Scalar::Json,
    }
}

struct Run<'b>(&'b types::Block);

impl<'b> Visitor<'b> for Run<'b> {
    type Given = Result<types::Answer, types::Failure>;

    #[inline]
    fn visit<I: Input<'b>, R: Outcome>(self, function: impl Fn(I) -> R) -> Self::Given {
        let reader = Reader::new(self.0, I::SHAPES, I::LAYOUT)?;
        let mut writer = Writer::new(reader.rows, R::Output::SHAPES, R::Output::LAYOUT);
        let input = I::rows(reader);
        let mut refusals = Vec::new();
        R::Output::fill(&mut writer.pools(), reader.rows, |row| {
            let refusal = match function(input(row)).into_result() {
                Ok(output) => return Some(output),
                Err(refusal) => refusal,
            };
            refusals.push(types::Refusal {
                row: index(row),
                message: refusal.into_message(),
            });
            None
        });
        Ok(types::Answer {
            rows: writer.finish(),
            refusals,
        })
    }
}
