//! Says the right number of rows but leaves the floats away when `x` is 13.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct ShortPool;

impl Transform for ShortPool {
    fn describe() -> Description {
        guests::description("short-pool")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        if guests::has_unlucky(rows) {
            answer.rows.floats.clear();
        }
        Ok(answer)
    }
}

guests::export!(ShortPool);
