//! What a version of a transform changes: its columns, and how far its answers differ on the same rows.

mod answers;
mod columns;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::report::Report;
use crate::error::Result;
use crate::transform::{Description, Transform};

pub use answers::{Difference, Example, Refusals};
pub use columns::Change;

/// From one version to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TransformDiff)]
pub struct Diff {
    /// `name@version` of the one it is compared with.
    pub against: String,
    /// Whether one of the changes is.
    pub breaking: bool,
    pub changes: Vec<Change>,
    /// Generated rows that both were run on.
    pub rows: usize,
    /// Of the outputs that both have with the same type, those that differ on one of the rows at least.
    pub outputs: Vec<Difference>,
    /// None where both refuse the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusals: Option<Refusals>,
    /// What somebody should look at before anybody uses this version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One side of a comparison: a transform, and the report of its admission.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub transform: &'a Transform,
    pub report: &'a Report,
}

/// Compares `new` with `old`, by what they declare and by what they answer to rows generated for the inputs that both
/// have. What only one of them takes is null there, or generated where it may not be null.
///
/// Nothing is refused for what is found. Where one fails on a row that its own admission did not try, that is a warning.
pub fn between(old: Side<'_>, new: Side<'_>) -> Result<Diff> {
    let (before, after) = (old.transform.description(), new.transform.description());
    let changes = columns::changes(before, after);
    let breaking = changes.iter().any(|change| change.breaking);
    let mut warnings: Vec<String> = unannounced(before, after, breaking).into_iter().collect();
    // As many as both bore in their own trials.
    let rows = old.report.rows.min(new.report.rows);
    let compared = match answers::compare(old.transform, new.transform, rows) {
        Ok(compared) => compared,
        Err(error @ crate::error::Error::Transform { .. }) => {
            warnings.push(format!("the answers could not be compared: {error}"));
            answers::Compared::default()
        }
        Err(error) => return Err(error),
    };
    Ok(Diff {
        against: format!("{}@{}", before.name, before.version),
        breaking,
        changes,
        rows: compared.rows,
        outputs: compared.outputs,
        refusals: compared.refusals,
        warnings,
    })
}

/// A warning for a breaking change under a version that promises none. As Cargo counts: from 1.0.0 on the first number
/// announces it, before that the second.
fn unannounced(before: &Description, after: &Description, breaking: bool) -> Option<String> {
    let (old, new) = (&before.version, &after.version);
    let promise = |version: &semver::Version| match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    };
    if !breaking || before.name != after.name || promise(old) != promise(new) {
        return None;
    }
    let next = match old.major.max(new.major) {
        0 => format!("0.{}.0", old.minor.max(new.minor) + 1),
        major => format!("{}.0.0", major + 1),
    };
    Some(format!(
        "{new} breaks what {old} promised, and its number does not say so: {next} would"
    ))
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compared with {}:", self.against)?;
        for Change { breaking, what } in &self.changes {
            let kind = if *breaking { "breaking" } else { "changed" };
            write!(f, "\n  {kind}: {what}")?;
        }
        for difference in &self.outputs {
            write!(f, "\n  {difference}")?;
        }
        if let Some(refusals) = &self.refusals {
            write!(f, "\n  {refusals}")?;
        }
        if self.rows > 0 && self.outputs.is_empty() && self.refusals.is_none() {
            write!(f, "\n  the same answers to {} rows", self.rows)?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.share;
        let share = match percent {
            _ if self.rows == 1 => "one row".to_owned(),
            ..0.1 => format!("{} rows", self.rows),
            ..10.0 => format!("{percent:.1} % of rows"),
            _ => format!("{percent:.0} % of rows"),
        };
        write!(f, "{} differs on {share}", self.output)?;
        if let Some(absolute) = self.largest_absolute {
            write!(f, ", by up to {absolute}")?;
        }
        if let Some(relative) = self.largest_relative {
            write!(f, " ({:.2} % of it)", 100.0 * relative)?;
        }
        let Example { row, old, new, .. } = &self.example;
        write!(f, "; {old} is now {new}")?;
        shown(f, row, &self.example.row_notes)
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusals {
            only_old, only_new, ..
        } = self;
        write!(
            f,
            "{only_new} rows are refused that were not, {only_old} no longer; \"{}\"",
            self.message
        )?;
        shown(f, &self.example, &[])
    }
}

