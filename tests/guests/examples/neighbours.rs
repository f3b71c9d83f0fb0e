//! Tells how far each row is from the mean of the block: an answer that hangs on the neighbours.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct Neighbours;

impl Transform for Neighbours {
    fn describe() -> Description {
        guests::description("neighbours")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mean = rows.floats.iter().sum::<f64>() / f64::from(rows.rows);
        let mut answer = guests::answer(rows);
        answer.rows.floats = rows.floats.iter().map(|x| x - mean).collect();
        Ok(answer)
    }
}

guests::export!(Neighbours);
