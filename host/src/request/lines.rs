//! Rows of NDJSON, each line for itself: one that does not fit costs its neighbours nothing.

use std::fmt::Write as _;

use serde::de::DeserializeSeed;

use super::{Limits, Row, State};
use crate::block::Block;
use crate::error::Error;
use crate::schema::Schema;

/// Decodes the row each line holds. `first` is the number of the first row, for paths such as `rows[3].departed`.
///
/// Answers the rows that fit, and of each other line its place among `lines` and what is wrong with it.
pub fn decode_lines<'l>(
    schema: &Schema,
    lines: impl IntoIterator<Item = &'l [u8]>,
    first: u64,
    limits: Limits<'_>,
) -> (Block, Vec<(usize, Error)>) {
    let mut state = State::new(schema, limits);
    let mut refused = Vec::new();
    for (at, line) in lines.into_iter().enumerate() {
        let before = state.rows.rows();
        state.begin_line(first + at as u64);
        let mut json = serde_json::Deserializer::from_slice(line);
        let outcome = Row { state: &mut state }
            .deserialize(&mut json)
            .and_then(|()| json.end());
        let outcome = match outcome {
            Ok(()) => state.complete(|_| false, |_| state.path.clone()),
            Err(error) => Err(state.refused.take().unwrap_or_else(|| {
                Error::invalid(state.path.as_str(), format!("not JSON: {error}"))
            })),
        };
        if let Err(error) = outcome {
            if state.rows.rows() > before {
                state.rows.drop_row();
            }
            refused.push((at, error));
        }
    }
    (state.rows.finish(), refused)
}

impl State<'_> {
    /// Forgets what earlier lines had and lacked.
    fn begin_line(&mut self, row: u64) {
        self.read = 0;
        self.given.fill(None);
        self.missing.fill(None);
        self.path.clear();
        let _ = write!(self.path, "rows[{row}]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::RowsBuilder;
    use crate::block::samples::schema;
    use crate::request::decode_row;

    #[test]
    fn a_line_that_does_not_fit_leaves_nothing_behind() {
        let schema = schema(&[
            ("a", "f64", false),
            ("b", "text", true),
            ("c", "list<text>", true),
            ("d", "i64", false),
        ]);
        let good = [
            br#"{"a":1,"b":"x","c":["p","q"],"d":7}"#.as_slice(),
            br#"{"d":8,"a":2.5}"#,
            br#"{"a":3,"c":[],"d":9}"#,
        ];
        let bad: [(&[u8], &str); 6] = [
            (
                br#"{"a":1,"b":"stays","c":["stays","#,
                "rows[6].c[1]: not JSON",
            ),
            (br#"{"b":"stays","c":["stays"],"a":"far"}"#, "rows[7].a: "),
            (br#"{"a":1,"b":"stays"}"#, "rows[8].d: missing"),
            (br#"[1]"#, "rows[9]: an object belongs here"),
            (
                br#"{"a":1,"d":2},{"a":1,"d":2}"#,
                "rows[10]: not JSON: trailing",
            ),
            (b"\xff", "rows[11]: not JSON"),
        ];
        let lines = [good[0]]
            .into_iter()
            .chain(bad.map(|(line, _)| line))
            .chain([good[1], good[2]]);
        let limits = Limits {
            rows: usize::MAX,
            ignore_unknown: false,
            defaults: None,
        };
        let (block, refused) = decode_lines(&schema, lines, 5, limits);

        let mut alone = RowsBuilder::new(&schema);
        for line in good {
            decode_row(&schema, line, 1, &mut alone).unwrap();
        }
        assert_eq!(block.first_difference(&alone.finish(), &schema), None);
        assert_eq!(refused.len(), bad.len());
        for ((at, error), (nth, (_, expected))) in refused.iter().zip(bad.iter().enumerate()) {
            assert_eq!(*at, nth + 1);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
