//! Whether answers are what the OpenAPI document says: every answer that a test gets is held against it.
//!
//! It knows as much of JSON Schema as the document uses, and is stricter in one thing: an object whose members are listed
//! has no others.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::text;

/// Panics where an operation of the document answered with a status, a content type or a body that is not there.
pub fn check(method: &str, target: &str, status: u16, content_type: &str, body: &str) {
    let path = target.split('?').next().unwrap_or(target);
    let Some(operation) = operation(path).and_then(|item| item.get(&method.to_lowercase())) else {
        return;
    };
    let asked = format!("{method} {target} → {status}");
    let response = &operation["responses"][status.to_string()];
    let response = match response["$ref"].as_str() {
        Some(name) => {
            &document()["components"]["responses"][name.rsplit('/').next().unwrap_or(name)]
        }
        None => response,
    };
    let Some(response) = response.as_object() else {
        panic!("{asked}: the document does not have the status: {body}");
    };
    let media = content_type.split(';').next().unwrap_or("").trim();
    let content = &response["content"][media];
    assert!(
        content.is_object(),
        "{asked}: the document does not have the content type \"{content_type}\""
    );
    let documents: Vec<&str> = match media {
        "application/json" | "application/problem+json" => vec![body],
        "application/x-ndjson" => body.lines().collect(),
        _ => return,
    };
    for text in documents {
        let value: Value = serde_json::from_str(text).expect(&asked);
        if let Err(reason) = conforms(&content["schema"], &value, "answer") {
            panic!("{asked}: {reason}: {text:.2000}");
        }
    }
}

pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        serde_json::from_str(&text("host/openapi.json")).expect("host/openapi.json")
    })
}

/// The operations at a path; a part that is named goes before a parameter.
fn operation(path: &str) -> Option<&'static Map<String, Value>> {
    let parts: Vec<&str> = path.split('/').collect();
    let is_parameter = |part: &str| part.starts_with('{');
    let fits = |route: &str| {
        let route: Vec<&str> = route.split('/').collect();
        let mut pairs = route.iter().zip(&parts);
        route.len() == parts.len()
            && pairs.all(|(route, part)| route == part || is_parameter(route) && !part.is_empty())
    };
    let routes = document()["paths"].as_object()?.iter();
    let found = routes.filter(|(route, _)| fits(route));
    let best = found.min_by_key(|(route, _)| route.matches('{').count());
    best.and_then(|(_, item)| item.as_object())
}

fn conforms(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let (Some(known), Value::Object(object)) = (members(schema, value, place)?, value) else {
        return Ok(());
    };
    match object.keys().find(|name| !known.contains(name.as_str())) {
        Some(name) => Err(format!("{place}.{name} is not in the document")),
        None => Ok(()),
    }
}

/// The members that the schema knows of an object that conforms to it; None where it may have any.
fn members<'d>(
    schema: &'d Value,
    value: &Value,
    place: &str,
) -> Result<Option<BTreeSet<&'d str>>, String> {
    let schema = schema.as_object().expect("a schema is an object");
    if let Some(name) = schema.get("$ref") {
        let pointer = name.as_str().expect("a reference").trim_start_matches('#');
        return members(document().pointer(pointer).expect(pointer), value, place);
    }
    let mut known: Option<BTreeSet<&str>> = None;
    let mut knows = |found: Option<BTreeSet<&'d str>>| {
        if let Some(found) = found {
            known.get_or_insert_default().extend(found);
        }
    };
    for (keyword, said) in schema {
        match keyword.as_str() {
            "type" => typed(said, value, place)?,
            "enum" => {
                let all = said.as_array().expect("a list");
                if !all.contains(value) {
                    return Err(format!("{place} is {value}, and none of {said}"));
                }
            }
            "minimum" if value.as_f64() < said.as_f64() && value.is_number() => {
                return Err(format!("{place} is {value}, under {said}"));
            }
            "required" => {
                for name in said.as_array().expect("a list") {
                    let name = name.as_str().expect("a name");
                    if value.is_object() && value.get(name).is_none() {
                        return Err(format!("{place}.{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in said.as_object().expect("an object") {
                    knows(Some([name.as_str()].into()));
                    if let Some(value) = value.get(name) {
                        conforms(schema, value, &format!("{place}.{name}"))?;
                    }
                }
            }
            "additionalProperties" if said.is_object() => {
                let named = schema.get("properties");
                for (name, value) in value.as_object().into_iter().flatten() {
                    if named.is_none_or(|named| named.get(name).is_none()) {
                        conforms(said, value, &format!("{place}.{name}"))?;
                    }
                }
            }
            "items" => {
                for (at, value) in value.as_array().into_iter().flatten().enumerate() {
                    conforms(said, value, &format!("{place}[{at}]"))?;
                }
            }
            "allOf" => {
                for schema in said.as_array().expect("a list") {
                    knows(members(schema, value, place)?);
                }
            }
            "oneOf" | "anyOf" => {
                let all = said.as_array().expect("a list").iter();
                let found = all.map(|schema| members(schema, value, place));
                let (fit, rest): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
                if fit.is_empty() || keyword == "oneOf" && fit.len() > 1 {
                    let reasons: Vec<String> = rest.into_iter().filter_map(Result::err).collect();
                    let count = fit.len();
                    return Err(format!(
                        "{place} is {count} of those it may be; {reasons:?}"
                    ));
                }
                fit.into_iter().flatten().for_each(&mut knows);
            }
            "additionalProperties"
            | "default"
            | "description"
            | "discriminator"
            | "format"
            | "minimum"
            | "maximum"
            | "minItems"
            | "pattern"
            | "title"
            | "example"
            | "propertyNames" => {}
            other => panic!("{place}: the document says {other}, which is not known here"),
        }
    }
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => Ok(known),
        Some(_) => Ok(None),
    }
}

fn typed(said: &Value, value: &Value, place: &str) -> Result<(), String> {
    let is = |name: &Value| match name.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    };
    let fits = match said {
        Value::Array(any) => any.iter().any(is),
        one => is(one),
    };
    match fits {
        true => Ok(()),
        false => Err(format!("{place} is {value}, and no {said}")),
    }
}
