//! The bar of work on a file's rows.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Of so many rows, where that is known. `what` is done with them: "scoring with trips@1".
pub fn of_rows(rows: Option<u64>, what: &str) -> Result<ProgressBar> {
    let (bar, template) = match rows {
        Some(rows) => (
            ProgressBar::new(rows),
            "{msg} {wide_bar} {human_pos} of {human_len} rows  {per_sec}  {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{msg} {spinner} {human_pos} rows  {per_sec}",
        ),
    };
    bar.set_style(ProgressStyle::with_template(template)?);
    bar.set_message(what.to_owned());
    Ok(bar)
}
