//! Telling the rows at which a transform fails from their neighbours.

use std::ops::Range;
use std::sync::Arc;

use super::Answer;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::schema::Schema;

/// A call's rows in parts, in order: what was answered, or of rows that failed why.
pub type Parts = Vec<(Range<usize>, Result<Answer, Arc<Error>>)>;

/// Finds the rows at fault by calling for halves, for a row's answer depends on the row alone. Once `most` of them are
/// found, the rest counts as failing too.
pub fn apart(
    inputs: &Schema,
    call: impl Fn(&Block) -> Result<Answer>,
    block: &Block,
    error: Error,
    most: usize,
) -> Parts {
    let mut parts = Parts::new();
    let mut faults = 0;
    let mut last = Arc::new(error);
    // Ranges still to be called, the first on top; the first of all has failed whole.
    let mut open = match block.rows() {
        rows @ (0 | 1) => return vec![(0..rows, Err(last))],
        rows => vec![rows / 2..rows, 0..rows / 2],
    };
    while let Some(range) = open.pop() {
        if faults == most {
            parts.push((range, Err(last.clone())));
            continue;
        }
        match call(&block.slice(inputs, range.clone())) {
            Ok(answer) => parts.push((range, Ok(answer))),
            Err(error) if range.len() == 1 => {
                faults += 1;
                last = Arc::new(error);
                parts.push((range, Err(last.clone())));
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::samples::schema;

    /// Whatever fails for no rows has no halves to call for.
    #[test]
    fn what_fails_for_no_rows_or_one_is_not_halved() {
        let inputs = schema(&[("x", "f64", true)]);
        let fails = || Error::Internal("always".to_owned());
        for rows in [0, 1] {
            let call = |_: &Block| -> Result<Answer> { panic!("nothing is left to call for") };
            let parts = apart(&inputs, call, &Block::nulls(&inputs, rows), fails(), 16);
            let [(range, Err(error))] = &parts[..] else {
                panic!("one part, which failed");
            };
            assert_eq!(
                (range, error.to_string()),
                (&(0..rows), fails().to_string())
            );
        }
    }
}
