//! Tells how far each row is from the one before it: an answer that hangs on the order of rows.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct RowOrder;

impl Transform for RowOrder {
    fn describe() -> Description {
        guests::description("row-order")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut before = 0.0;
        let step = |x: &f64| x - std::mem::replace(&mut before, *x);
        let mut answer = guests::answer(rows);
        answer.rows.floats = rows.floats.iter().map(step).collect();
        Ok(answer)
    }
}

guests::export!(RowOrder);