/// The row of an example, unless it would fill the screen.
fn shown(f: &mut fmt::Formatter<'_>, row: &Value, notes: &[String]) -> fmt::Result {
    let text = row.to_string();
    if !row.is_null() && text.chars().count() <= 400 {
        write!(f, " on {text}")?;
        if !notes.is_empty() {
            write!(f, ", where {}", notes.join(", "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::admit;
    use crate::schema::Field;
    use crate::transform::guests::{Guest, field};
    use crate::transform::{Engine, Limits};

    fn load(
        engine: &Engine,
        version: &str,
        change: impl FnOnce(&mut Guest),
    ) -> (Transform, Report) {
        let fields = || vec![field("x", "f64", false), field("label", "text", false)];
        let mut guest = Guest {
            version: version.to_owned(),
            inputs: fields(),
            outputs: fields(),
            ..Guest::default()
        };
        change(&mut guest);
        let transform = engine.load(&guest.module()).unwrap();
        let report = admit(&transform).unwrap();
        (transform, report)
    }

    fn diff(old: &(Transform, Report), new: &(Transform, Report)) -> Diff {
        let side = |side: &'_ (Transform, Report)| -> (Transform, Report) { side.clone() };
        let (old, new) = (side(old), side(new));
        between(
            Side {
                transform: &old.0,
                report: &old.1,
            },
            Side {
                transform: &new.0,
                report: &new.1,
            },
        )
        .unwrap()
    }

    fn engine() -> Engine {
        let limits = Limits {
            instances: 8,
            ..Limits::default()
        };
        Engine::new(limits, None).unwrap()
    }

    /// Adds a half to each x over a hundred.
    const HALF: &str = "(local $i i32) (local $at i32)
        (loop $next
            (local.set $at (i32.add (local.get $floats) (i32.mul (i32.const 8) (local.get $i))))
            (if (f64.gt (f64.load (local.get $at)) (f64.const 100))
                (then (f64.store (local.get $at) (f64.add (f64.load (local.get $at)) (f64.const 0.5)))))
            (br_if $next (i32.lt_u
                (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                (local.get $rows))))";

    #[test]
    fn the_same_code_under_another_version_changes_nothing() {
        let engine = engine();
        let (old, new) = (
            load(&engine, "1.0.0", |_| {}),
            load(&engine, "1.0.1", |_| {}),
        );
        let found = diff(&old, &new);
        assert_eq!(
            found,
            Diff {
                against: "echo@1.0.0".to_owned(),
                breaking: false,
                changes: vec![],
                rows: 2_000,
                outputs: vec![],
                refusals: None,
                warnings: vec![],
            }
        );
        assert_eq!(
            found.to_string(),
            "compared with echo@1.0.0:\n  the same answers to 2000 rows"
        );
    }

    #[test]
    fn how_far_answers_differ_is_counted() {
        let engine = engine();
        let old = load(&engine, "1.0.0", |_| {});
        let new = load(&engine, "1.1.0", |guest| guest.transform = HALF);
        let found = diff(&old, &new);
        let [difference] = found.outputs.as_slice() else {
            panic!("{found}")
        };
        assert_eq!(difference.output, "x");
        // What is over a hundred and still feels a half; the label is as it was.
        assert!((0.05..0.5).contains(&difference.share), "{found}");
        assert_eq!(difference.rows as f64 / 2_000.0, difference.share);
        assert_eq!(difference.largest_absolute, Some(0.5));
        let relative = difference.largest_relative.unwrap();
        assert!(0.0 < relative && relative < 0.005, "{found}");
        let Example { row, old, new, .. } = &difference.example;
        assert_eq!(row["x"], *old);
        assert_eq!(new.as_f64().unwrap(), old.as_f64().unwrap() + 0.5);
        let text = found.to_string();
        assert!(
            text.contains("  x differs on ") && text.contains(" % of rows, by up to 0.5 ("),
            "{text}"
        );
    }

    /// What only one side takes is null there, or made up where it may not be; what both take is within both ranges.
    #[test]
    fn sides_with_other_columns_are_compared_by_what_they_share() {
        let engine = engine();
        let old = load(&engine, "0.1.0", |guest| {
            guest.inputs[0].maximum = Some(10.0);
            guest.outputs[0].maximum = Some(10.0);
        });
        let new = load(&engine, "0.1.1", |guest| {
            let x = Field {
                minimum: Some(-5.0),
                ..field("x", "f64", false)
            };
            let label = field("label", "text", false);
            let added = field("added", "f64", true);
            guest.inputs = vec![x.clone(), added.clone(), label.clone()];
            guest.outputs = vec![x, added, label];
        });
        let found = diff(&old, &new);
        let told: Vec<_> = found
            .changes
            .iter()
            .map(|change| (change.breaking, change.what.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    true,
                    "input \"x\" has the range -5 to inf, and had -inf to 10"
                ),
                (false, "input \"added\" is new and may be null"),
                (
                    true,
                    "output \"x\" has the range -5 to inf, and had -inf to 10"
                ),
                (false, "output \"added\" is new"),
            ]
        );
        assert_eq!((found.rows, found.outputs.as_slice()), (2_000, &[][..]));
        assert_eq!(
            found.warnings,
            ["0.1.1 breaks what 0.1.0 promised, and its number does not say so: 0.2.0 would"]
        );
        let back = diff(&new, &old);
        assert_eq!((back.rows, back.outputs.as_slice()), (2_000, &[][..]));
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Diff>(&text).unwrap(), found);
    }

    #[test]
    fn a_number_that_says_so_is_no_warning() {
        let engine = engine();
        let gone = |guest: &mut Guest| {
            guest.outputs.pop();
            guest.inputs.pop();
        };
        let old = load(&engine, "1.2.0", |_| {});
        for (version, warned) in [("1.3.0", true), ("1.2.1", true), ("2.0.0", false)] {
            let found = diff(&old, &load(&engine, version, gone));
            assert_eq!((found.breaking, !found.warnings.is_empty()), (true, warned));
        }
    }
}
