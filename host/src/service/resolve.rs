//! From a definition to a plan: every name found, every type checked, the steps put in order.

mod known;
mod node;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Plan, PlannedModel};
use super::{Definition, Step, StepKind, Vector};
use crate::error::{Error, Result, listed};
use crate::model::LoadedModel;
use crate::schema::{DataType, Field, Scalar, Schema, Slot};
use crate::store::ViewRows;
use crate::transform::Transform;
use crate::view::View;
use known::Known;
use node::{Node, nodes};

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

fn check_names(definition: &Definition) -> Result<(), String> {
    crate::schema::check_name(&definition.name)?;
    if definition.request.is_empty() {
        return Err("its [request] has no fields".to_owned());
    }
    crate::schema::named::check(&definition.request)
        .map_err(|reason| format!("in its [request], {reason}"))
}

fn event_time(request: &Schema, name: &str) -> Result<Slot, String> {
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
