//! What changed of the columns, and whether a service or a model that used the old version can use the new one as it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{Field, Schema};
use crate::transform::Description;

/// One change of one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ColumnChange)]
pub struct Change {
    pub breaking: bool,
    /// In words: `input "carrier" is new and may not be null`.
    pub what: String,
}

/// The changes of inputs, then of outputs. Columns are known by their names, so their order and their docs are none, and
/// a column with another name is one gone and one new.
///
/// Breaking is what a service, or whoever reads its answers, would have to be changed for:
///
/// | of an input | breaking | of an output | breaking |
/// |---|---|---|---|
/// | new, may not be null | yes: nothing is bound to it | new | no |
/// | new, may be null | no | gone | yes |
/// | gone | yes: a service that binds it is refused | | |
/// | another type | yes | another type | yes |
/// | may no longer be null | yes | may be null now | yes |
/// | may be null now | no | is never null now | no |
/// | a tighter range | yes: rows are refused that were not | a wider range | yes |
/// | a wider range | no | a tighter range | no |
pub(super) fn changes(before: &Description, after: &Description) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut note = |breaking: bool, what: String| changes.push(Change { breaking, what });
    pairs(&before.inputs, &after.inputs, |name, old, new| {
        match (old, new) {
            (None, Some(new)) if new.nullable => {
                note(false, format!("input \"{name}\" is new and may be null"))
            }
            (None, Some(_)) => note(true, format!("input \"{name}\" is new and may not be null")),
            (Some(_), None) => note(true, format!("input \"{name}\" is gone")),
            (Some(old), Some(new)) => {
                same_column("input", old, new, &mut note);
                if old.nullable != new.nullable {
                    let what = if new.nullable {
                        "may be null now"
                    } else {
                        "may no longer be null"
                    };
                    note(!new.nullable, format!("input \"{name}\" {what}"));
                }
                range("input", old, new, |tighter| tighter, &mut note);
            }
            (None, None) => {}
        }
    });
    pairs(&before.outputs, &after.outputs, |name, old, new| {
        match (old, new) {
            (None, Some(_)) => note(false, format!("output \"{name}\" is new")),
            (Some(_), None) => note(true, format!("output \"{name}\" is gone")),
            (Some(old), Some(new)) => {
                same_column("output", old, new, &mut note);
                if old.nullable != new.nullable {
                    let what = if new.nullable {
                        "may be null now"
                    } else {
                        "is never null now"
                    };
                    note(new.nullable, format!("output \"{name}\" {what}"));
                }
                range("output", old, new, |tighter| !tighter, &mut note);
            }
            (None, None) => {}
        }
    });
    changes
}

/// Each name of the two schemas with its fields, the old one's order first.
fn pairs<'a>(
    before: &'a Schema,
    after: &'a Schema,
    mut see: impl FnMut(&'a str, Option<&'a Field>, Option<&'a Field>),
) {
    let find =
        |schema: &'a Schema, name: &str| schema.position(name).map(|index| schema.field(index));
    for field in before.fields() {
        see(&field.name, Some(field), find(after, &field.name));
    }
    for field in after.fields() {
        if before.position(&field.name).is_none() {
            see(&field.name, None, Some(field));
        }
    }
}

fn same_column(kind: &str, old: &Field, new: &Field, note: &mut impl FnMut(bool, String)) {
    if old.data_type != new.data_type {
        note(
            true,
            format!(
                "{kind} \"{}\" is {}, and was {}",
                new.name, new.data_type, old.data_type
            ),
        );
    }
}

/// Notes another range: one that allows less is tighter, any other wider, at one of its ends at least.
fn range(
    kind: &str,
    old: &Field,
    new: &Field,
    breaks: impl Fn(bool) -> bool,
    note: &mut impl FnMut(bool, String),
) {
    if (old.minimum, old.maximum) == (new.minimum, new.maximum) {
        return;
    }
    let low = |field: &Field| field.minimum.unwrap_or(f64::NEG_INFINITY);
    let high = |field: &Field| field.maximum.unwrap_or(f64::INFINITY);
    // Without a range there may be NaN.
    let tighter = low(new) > low(old) || high(new) < high(old) || !old.is_ranged();
    let wider = low(new) < low(old) || high(new) > high(old) || !new.is_ranged();
    let breaking = tighter && breaks(true) || wider && breaks(false);
    note(
        breaking,
        format!(
            "{kind} \"{}\" has the range {}, and had {}",
            new.name,
            shown(new),
            shown(old)
        ),
    );
}

