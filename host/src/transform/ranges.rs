//! Rows that a transform never sees: those with a number outside the range that it declares for an input.
//!
//! A transform is admitted on rows within its ranges, so no other may reach it, wherever a row comes from: a request, a
//! view, or another transform. Such a row is refused alone, in the transform's name, the same online and offline.

use super::{Answer, Refusal, Transform};
use crate::block::Block;
use crate::error::Result;

impl Transform {
    /// Calls with the rows within the ranges, and refuses the others.
    pub(super) fn within_ranges(
        &self,
        rows: &Block,
        call: impl Fn(&Block) -> Result<Answer>,
    ) -> Result<Answer> {
        let (inputs, outputs) = (&self.0.description.inputs, &self.0.description.outputs);
        if rows.first_out_of_range(inputs).is_none() {
            return call(rows);
        }
        let mut refusals = Vec::new();
        let mut good = Vec::new();
        for row in 0..rows.rows() {
            let outside = (0..inputs.len())
                .find_map(|index| Some((index, rows.outside(inputs, index, row)?)));
            match outside {
                None => good.push(row),
                Some((index, value)) => {
                    let field = inputs.field(index);
                    let message = format!(
                        "\"{}\" is {value}, outside its range {}",
                        field.name,
                        field.range_text()
                    );
                    refusals.push(Refusal { row, message });
                }
            }
        }
        let mut answer = match good.is_empty() {
            true => Answer {
                rows: Block::nulls(outputs, 0),
                ..Answer::default()
            },
            false => call(&rows.permuted(inputs, &good))?,
        };
        // Each row is one of those answered, or the null row behind them.
        let mut places = vec![good.len(); rows.rows()];
        for (place, &row) in good.iter().enumerate() {
            places[row] = place;
        }
        let answered = Block::concat(outputs, &[answer.rows, Block::nulls(outputs, 1)]);
        answer.rows = answered.permuted(outputs, &places);
        for refusal in &mut answer.refusals {
            refusal.row = good[refusal.row];
        }
        answer.refusals.append(&mut refusals);
        answer.refusals.sort_by_key(|refusal| refusal.row);
        Ok(answer)
    }
}
