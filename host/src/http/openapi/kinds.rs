//! Operations that stand for one of each kind, `/v1/{kinds}/{id}/retire`; and what all operations have.

use std::mem::take;

use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{Schema, SchemaType};
use utoipa::openapi::{OpenApi, RefOr, Type};

use crate::registry::Kind;

/// Writes them out.
pub struct EveryKind;

impl Modify for EveryKind {
    fn modify(&self, api: &mut OpenApi) {
        for (route, item) in take(&mut api.paths.paths) {
            if !route.contains("{kinds}") {
                merge(api, route, item);
                continue;
            }
            // Nothing is made from a training set: it is deleted, and not retired before.
            let retires = route.ends_with("/retire") || route.ends_with("/restore");
            for kind in Kind::ALL {
                if retires && kind == Kind::TrainingSet {
                    continue;
                }
                let plural = format!("{}s", kind.name());
                let mut item = item.clone();
                for (_, operation) in operations(&mut item) {
                    of_kind(operation, kind, &plural);
                }
                merge(api, route.replace("{kinds}", &plural), item);
            }
        }
    }
}

fn merge(api: &mut OpenApi, route: String, item: PathItem) {
    match api.paths.paths.get_mut(&route) {
        Some(there) => there.merge_operations(item),
        None => {
            api.paths.paths.insert(route, item);
        }
    }
}

fn of_kind(operation: &mut Operation, kind: Kind, plural: &str) {
    operation.tags = Some(vec![plural.to_owned()]);
    if let Some(id) = &mut operation.operation_id {
        *id = id.replace("{kind}", &kind.name().replace('-', "_"));
    }
    if let Some(summary) = &mut operation.summary {
        *summary = summary.replace("{kind}", kind.name());
    }
    if let (Some(parameters), true) = (&mut operation.parameters, kind != Kind::View) {
        // Only views have rows.
        parameters.retain(|parameter| parameter.name != "rows");
    }
}

/// What is left out of a query or of the headers is not there: no parameter is null.
pub struct NeverNull;

impl Modify for NeverNull {
    fn modify(&self, api: &mut OpenApi) {
        for item in api.paths.paths.values_mut() {
            for (_, operation) in operations(item) {
                for parameter in operation.parameters.iter_mut().flatten() {
                    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
                        && let SchemaType::Array(types) = &mut object.schema_type
                    {
                        types.retain(|one| *one != Type::Null);
                        if let [one] = &types[..] {
                            object.schema_type = SchemaType::Type(one.clone());
                        }
                    }
                }
            }
        }
    }
}

/// The operations of a path, by method.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("GET", &mut item.get),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("DELETE", &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
