//! Who may, as the table of roles has it: the document says nothing of its own.

use serde_json::json;
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use super::kinds::operations;
use super::problems::add;
use crate::access::Role;
use crate::access::rules::{Kind as Change, rule};
use crate::http::problem::Kind;

const TOKEN: &str = "token";

/// Says of each operation the role it needs, and what those get who have it not.
pub struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of `tidemill token create`. Over loopback none is needed, unless the server is told so.",
            ));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(token.build()));
        for (path, item) in &mut api.paths.paths {
            for (method, operation) in operations(item) {
                let rule = rule(method, Some(path));
                let Some(least) = rule.least else { continue };
                let token = SecurityRequirement::new::<_, [&str; 0], &str>(TOKEN, []);
                // Or nothing, over loopback: OpenAPI cannot say where a request comes from.
                operation.security = Some(vec![token, SecurityRequirement::default()]);
                let extensions = operation.extensions.get_or_insert_default();
                extensions.insert("x-role".to_owned(), json!(least));
                let description = operation.description.get_or_insert_default();
                let needs = format!("Needs the role `{least}`.");
                *description = format!("{description}\n\n{needs}").trim_start().to_owned();
                add(operation, TURNED_AWAY);
                if least > Role::Client {
                    add(operation, &[Kind::Forbidden]);
                }
                if rule.kind != Change::Reads {
                    add(operation, &[Kind::AuditFailed, Kind::Internal]);
                }
            }
        }
    }
}

const TURNED_AWAY: &[Kind] = &[Kind::Unauthenticated, Kind::NotLocal, Kind::TooManyAttempts];
