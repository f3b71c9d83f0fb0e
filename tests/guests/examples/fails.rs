//! Calls the block ill-formed when `x` is 13.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct Fails;

impl Transform for Fails {
    fn describe() -> Description {
        guests::description("fails")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        if guests::has_unlucky(rows) {
            return Err(Failure {
                message: "13 is not for me".into(),
            });
        }
        Ok(guests::answer(rows))
    }
}

guests::export!(Fails);
