//! Never says what it is.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct EndlessDescribe;

impl Transform for EndlessDescribe {
    fn describe() -> Description {
        loop {
            std::hint::spin_loop();
        }
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        Ok(guests::answer(rows))
    }
}

guests::export!(EndlessDescribe);
