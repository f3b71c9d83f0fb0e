//! Gives text that is not UTF-8 when `x` is 13.

use guests::{Answer, Block, DataType, Description, Failure, Scalar, Transform};

/// One fault.
pub struct InvalidUtf8;

impl Transform for InvalidUtf8 {
    fn describe() -> Description {
        let mut description = guests::description("invalid-utf8");
        description.outputs[0].data_type = DataType::One(Scalar::Text);
        description
    }

    fn transform(rows: &Block) -> Result<Answer, Failure> {
        let mut answer = guests::answer(rows);
        answer.rows.floats.clear();
        answer.rows.text = vec![
            if guests::has_unlucky(rows) {
                0xff
            } else {
                b'y'
            };
            rows.rows as usize
        ];
        answer.rows.text_ends = (1..=rows.rows).collect();
        Ok(answer)
    }
}

guests::export!(InvalidUtf8);
