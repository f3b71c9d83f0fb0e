//! From a definition to a plan: every name found, every type checked, the steps put in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Place, Plan, PlannedModel};
use super::{Definition, LookUp, LookUpDefinition, Step, StepKind, TransformDefinition, Vector};
use crate::error::{Error, Result, listed};
use crate::model::LoadedModel;
use crate::schema::{DataType, Field, Scalar, Schema};
use crate::store::{ViewRows, key};
use crate::transform::Transform;
use crate::view::View;

/// What the definition's names stand for, in its order.
pub struct Parts {
    pub views: Vec<(Arc<View>, Arc<dyn ViewRows>)>,
    pub transforms: Vec<Transform>,
    pub model: Option<Arc<LoadedModel>>,
}

/// Plans version `number` of a service, or says in a sentence why it cannot work.
pub fn resolve(definition: Definition, number: u32, parts: Parts) -> Result<Plan> {
    let what = format!("service \"{}\"", definition.name);
    let refuse = |reason: String| Error::Refused {
        what: what.clone(),
        reason,
    };
    check_names(&definition).map_err(refuse)?;
    let request = definition.request.clone();
    let event_time = definition
        .event_time
        .as_deref()
        .map(|name| event_time(&request, name))
        .transpose();
    let event_time = event_time.map_err(refuse)?;

    let mut nodes = nodes(&definition, &parts).map_err(refuse)?;
    let mut known = Known {
        sources: vec![(String::new(), request.clone())],
    };
    let mut steps = Vec::with_capacity(nodes.len());
    while !nodes.is_empty() {
        // A definition's own order is kept where it can be: the first node whose sources are all there goes next.
        let all: Vec<&Node> = nodes.iter().collect();
        let Some(ready) = nodes.iter().position(|node| node.ready(&known, &all)) else {
            return Err(refuse(stuck(&nodes)));
        };
        let node = nodes.remove(ready);
        let step = node.step(&known).map_err(refuse)?;
        known
            .sources
            .push((step.alias.clone(), step.columns.clone()));
        steps.push(step);
    }

    let names = feature_names(&definition, &parts, &steps).map_err(refuse)?;
    let mut places = Vec::with_capacity(names.len());
    let mut fields = Vec::with_capacity(names.len());
    for name in &names {
        let (place, field) = known
            .find(name)
            .map_err(|reason| refuse(format!("feature \"{name}\": {reason}")))?;
        fields.push(Field {
            name: name.clone(),
            ..field.clone()
        });
        places.push(place);
    }
    let vector = Vector {
        schema: Schema::new(fields),
        places,
    };
    let model = match parts.model {
        None if definition.output.is_some() => {
            return Err(refuse("it has an [output] but no [model]".to_owned()));
        }
        None => None,
        Some(model) => {
            model.check_features(&vector.schema).map_err(refuse)?;
            let wanted = definition
                .output
                .as_ref()
                .map(|output| output.score.as_str());
            let score = model.score_output(wanted).map_err(refuse)?;
            Some(PlannedModel { model, score })
        }
    };
    Ok(Plan {
        definition,
        number,
        request,
        event_time,
        steps,
        vector,
        model,
    })
}

/// A look-up or a transform, not yet placed.
enum Node<'a> {
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
}

/// The sources there are so far: the request, then each step, with its columns.
struct Known {
    sources: Vec<(String, Schema)>,
}

impl Known {
    /// The place of `field` or `alias.column`.
    fn find(&self, name: &str) -> Result<(Place, &Field), String> {
        let (alias, column) = name.split_once('.').unwrap_or(("", name));
        let Some(source) = self.sources.iter().position(|(known, _)| known == alias) else {
            let aliases: Vec<String> = self.sources[1..]
                .iter()
                .map(|(alias, _)| alias.clone())
                .collect();
            return Err(format!(
                "there is no look-up or transform \"{alias}\"; {}",
                listed("look-up or transform", &aliases)
            ));
        };
        let schema = &self.sources[source].1;
        match schema.position(column) {
            Some(index) => Ok((
                Place {
                    source,
                    slot: schema.slot(index),
                },
                schema.field(index),
            )),
            None if source == 0 => Err(format!(
                "there is no request field \"{column}\"; {}",
                listed("request field", &schema.names())
            )),
            None => Err(format!(
                "\"{alias}\" has no column \"{column}\"; {}",
                listed("column", &schema.names())
            )),
        }
    }

