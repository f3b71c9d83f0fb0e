//! What a transform says of itself, before and after it is believed.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::contract::WireDescription;
use crate::schema::{DataType, Field, Scalar, Schema};

const MAX_NAME: usize = 64;
const MAX_COLUMNS: usize = 1_000;
const MAX_COLUMN_NAME: usize = 128;
const MAX_DOC: usize = 10_000;
pub(super) const MAX_PROVENANCE: usize = 64;
const MAX_PROVENANCE_TEXT: usize = 1_000;

/// A transform's own words, checked: see [`Description::check`] for what they keep to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TransformDescription)]
pub struct Description {
    pub name: String,
    #[schema(value_type = String)]
    pub version: semver::Version,
    pub doc: String,
    #[schema(value_type = Vec<Field>)]
    pub inputs: Schema,
    #[schema(value_type = Vec<Field>)]
    pub outputs: Schema,
    /// What made the component: `crate`, `sdk`, `rustc`, `commit`, … in one list, whether its code says so or its section
    /// [`super::sections::PROVENANCE`]. Free of meaning here.
    #[schema(value_type = Vec<Vec<String>>)]
    pub provenance: Vec<(String, String)>,
}

impl Description {
    /// Believes what a guest said if the name is lower-case letters, digits and hyphens, a letter first, 64 at most; the
    /// version is a semantic one; there is at least one input and one output, 1,000 columns at most in all; no name is
    /// empty or said twice; ranges stand on numbers only, low end first; and no text is beyond measure
    /// or has control characters. Else says in one
    /// sentence what is wrong.
    pub(super) fn check(said: WireDescription) -> Result<Description, String> {
        check_name(&said.name)?;
        let version = semver::Version::parse(&said.version).map_err(|error| {
            format!(
                "its version \"{}\" is no semantic version: {error}",
                brief(&said.version)
            )
        })?;
        check_doc("doc", &said.doc)?;
        let columns = said.inputs.len() + said.outputs.len();
        if columns > MAX_COLUMNS {
            return Err(format!(
                "it has {columns} columns, over the limit of {MAX_COLUMNS}"
            ));
        }
        let inputs: Vec<Field> = said.inputs.into_iter().map(Field::from).collect();
        let outputs: Vec<Field> = said.outputs.into_iter().map(Field::from).collect();
        check_fields("input", &inputs)?;
        check_fields("output", &outputs)?;
        if said.provenance.len() > MAX_PROVENANCE {
            return Err(format!(
                "its provenance has {} entries, over {MAX_PROVENANCE}",
                said.provenance.len()
            ));
        }
        for (key, value) in &said.provenance {
            check_pair(key, value)?;
        }
        Ok(Description {
            name: said.name,
            version,
            doc: said.doc,
            inputs: Schema::new(inputs),
            outputs: Schema::new(outputs),
            provenance: said.provenance,
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if starts && name.chars().all(allowed) && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(format!(
        "its name \"{}\" is not lower-case letters, digits and hyphens, beginning with a letter, {MAX_NAME} at most",
        brief(name)
    ))
}

fn check_fields(kind: &str, fields: &[Field]) -> Result<(), String> {
    if fields.is_empty() {
        return Err(format!("it has no {kind}"));
    }
    let mut seen = HashSet::new();
    for field in fields {
        let name = brief(&field.name);
        if field.name.is_empty() {
            return Err(format!("an {kind} has an empty name"));
        }
        if field.name.chars().count() > MAX_COLUMN_NAME || field.name.chars().any(is_unseen) {
            return Err(format!(
                "the {kind} \"{name}\" has a name over {MAX_COLUMN_NAME} characters or with control characters"
            ));
        }
        if !seen.insert(field.name.as_str()) {
            return Err(format!("two of its {kind}s are named \"{name}\""));
        }
        check_doc(&field.name, &field.doc)?;
        check_range(kind, field)?;
    }
    Ok(())
}

fn check_range(kind: &str, field: &Field) -> Result<(), String> {
    let ends = [field.minimum, field.maximum];
    let say = |what: &str| Err(format!("the {kind} \"{}\" {what}", field.name));
    if ends == [None, None] {
        return Ok(());
    }
    let (DataType::One(scalar) | DataType::Many(scalar)) = field.data_type;
    if !matches!(scalar, Scalar::Integer | Scalar::Float) {
        return say(&format!(
            "is {} and has a range; only i64 and f64 may",
            field.data_type
        ));
    }
    if ends.iter().flatten().any(|end| !end.is_finite()) {
        return say("has a range whose end is no finite number");
    }
    match (field.minimum, field.maximum) {
        (Some(low), Some(high)) if low > high => {
            say(&format!("has a minimum {low} over its maximum {high}"))
        }
        _ => Ok(()),
    }
}

/// A pair of a provenance: short, and nothing in it that moves a terminal's cursor.
pub(super) fn check_pair(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("its provenance has an empty key".to_owned());
    }
    for text in [key, value] {
        bounded("provenance", text, MAX_PROVENANCE_TEXT)?;
        if text.chars().any(is_unseen) {
            return Err("its provenance has control characters".to_owned());
        }
    }
    Ok(())
}

/// A docstring may have lines and tabs.
fn check_doc(what: &str, doc: &str) -> Result<(), String> {
    bounded(what, doc, MAX_DOC)?;
    if doc
        .chars()
        .any(|c| is_unseen(c) && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(format!(
            "the text of \"{}\" has control characters",
            brief(what)
        ));
    }
    Ok(())
}

/// Control characters, and those that turn the direction of what follows: what is read should be what is there.
fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn bounded(what: &str, text: &str, limit: usize) -> Result<(), String> {
    if text.len() > limit {
        return Err(format!(
            "the text of \"{}\" is over {limit} bytes",
            brief(what)
        ));
    }
    Ok(())
}

/// The beginning of a text that may be of any length.
fn brief(text: &str) -> String {
    text.chars().take(MAX_COLUMN_NAME).collect()
}
