//! From a definition to a plan: every name found, every type checked, the steps put in order.

mod known;
mod node;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::plan::closure;
use super::{
    AnswerDefinition, DeclaredAnswer, Definition, Gate, Output, Place, Plan, PlannedModel, Score,
    Step, StepKind, Vector,
};
use crate::error::{Error, Result, listed};
use crate::model::LoadedModel;
use crate::request::Declared;
use crate::schema::{DataType, Field, Scalar, Schema, Slot};
use crate::span::Span;
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
        report: None,
        what: what.clone(),
        reason,
    };
    check_names(&definition).map_err(refuse)?;
    check_budgets(&definition).map_err(refuse)?;
    let request = definition.request.clone();
    let event_time = definition
        .event_time
        .as_deref()
        .map(|name| event_time(&request, name))
        .transpose();
    let event_time = event_time.map_err(refuse)?;

    let defaults = defaults(&request).map_err(refuse)?;

    let features = named_features(&definition, &parts).map_err(refuse)?;
    let mut nodes = nodes(&definition, &parts, features.as_deref()).map_err(refuse)?;
    let mut known = Known {
        sources: vec![(String::new(), request.clone())],
    };
    let mut steps: Vec<Step> = Vec::with_capacity(nodes.len());
    while !nodes.is_empty() {
        // A definition's own order is kept where it can be: the first node whose sources are all there goes next.
        let all: Vec<&Node> = nodes.iter().collect();
        let Some(ready) = nodes.iter().position(|node| node.ready(&known, &all)) else {
            return Err(refuse(stuck(&nodes, &known)));
        };
        let node = nodes.remove(ready);
        let step = node.step(&known).map_err(refuse)?;
        known
            .sources
            .push((step.alias.clone(), step.columns.clone()));
        steps.push(step);
    }

    if let Some(labels) = &definition.labels {
        let aliases = steps.iter().map(|step| step.alias.as_str());
        labels.check(&request, aliases).map_err(refuse)?;
    }
    let features = match features {
        Some(features) => features,
        None => transform_outputs(&steps),
    };
    let vector = vector(&features, &known).map_err(refuse)?;
    let model = match &parts.model {
        None => None,
        Some(model) => {
            let step = steps
                .iter()
                .position(|step| matches!(step.kind, StepKind::Model(_)));
            Some(PlannedModel {
                model: model.clone(),
                step: step.unwrap_or(0),
                is_read: false,
            })
        }
    };
    let score = score(&definition, parts.model.as_deref(), &known).map_err(refuse)?;
    let output = output(&definition, &known).map_err(refuse)?;
    let scores = score.is_some();
    let answer = |what: &str, given: AnswerDefinition| {
        declared_answer(&given, scores, output.as_ref())
            .map_err(|reason| refuse(format!("{what}: {reason}")))
    };
    let gate = match &definition.gate {
        None => None,
        Some(gate) => {
            let given = AnswerDefinition {
                score: gate.score,
                output: gate.output.clone(),
            };
            Some(Gate {
                when: condition(&gate.when, &known)
                    .map_err(|reason| refuse(format!("[gate] when: {reason}")))?,
                answer: answer("[gate]", given)?,
            })
        }
    };
    let on_failure = match &definition.on_failure {
        None => None,
        Some(given) => Some(answer("[on_failure]", given.clone())?),
    };
    if let Some(gate) = &gate {
        let before = closure(&steps, &[gate.when.source]);
        if model.as_ref().is_some_and(|model| before[model.step]) {
            return Err(refuse(
                "[gate] when: it needs the model, and stands before it; bind it to something else"
                    .to_owned(),
            ));
        }
    }
    Ok(Plan {
        request,
        deadline: definition.deadline.map(|span| span.0),
        definition,
        number,
        defaults,
        event_time,
        steps,
        gate,
        vector,
        model,
        score,
        output,
        on_failure,
        waits: false,
        needed: Default::default(),
    }
    .finished())
}

/// The defaults of the request's fields.
fn defaults(request: &Schema) -> Result<Option<Declared>, String> {
    let values: Map<String, Value> = request
        .fields()
        .iter()
        .filter_map(|field| Some((field.name.clone(), field.default.clone()?)))
        .collect();
    if values.is_empty() {
        return Ok(None);
    }
    Declared::read(request, &values)
        .map(Some)
        .map_err(|reason| format!("in its [request], {reason}"))
}

fn condition(name: &str, known: &Known) -> Result<Place, String> {
    let (place, field) = known.find(name)?;
    match field.data_type {
        DataType::One(Scalar::Boolean) => Ok(place),
        found => Err(format!("{name} is {found}, not bool")),
    }
}

fn vector(names: &[String], known: &Known) -> Result<Vector, String> {
    let mut places = Vec::with_capacity(names.len());
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let (place, field) = known
            .find(name)
            .map_err(|reason| format!("feature \"{name}\": {reason}"))?;
        fields.push(Field {
            name: name.clone(),
            ..field.clone()
        });
        places.push(place);
    }
    Ok(Vector {
        schema: Schema::new(fields),
        places,
    })
}

/// What the score is: a column, one of the model's outputs, or nothing where there is neither.
fn score(
    definition: &Definition,
    model: Option<&LoadedModel>,
    known: &Known,
) -> Result<Option<Score>, String> {
    let wanted = definition
        .output
        .as_ref()
        .and_then(|output| output.score.as_deref());
    let is_column = |name: &str| {
        let alias = name.split_once('.').map(|(alias, _)| alias);
        alias.is_some_and(|alias| known.sources[1..].iter().any(|(known, _)| known == alias))
    };
    match (wanted, model) {
        (Some(name), None) | (Some(name), Some(_)) if model.is_none() || is_column(name) => {
            let (place, field) = known
                .find(name)
                .map_err(|reason| format!("[output] score: {reason}"))?;
            match field.data_type {
                DataType::One(Scalar::Float) => Ok(Some(Score::Column(place))),
                found => Err(format!("[output] score: {name} is {found}, not f64")),
            }
        }
        (wanted, Some(model)) => model.score_output(wanted).map(Score::Output).map(Some),
        (_, None) => Ok(None),
    }
}