fn shown(field: &Field) -> String {
    match field.is_ranged() {
        true => field.range_text(),
        false => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::guests::field;

    fn description(inputs: Vec<Field>, outputs: Vec<Field>) -> Description {
        Description {
            name: "a".to_owned(),
            version: semver::Version::new(1, 0, 0),
            doc: String::new(),
            inputs: Schema::new(inputs),
            outputs: Schema::new(outputs),
            provenance: Vec::new(),
        }
    }

    fn ranged(minimum: Option<f64>, maximum: Option<f64>) -> Field {
        Field {
            minimum,
            maximum,
            ..field("x", "f64", false)
        }
    }

    /// The changes of a column as an input and as an output, each with whether it breaks.
    fn of(old: Option<Field>, new: Option<Field>) -> [Vec<(bool, String)>; 2] {
        let list = |field: &Option<Field>| field.iter().cloned().collect::<Vec<_>>();
        let told = |before: Description, after: Description| {
            changes(&before, &after)
                .into_iter()
                .map(|change| (change.breaking, change.what))
                .collect()
        };
        [
            told(
                description(list(&old), vec![]),
                description(list(&new), vec![]),
            ),
            told(
                description(vec![], list(&old)),
                description(vec![], list(&new)),
            ),
        ]
    }

    #[track_caller]
    fn is(found: [Vec<(bool, String)>; 2], input: (bool, &str), output: (bool, &str)) {
        for (found, (breaking, what)) in found.into_iter().zip([input, output]) {
            assert_eq!(found, [(breaking, what.to_owned())]);
        }
    }

    #[test]
    fn each_rule_of_the_table() {
        let plain = || Some(field("x", "f64", false));
        let nullable = || Some(field("x", "f64", true));
        is(
            of(None, plain()),
            (true, "input \"x\" is new and may not be null"),
            (false, "output \"x\" is new"),
        );
        is(
            of(None, nullable()),
            (false, "input \"x\" is new and may be null"),
            (false, "output \"x\" is new"),
        );
        is(
            of(nullable(), None),
            (true, "input \"x\" is gone"),
            (true, "output \"x\" is gone"),
        );
        is(
            of(plain(), Some(field("x", "list<f64>", false))),
            (true, "input \"x\" is list<f64>, and was f64"),
            (true, "output \"x\" is list<f64>, and was f64"),
        );
        is(
            of(plain(), nullable()),
            (false, "input \"x\" may be null now"),
            (true, "output \"x\" may be null now"),
        );
        is(
            of(nullable(), plain()),
            (true, "input \"x\" may no longer be null"),
            (false, "output \"x\" is never null now"),
        );
    }

    #[test]
    fn a_range_breaks_for_who_gives_or_for_who_takes() {
        let wide = || Some(ranged(Some(0.0), None));
        let tight = || Some(ranged(Some(0.0), Some(9.5)));
        is(
            of(wide(), tight()),
            (true, "input \"x\" has the range 0 to 9.5, and had 0 to inf"),
            (
                false,
                "output \"x\" has the range 0 to 9.5, and had 0 to inf",
            ),
        );
        is(
            of(tight(), wide()),
            (
                false,
                "input \"x\" has the range 0 to inf, and had 0 to 9.5",
            ),
            (
                true,
                "output \"x\" has the range 0 to inf, and had 0 to 9.5",
            ),
        );
        is(
            of(Some(ranged(None, None)), wide()),
            (true, "input \"x\" has the range 0 to inf, and had none"),
            (false, "output \"x\" has the range 0 to inf, and had none"),
        );
        // Neither tighter nor wider.
        is(
            of(tight(), Some(ranged(Some(1.0), Some(10.0)))),
            (true, "input \"x\" has the range 1 to 10, and had 0 to 9.5"),
            (true, "output \"x\" has the range 1 to 10, and had 0 to 9.5"),
        );
    }

    #[test]
    fn order_and_docs_are_no_change() {
        let mut told = field("b", "text", false);
        told.doc = "Told otherwise.".to_owned();
        let one = description(
            vec![field("a", "f64", false), field("b", "text", false)],
            vec![],
        );
        let other = description(vec![told, field("a", "f64", false)], vec![]);
        assert_eq!(changes(&one, &other), []);
    }
}
