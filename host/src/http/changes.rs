//! What all routes that change something share: who asks, why, and what is said of it for the audit log.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Problem, body};
use crate::access::{Change, Principal};
use crate::error::{Error, Result};

/// Whoever asks, as the middleware found out.
pub(super) type Who = Option<Extension<Principal>>;

/// Their name.
pub(super) fn name(who: Who) -> String {
    who.map_or_else(Principal::loopback, |Extension(who)| who)
        .name
}

/// A good answer or a problem; either says what was to be changed.
pub(super) fn changed<T: IntoResponse>(change: Change, outcome: Result<T, Problem>) -> Response {
    let mut response = match outcome {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(change);
    response
}

/// A change without an artifact.
pub(super) fn change(action: &'static str, subject: impl Into<String>) -> Change {
    Change {
        action,
        subject: subject.into(),
        digest: None,
    }
}

/// What stands in a query under the one name it may have; any other is refused.
pub(super) fn option(
    query: &BTreeMap<String, String>,
    name: &'static str,
) -> Result<Option<String>> {
    match query.keys().find(|key| *key != name) {
        None => Ok(query.get(name).cloned()),
        Some(other) => {
            let message = format!("no such parameter; there is {name}");
            Err(Error::invalid(other.clone(), message))
        }
    }
}

/// A body that may say why.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: Option<String>,
}

/// The reason in a body, which may as well be empty.
pub(super) async fn reason(body: Body, limit: usize) -> Result<Option<String>, Problem> {
    let bytes = body::read(body, limit).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let why: Why = serde_json::from_slice(&bytes).map_err(|error| {
        Error::invalid("body", format!("{error}; its form is {{\"reason\": …}}"))
    })?;
    Ok(why.reason)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn an_answer_says_what_was_to_be_changed_also_where_it_was_not() {
        let change = change("alias.move", "flight-delay/stable");
        let refused = Err::<(), _>(Error::Conflict("no".to_owned()).into());
        for (outcome, status) in [(Ok(()), StatusCode::OK), (refused, StatusCode::CONFLICT)] {
            let response = changed(change.clone(), outcome);
            assert_eq!(response.status(), status);
            assert_eq!(response.extensions().get(), Some(&change));
        }
    }
}
