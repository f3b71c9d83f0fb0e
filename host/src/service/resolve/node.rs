//! A look-up, a transform or the model: what it waits for, and the step it becomes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Parts;
use super::known::Known;
use crate::error::listed;
use crate::model::{self, LoadedModel};
use crate::request::Declared;
use crate::schema::{Field, Schema};
use crate::service::{
    Definition, LookUp, LookUpDefinition, OnFailure, Step, StepKind, TransformDefinition,
};
use crate::span::Span;
use crate::store::{ViewRows, key};
use crate::transform::Transform;
use crate::view::View;

/// A look-up, a transform or the model, not yet placed.
pub enum Node<'a> {
    LookUp {
        alias: &'a str,
        definition: &'a LookUpDefinition,
        view: &'a Arc<View>,
        rows: &'a Arc<dyn ViewRows>,
    },
    Transform {
        alias: &'a str,
        definition: &'a TransformDefinition,
        transform: &'a Transform,
    },
    /// What the model gives is a step's columns as well, `model.…`: a transform after it takes them like any others.
    Model {
        features: &'a [String],
        model: &'a Arc<LoadedModel>,
    },
}

/// The name the model's outputs go by.
const MODEL: &str = "model";

impl Node<'_> {
    pub fn alias(&self) -> &str {
        match self {
            Node::LookUp { alias, .. } | Node::Transform { alias, .. } => alias,
            Node::Model { .. } => MODEL,
        }
    }

    /// The columns its users see. A looked-up column may always be null: the row may not be there.
    fn columns(&self) -> Schema {
        match self {
            Node::LookUp { view, .. } => view.looked_up(),
            Node::Transform { transform, .. } => transform.description().outputs.clone(),
            Node::Model { model, .. } => model::columns(model.engine.outputs()),
        }
    }

    /// Whether everything it names is known, or is known nowhere (which `step` then says). An unbound input waits for
    /// every node that has a column of its name, so that an ambiguity is seen whatever the order.
    pub fn ready(&self, known: &Known, open: &[&Node]) -> bool {
        let waits_for = |name: &str| match name.split_once('.') {
            Some((alias, _)) => open.iter().any(|node| node.alias() == alias),
            None => false,
        };
        match self {
            Node::LookUp { definition, .. } => !definition.key.iter().any(|name| waits_for(name)),
            Node::Model { features, .. } => !features.iter().any(|name| waits_for(name)),
            Node::Transform {
                alias,
                definition,
                transform,
            } => transform.description().inputs.fields().iter().all(|input| {
                match definition.bind.get(&input.name) {
                    Some(name) => !waits_for(name),
                    None if known.sources[0].1.position(&input.name).is_some() => true,
                    None => !open.iter().any(|node| {
                        node.alias() != *alias && node.columns().position(&input.name).is_some()
                    }),
                }
            }),
        }
    }

    pub fn step(&self, known: &Known) -> Result<Step, String> {
        let columns = self.columns();
        let alias = self.alias().to_owned();
        match self {
            Node::LookUp {
                definition,
                view,
                rows,
                ..
            } => {
                let here = |reason| format!("look-up \"{alias}\": {reason}");
                if definition.key.len() != view.key.len() {
                    let reason = format!(
                        "view \"{}\" has the key ({})",
                        view.name,
                        view.key.join(", ")
                    );
                    return Err(here(format!(
                        "{reason}, but {} is given",
                        definition.key.join(", ")
                    )));
                }
                let mut inputs = Vec::new();
                let mut key = Vec::new();
                for (name, column) in definition.key.iter().zip(&view.key) {
                    let (place, field) = known
                        .find(name)
                        .map_err(|reason| here(format!("key \"{name}\": {reason}")))?;
                    let wanted = view
                        .columns
                        .position(column)
                        .map(|index| view.columns.field(index).data_type);
                    if wanted != Some(field.data_type) {
                        let wanted = wanted.map_or_else(String::new, |wanted| wanted.to_string());
                        let found = field.data_type;
                        return Err(here(format!(
                            "key \"{name}\" is {found}, but the view's \"{column}\" is {wanted}"
                        )));
                    }
                    key.push(key::Part::at(place.slot));
                    inputs.push(place);
                }
                let max_age = definition.max_age.map(Span::micros);
                let default = declared(&columns, &definition.default).map_err(here)?;
                let columns = match &default {
                    None => columns,
                    Some(default) => never_null(&view.columns, &columns, default),
                };
                // The row of defaults lies as the columns do, of which some are never null now.
                let default = match default {
                    None => None,
                    Some(_) => declared(&columns, &definition.default).map_err(here)?,
                };
                let lookup = LookUp {
                    view: (*view).clone(),
                    rows: (*rows).clone(),
                    key,
                    max_age,
                    timeout: definition.timeout.map(|span| span.0),
                    may_fail: definition.on_failure == OnFailure::Absent,
                };
                Ok(Step {
                    alias,
                    kind: StepKind::LookUp(lookup),
                    inputs,
                    columns,
                    default,
                    dated: max_age.is_some() || view.event_time.is_some(),
                })
            }
            Node::Transform {
                definition,
                transform,
                ..
            } => {
                let wanted = &transform.description().inputs;
                if let Some(name) = definition
                    .bind
                    .keys()
                    .find(|name| wanted.position(name).is_none())
                {
                    let names = listed("input", &wanted.names());
                    return Err(format!(
                        "transform \"{alias}\" has no input \"{name}\" to bind; {names}"
                    ));
                }
                let mut inputs = Vec::new();
                for input in wanted.fields() {
                    let here = |reason| {
                        format!("transform \"{alias}\", input \"{}\": {reason}", input.name)
                    };
                    let name = match definition.bind.get(&input.name) {
                        Some(name) => name.clone(),
                        None => known.by_name(&input.name).map_err(here)?,
                    };
                    let (place, field) = known.find(&name).map_err(here)?;
                    if field.data_type != input.data_type {
                        return Err(here(format!(
                            "it is {}, but {name} is {}",
                            input.data_type, field.data_type
                        )));
                    }
                    if field.nullable && !input.nullable {
                        return Err(here(format!(
                            "it may not be null, but {name} may; make the input an Option, or give it something that is \
                             never null"
                        )));
                    }
                    inputs.push(place);
                }
                let default = declared(&columns, &definition.default)
                    .and_then(|default| covers(&columns, default))
                    .map_err(|reason| format!("transform \"{alias}\": {reason}"))?;
                Ok(Step {
                    alias,
                    kind: StepKind::Transform((*transform).clone()),
                    inputs,
                    columns,
                    default,
                    dated: false,
                })
            }
            Node::Model { features, model } => {
                let vector = super::vector(features, known)?;
                model.check_features(&vector.schema)?;
                Ok(Step {
                    alias,
                    kind: StepKind::Model((*model).clone()),
                    inputs: vector.places,
                    columns,
                    default: None,
                    dated: false,
                })
            }
        }
    }
}

