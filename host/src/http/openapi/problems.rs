//! Problems in the document: a schema for each kind, and the answers of each operation.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Discriminator, OneOfBuilder, Schema};
use utoipa::openapi::{
    ArrayBuilder, ContentBuilder, Header, ObjectBuilder, OpenApi, Ref, RefOr, Response,
    ResponseBuilder, Type,
};
use utoipa::{Modify, PartialSchema, ToSchema};

use super::kinds::operations;
use crate::admission::Report;
use crate::http::connections::ALWAYS_ANSWERED;
use crate::http::problem::{Form, Kind};

/// Where an operation lists the names of its problems, until they are answers.
const LISTED: &str = "x-problems";

/// Turns what operations list into answers.
pub struct Problems;

/// Any problem document, in the document's types.
pub struct AnyProblem;

impl PartialSchema for AnyProblem {
    fn schema() -> RefOr<Schema> {
        either(Kind::ALL.iter().copied())
    }
}

impl ToSchema for AnyProblem {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }
}

impl Modify for Problems {
    fn modify(&self, api: &mut OpenApi) {
        let components = api.components.get_or_insert_default();
        for (path, item) in &mut api.paths.paths {
            for (_, operation) in operations(item) {
                let kinds: BTreeSet<Kind> = listed(operation)
                    .chain(of_its_form(path, operation))
                    .collect();
                answer(operation, &kinds, &mut components.responses);
            }
        }
        let schemas = &mut components.schemas;
        schemas.insert(AnyProblem::name().into(), AnyProblem::schema());
        for kind in Kind::ALL {
            schemas.insert(name(*kind), schema(*kind).into());
        }
    }
}

/// Lists kinds beside those that an operation has listed.
pub fn add(operation: &mut Operation, kinds: &[Kind]) {
    let extensions = operation.extensions.get_or_insert_default();
    let there = extensions.remove(LISTED).unwrap_or_default();
    extensions.insert(LISTED.to_owned(), json!([there, kinds]));
}

/// The kinds that stand under `x-problems`, in lists or alone; they are taken from there.
fn listed(operation: &mut Operation) -> impl Iterator<Item = Kind> + use<> {
    let extensions = operation.extensions.as_mut();
    let found = extensions.and_then(|extensions| extensions.remove(LISTED));
    if operation
        .extensions
        .as_ref()
        .is_some_and(|all| all.is_empty())
    {
        operation.extensions = None;
    }
    let mut names = Vec::new();
    let mut open = Vec::from_iter(found);
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Array(more) => open.extend(more),
            serde_json::Value::Null => {}
            value => names.push(value),
        }
    }
    let of_name = |name| *Kind::ALL.iter().find(|kind| name == kind.name()).unwrap();
    names.into_iter().map(of_name)
}

/// What a request of that form may get, whatever it asks.
fn of_its_form(path: &str, operation: &Operation) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if operation.request_body.is_some() {
        kinds.extend([
            Kind::InvalidRequest,
            Kind::TooLarge,
            Kind::SlowBody,
            Kind::UnsupportedMediaType,
        ]);
    }
    if !ALWAYS_ANSWERED.contains(&path) {
        kinds.push(Kind::Overloaded);
    }
    if operation.parameters.is_some() {
        kinds.push(Kind::InvalidRequest);
    }
    kinds
}

/// Gives the operation an answer for each status; `all` gets those that it does not have yet, by name.
fn answer(
    operation: &mut Operation,
    kinds: &BTreeSet<Kind>,
    all: &mut BTreeMap<String, RefOr<Response>>,
) {
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(kind.row().status).or_default().push(*kind);
    }
    for (status, kinds) in by_status {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let name = names.join("-or-");
        let reference = Ref::from_response_name(&name);
        all.entry(name).or_insert_with(|| response(&kinds).into());
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_string(), reference.into());
    }
}

fn response(kinds: &[Kind]) -> Response {
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.row().title).collect();
    let schema = match *kinds {
        [one] => reference(one).into(),
        _ => either(kinds.iter().copied()),
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content("application/problem+json", content);
    match kinds.iter().any(|kind| kind.says_when()) {
        true => response.header("Retry-After", Header::new(u32::schema())),
        false => response,
    }
    .build()
}

fn name(kind: Kind) -> String {
    format!("{kind:?}Problem")
}

fn reference(kind: Kind) -> Ref {
    Ref::from_schema_name(name(kind))
}

/// One of some kinds, told apart by `type`.
fn either(kinds: impl Iterator<Item = Kind> + Clone) -> RefOr<Schema> {
    let of = |kind: Kind| (kind.urn(), format!("#/components/schemas/{}", name(kind)));
    let told = Discriminator::with_mapping("type", kinds.clone().map(of));
    let all = kinds.fold(OneOfBuilder::new(), |all, kind| all.item(reference(kind)));
    all.discriminator(Some(told)).into()
}

fn schema(kind: Kind) -> Schema {
    let row = kind.row();
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let status = ObjectBuilder::new().schema_type(Type::Integer);
    let mut object = ObjectBuilder::new()
        .description(Some(row.doc))
        .property("type", text().enum_values(Some([kind.urn()])))
        .property("title", text().enum_values(Some([row.title])))
        .property("status", status.enum_values(Some([row.status])))
        .property(
            "detail",
            text().description(Some("What is wrong here, in a sentence.")),
        )
        .required("type")
        .required("title")
        .required("status")
        .required("detail");
    for member in row.members {
        let described = |builder: ObjectBuilder| builder.description(Some(member.doc)).into();
        let schema: RefOr<Schema> = match member.form {
            Form::Text => described(text()),
            Form::Number => {
                let number = ObjectBuilder::new().schema_type(Type::Integer);
                described(number.minimum(Some(0)))
            }
            Form::Texts => {
                let texts = ArrayBuilder::new().items(String::schema());
                texts.description(Some(member.doc)).into()
            }
            Form::Transform => {
                let parts = ["name", "version", "digest"];
                let object = parts
                    .into_iter()
                    .fold(ObjectBuilder::new(), |object, part| {
                        object.property(part, text()).required(part)
                    });
                described(object)
            }
            Form::Report => Ref::from_schema_name(Report::name()).into(),
        };
        object = object.property(member.name, schema);
        if member.always {
            object = object.required(member.name);
        }
    }
    object.into()
}
