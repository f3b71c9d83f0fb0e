//! Describes two columns of the same name.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct TwinColumns;

impl Transform for TwinColumns {
    fn describe() -> Description {
        let mut description = guests::description("twin-columns");
        description.outputs.extend_from_within(..);
        description
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        answer.rows.floats.extend_from_within(..);
        Ok(answer)
    }
}

guests::export!(TwinColumns);