fn declared(
    columns: &Schema,
    values: &serde_json::Map<String, serde_json::Value>,
) -> Result<Option<Declared>, String> {
    if values.is_empty() {
        return Ok(None);
    }
    Declared::read(columns, values).map(Some)
}

/// A looked-up column that the view never holds null, and that has a default, is never null.
fn never_null(view: &Schema, columns: &Schema, default: &Declared) -> Schema {
    let fields = columns
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| Field {
            nullable: view.field(at).nullable || !default.covered[at],
            ..field.clone()
        });
    Schema::new(fields.collect())
}

/// Defaults for a transform's outputs stand for a whole row: those that are never null are all there.
fn covers(columns: &Schema, default: Option<Declared>) -> Result<Option<Declared>, String> {
    let Some(declared) = &default else {
        return Ok(None);
    };
    let fields = columns.fields().iter().zip(&declared.covered);
    match fields
        .into_iter()
        .find(|(field, covered)| !field.nullable && !**covered)
    {
        Some((field, _)) => Err(format!(
            "output \"{}\" is never null and has no default beside the others; give it one",
            field.name
        )),
        None => Ok(default),
    }
}

/// The look-ups, transforms and model of a definition, in its order.
pub fn nodes<'a>(
    definition: &'a Definition,
    parts: &'a Parts,
    features: Option<&'a [String]>,
) -> Result<Vec<Node<'a>>, String> {
    let lookups = definition
        .lookups
        .iter()
        .zip(&parts.views)
        .map(|(definition, (view, rows))| Node::LookUp {
            alias: definition.alias.as_deref().unwrap_or(&view.name),
            definition,
            view,
            rows,
        });
    let transforms =
        definition
            .transforms
            .iter()
            .zip(&parts.transforms)
            .map(|(definition, transform)| Node::Transform {
                alias: definition
                    .alias
                    .as_deref()
                    .unwrap_or(&transform.name().name),
                definition,
                transform,
            });
    let model = parts.model.iter().map(|model| Node::Model {
        features: features.unwrap_or_default(),
        model,
    });
    let nodes: Vec<Node> = lookups.chain(transforms).chain(model).collect();
    let mut seen = BTreeSet::new();
    for node in &nodes {
        if node.alias().is_empty() || node.alias().contains('.') {
            return Err(format!(
                "\"{}\" cannot be a name: it is empty or has a dot",
                node.alias()
            ));
        }
        if !seen.insert(node.alias()) {
            return Err(format!(
                "two look-ups, transforms or models are named \"{}\"; give one another name with `as`",
                node.alias()
            ));
        }
    }
    Ok(nodes)
}
