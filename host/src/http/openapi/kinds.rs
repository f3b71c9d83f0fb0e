//! Operations that stand for one of each kind: `/v1/{kinds}/{id}/retire`.

use std::mem::take;

use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

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
