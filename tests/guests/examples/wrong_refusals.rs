//! Refuses a row that does not exist when `x` is 13.

use guests::{Answer, Block, Description, Failure, RowRefusal, Transform};

/// One fault.
pub struct WrongRefusals;

impl Transform for WrongRefusals {
    fn describe() -> Description {
        guests::description("wrong-refusals")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        if guests::has_unlucky(rows) {
            answer.refusals.push(RowRefusal {
                row: rows.rows + 7,
                message: "who?".into(),
            });
        }
        Ok(answer)
    }
}

guests::export!(WrongRefusals);