    /// The full name an unbound input is matched with: a request field of its name, else the one column of that name.
    fn by_name(&self, name: &str) -> Result<String, String> {
        if self.sources[0].1.position(name).is_some() {
            return Ok(name.to_owned());
        }
        let found: Vec<String> = self.sources[1..]
            .iter()
            .filter(|(_, schema)| schema.position(name).is_some())
            .map(|(alias, _)| format!("{alias}.{name}"))
            .collect();
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(format!(
                "nothing is bound to it and nothing has its name; bind it: {}",
                listed("column", &self.all_names())
            )),
            several => Err(format!(
                "nothing is bound to it and several have its name; bind one: {}",
                several.join(", ")
            )),
        }
    }

    fn all_names(&self) -> Vec<String> {
        self.sources
            .iter()
            .flat_map(|(alias, schema)| {
                schema.names().into_iter().map(move |name| {
                    if alias.is_empty() {
                        name
                    } else {
                        format!("{alias}.{name}")
                    }
                })
            })
            .collect()
    }
}

impl Node<'_> {
    fn alias(&self) -> &str {
        match self {
            Node::LookUp { alias, .. } | Node::Transform { alias, .. } => alias,
        }
    }

    /// The columns its users see. A looked-up column may always be null: the row may not be there.
    fn columns(&self) -> Schema {
        match self {
            Node::LookUp { view, .. } => view.looked_up(),
            Node::Transform { transform, .. } => transform.description().outputs.clone(),
        }
    }

    /// Whether everything it names is known, or is known nowhere (which `step` then says). An unbound input waits for
    /// every node that has a column of its name, so that an ambiguity is seen whatever the order.
    fn ready(&self, known: &Known, open: &[&Node]) -> bool {
        let waits_for = |name: &str| match name.split_once('.') {
            Some((alias, _)) => open.iter().any(|node| node.alias() == alias),
            None => false,
        };
        match self {
            Node::LookUp { definition, .. } => !definition.key.iter().any(|name| waits_for(name)),
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

    fn step(&self, known: &Known) -> Result<Step, String> {
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
                let max_age = definition.max_age.map(super::Age::micros);
                let lookup = LookUp {
                    view: (*view).clone(),
                    rows: (*rows).clone(),
                    key,
                    max_age,
                };
                Ok(Step {
                    alias,
                    kind: StepKind::LookUp(lookup),
                    inputs,
                    columns,
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
                Ok(Step {
                    alias,
                    kind: StepKind::Transform((*transform).clone()),
                    inputs,
                    columns,
                })
            }
        }
    }
}

fn nodes<'a>(definition: &'a Definition, parts: &'a Parts) -> Result<Vec<Node<'a>>, String> {
    let lookups = definition
        .lookups
        .iter()
        .zip(&parts.views)
        .map(|(definition, (view, rows))| Node::LookUp {
            alias: definition.alias.as_deref().unwrap_or(&definition.view),
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
    let nodes: Vec<Node> = lookups.chain(transforms).collect();
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
                "two look-ups or transforms are named \"{}\"; give one another name with `as`",
                node.alias()
            ));
        }
    }
    Ok(nodes)
}

fn check_names(definition: &Definition) -> Result<(), String> {
    crate::schema::check_name(&definition.name)?;
    if definition.request.is_empty() {
        return Err("its [request] has no fields".to_owned());
    }
    crate::schema::named::check(&definition.request)
        .map_err(|reason| format!("in its [request], {reason}"))
}

fn event_time(request: &Schema, name: &str) -> Result<crate::schema::Slot, String> {
    let Some(index) = request.position(name) else {
        return Err(format!(
            "event_time \"{name}\" is no request field; {}",
            listed("request field", &request.names())
        ));
    };
    let field = request.field(index);
    if field.data_type != DataType::One(Scalar::Timestamp) || field.nullable {
        return Err(format!(
            "event_time \"{name}\" must be a timestamp that is never null"
        ));
    }
    Ok(request.slot(index))
}

/// Says which nodes wait for one another.
fn stuck(nodes: &[Node]) -> String {
    let aliases: Vec<&str> = nodes.iter().map(Node::alias).collect();
    format!(
        "{} wait for one another in a cycle; break it by binding one of them to something else",
        aliases.join(", ")
    )
}

fn feature_names(
    definition: &Definition,
    parts: &Parts,
    steps: &[Step],
) -> Result<Vec<String>, String> {
    let names: Vec<String> = match (&parts.model, &definition.features) {
        (Some(_), Some(_)) => {
            return Err("it has both a [model] and features; the model's manifest says which features it wants".to_owned());
        }
        (Some(model), None) => model.features(),
        (None, Some(names)) => names.clone(),
        (None, None) => steps
            .iter()
            .filter(|step| matches!(step.kind, StepKind::Transform(_)))
            .flat_map(|step| {
                step.columns
                    .names()
                    .into_iter()
                    .map(|name| format!("{}.{name}", step.alias))
            })
            .collect(),
    };
    if names.is_empty() {
        return Err(
            "it has no features: give it a transform, `features = [\"…\"]` or a [model]".to_owned(),
        );
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(format!("two features are named \"{name}\"")),
        None => Ok(names),
    }
}
