//! Gives integers for the floats it promised when `x` is 13.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct WrongType;

impl Transform for WrongType {
    fn describe() -> Description {
        guests::description("wrong-type")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        if guests::has_unlucky(rows) {
            answer.rows.integers = answer.rows.floats.drain(..).map(|y| y as i64).collect();
        }
        Ok(answer)
    }
}

guests::export!(WrongType);
