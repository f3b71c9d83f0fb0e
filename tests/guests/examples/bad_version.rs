//! Has a version that is not semantic.

use guests::{Answer, Block, Description, Failure, Transform};

/// One fault.
pub struct BadVersion;

impl Transform for BadVersion {
    fn describe() -> Description {
        Description {
            version: "one".into(),
            ..guests::description("bad-version")
        }
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        Ok(guests::answer(rows))
    }
}

guests::export!(BadVersion);