fn output(definition: &Definition, known: &Known) -> Result<Option<Output>, String> {
    let Some(definition) = definition.output.as_ref().filter(|o| !o.fields.is_empty()) else {
        return Ok(None);
    };
    let (mut places, mut fields) = (Vec::new(), Vec::new());
    for (name, wanted) in &definition.fields {
        let here = |reason| format!("[output.fields] {name}: {reason}");
        let (place, field) = known.find(&wanted.from).map_err(here)?;
        if let Some(data_type) = wanted.data_type
            && data_type != field.data_type
        {
            let (from, found) = (&wanted.from, field.data_type);
            return Err(here(format!(
                "it is declared {data_type}, but {from} is {found}"
            )));
        }
        if wanted.nullable == Some(false) && field.nullable {
            return Err(here(format!(
                "it is declared never null, but {} may be",
                wanted.from
            )));
        }
        fields.push(Field {
            name: name.clone(),
            nullable: wanted.nullable.unwrap_or(field.nullable),
            ..field.clone()
        });
        places.push(place);
    }
    Ok(Some(Output {
        schema: Schema::new(fields),
        places,
    }))
}

/// An answer that must hold all that a computed one does.
fn declared_answer(
    given: &AnswerDefinition,
    scores: bool,
    output: Option<&Output>,
) -> Result<DeclaredAnswer, String> {
    match (given.score, scores) {
        (Some(score), true) if !score.is_finite() => {
            return Err(format!("its score is {score}, which JSON cannot say"));
        }
        (None, true) => return Err("give its score: score = 0.0".to_owned()),
        (Some(_), false) => return Err("it gives a score, but the service has none".to_owned()),
        _ => {}
    }
    let output = match output {
        None if given.output.is_empty() => None,
        None => return Err("it gives output, but the service has no [output.fields]".to_owned()),
        Some(output) => {
            let declared = Declared::output(&output.schema, &given.output)?;
            let fields = output.schema.fields().iter().zip(&declared.covered);
            if let Some((field, _)) = fields
                .into_iter()
                .find(|(field, covered)| !field.nullable && !**covered)
            {
                return Err(format!(
                    "give its output.{}: the field is never null",
                    field.name
                ));
            }
            Some(declared.row)
        }
    };
    Ok(DeclaredAnswer {
        score: given.score,
        output,
    })
}

/// Budgets in which nothing could be done.
fn check_budgets(definition: &Definition) -> Result<(), String> {
    let is_none = |span: Option<Span>| span.is_some_and(|span| span.0.is_zero());
    if is_none(definition.deadline) {
        return Err("its deadline is 0ms: nothing could be answered".to_owned());
    }
    let mut lookups = definition.lookups.iter();
    match lookups.find(|lookup| is_none(lookup.timeout)) {
        Some(lookup) => Err(format!(
            "look-up \"{}\": its timeout is 0ms: nothing could be found",
            lookup.alias.as_deref().unwrap_or(&lookup.view)
        )),
        None => Ok(()),
    }
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

/// Says which nodes wait for one another: those on a cycle, not those that wait for one from outside.
fn stuck(nodes: &[Node], known: &Known) -> String {
    let waits_for: Vec<Vec<usize>> = nodes
        .iter()
        .map(|node| {
            let waits = |other: usize| !node.ready(known, &[&nodes[other]]);
            (0..nodes.len()).filter(|&other| waits(other)).collect()
        })
        .collect();
    let is_member = |node: &usize| {
        let mut seen = vec![false; nodes.len()];
        let mut open = waits_for[*node].clone();
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut seen[next], true) {
                open.extend(&waits_for[next]);
            }
        }
        seen[*node]
    };
    let members = (0..nodes.len()).filter(is_member);
    let aliases: Vec<&str> = members.map(|at| nodes[at].alias()).collect();
    match aliases.as_slice() {
        [one] => format!("{one} waits for itself; bind it to something else"),
        _ => format!(
            "{} wait for one another in a cycle; break it by binding one of them to something else",
            aliases.join(", ")
        ),
    }
}

/// The features by name, where the model or the definition says them; none: all that the transforms give.
fn named_features(definition: &Definition, parts: &Parts) -> Result<Option<Vec<String>>, String> {
    let names: Vec<String> = match (&parts.model, &definition.features) {
        (Some(_), Some(_)) => {
            return Err("it has both a [model] and features; the model's manifest says which features it wants".to_owned());
        }
        (Some(model), None) => model.features(),
        (None, Some(names)) => names.clone(),
        (None, None) if definition.transforms.is_empty() => Vec::new(),
        (None, None) => return Ok(None),
    };
    if names.is_empty() {
        return Err(
            "it has no features: give it a transform, `features = [\"…\"]` or a [model]".to_owned(),
        );
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(format!("two features are named \"{name}\"")),
        None => Ok(Some(names)),
    }
}

fn transform_outputs(steps: &[Step]) -> Vec<String> {
    let transforms = steps
        .iter()
        .filter(|step| matches!(step.kind, StepKind::Transform(_)));
    transforms
        .flat_map(|step| {
            let names = step.columns.names().into_iter();
            names.map(|name| format!("{}.{name}", step.alias))
        })
        .collect()
}
