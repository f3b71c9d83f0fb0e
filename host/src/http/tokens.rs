//! Tokens: make, list, revoke.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{FINDING, Kind::Conflict, WRITING};
use super::{Path, Problem, Shared, body};
use crate::access::tokens::{State as TokenState, Token};
use crate::access::{Change, Detail, Principal, Role};
use crate::error::Error;
use crate::span::Span;

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenWanted)]
struct Wanted {
    name: String,
    role: Role,
    /// `90d`, from now; without it the token does not expire.
    #[serde(default)]
    expires_in: Option<Span>,
}

/// What may be known of a token.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenShown)]
pub struct Shown {
    name: String,
    role: Role,
    #[schema(inline)]
    state: TokenState,
    created_at: Timestamp,
    created_by: String,
    #[schema(required)]
    expires_at: Option<Timestamp>,
    #[schema(required)]
    revoked_at: Option<Timestamp>,
}

/// A new token, with the text nobody is told again.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenMade)]
pub struct Made {
    token: String,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenList)]
pub struct All {
    tokens: Vec<Shown>,
}
/// Makes a token.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "create_token",
    tag = "tokens",
    request_body = Wanted,
    responses((status = 201, description = "The token, told this once.", body = Made)),
    extensions(("x-problems" = json!([Conflict, WRITING]))),
)]
pub async fn create(
    State(shared): State<Shared>,
    principal: Option<Extension<Principal>>,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = body::read(body, 64 << 10).await?;
    let wanted: Wanted = serde_json::from_slice(&bytes).map_err(|error| {
        Error::invalid(
            "body",
            format!("{error}; send {{\"name\": \"ci\", \"role\": \"client\", \"author\" or \"admin\", \"expires_in\": \"90d\"}}"),
        )
    })?;
    let by = principal.map_or_else(Principal::loopback, |Extension(principal)| principal);
    let app = shared.app.clone();
    let (token, secret) = tokio::task::spawn_blocking(move || {
        let expires_in = wanted.expires_in.map(|Span(span)| span);
        app.access
            .tokens
            .create(&wanted.name, wanted.role, expires_in, &by.name)
    })
    .await
    .map_err(|error| Error::Internal(error.to_string()))??;
    let change = Change {
        action: "token.create",
        subject: token.name.clone(),
        digest: None,
    };
    let made = Made {
        token: secret,
        shown: shown(&token),
    };
    Ok((
        StatusCode::CREATED,
        Extension(change),
        Extension(Detail(token.grants())),
        [(header::CACHE_CONTROL, "no-store")],
        Json(made),
    )
        .into_response())
}
/// All tokens, without their texts.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    operation_id = "list_tokens",
    tag = "tokens",
    responses((status = 200, description = "By name.", body = All)),
)]
pub async fn list(State(shared): State<Shared>) -> Json<All> {
    let all = shared.app.access.tokens.list();
    Json(All {
        tokens: all.iter().map(shown).collect(),
    })
}
/// Revokes a token.
///
/// From now on it is refused.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{name}",
    operation_id = "revoke_token",
    tag = "tokens",
    params(("name" = String, Path, description = "The token's name.")),
    responses((status = 200, description = "Revoked.", body = Shown)),
    extensions(("x-problems" = json!([FINDING, WRITING]))),
)]
pub async fn revoke(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<(Extension<Change>, Json<Shown>), Problem> {
    let app = shared.app.clone();
    let token = tokio::task::spawn_blocking(move || app.access.tokens.revoke(&name))
        .await
        .map_err(|error| Error::Internal(error.to_string()))??;
    let change = Change {
        action: "token.revoke",
        subject: token.name.clone(),
        digest: None,
    };
    Ok((Extension(change), Json(shown(&token))))
}

fn shown(token: &Arc<Token>) -> Shown {
    Shown {
        name: token.name.clone(),
        role: token.role,
        state: token.state(),
        created_at: token.created_at,
        created_by: token.created_by.clone(),
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
    }
}
