//! Answers one row too many when `x` is 13.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct WrongRowCount;

impl Transform for WrongRowCount {
    fn describe() -> Description {
        guests::description("wrong-row-count")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        if guests::has_unlucky(rows) {
            answer.rows.rows += 1;
            answer.rows.floats.push(0.0);
        }
        Ok(answer)
    }
}

guests::export!(WrongRowCount);
