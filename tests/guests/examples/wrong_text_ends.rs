//! Gives texts that end beyond the arena when `x` is 13.

use guests::{Answer, Block, DataType, Description, Failure, Scalar, Transform};

/// One fault.
pub struct WrongTextEnds;

impl Transform for WrongTextEnds {
    fn describe() -> Description {
        let mut description = guests::description("wrong-text-ends");
        description.outputs[0].data_type = DataType::One(Scalar::Text);
        description
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        answer.rows.floats.clear();
        answer.rows.text = vec![b'y'; rows.rows as usize];
        answer.rows.text_ends = (1..=rows.rows).collect();
        if guests::has_unlucky(rows) {
            answer.rows.text_ends.fill(u32::MAX);
        }
        Ok(answer)
    }
}

guests::export!(WrongTextEnds);
