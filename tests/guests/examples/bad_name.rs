//! Has a name that no transform may have.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct BadName;

impl Transform for BadName {
    fn describe() -> Description {
        guests::description("Bad Name!")
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        Ok(guests::answer(rows))
    }
}

guests::export!(BadName);
