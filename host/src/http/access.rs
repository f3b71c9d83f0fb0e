//! The one gate around all routes: who asks, whether they may, and a line in the audit log for what changes something.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::listen::Peer;
use super::problem::Told;
use super::{Problem, body};
use crate::access::audit::{BEGUN, Entry, Written};
use crate::access::local::{is_local_host, is_local_origin};
use crate::access::rules::{CHANGE, Kind, Rule, rule};
use crate::access::tokens::Wrong;
use crate::access::{Access, Change, Detail, Principal, Role};
use crate::app::App;

struct Gate {
    app: Arc<App>,
    /// Every request but those for health.
    tokens_needed: bool,
}

/// A request that is turned away.
struct Refusal {
    problem: Problem,
    /// One word for metrics.
    reason: &'static str,
    /// Whose token it was, where that is known.
    who: Option<(String, Option<Role>)>,
}

/// How long a client that is turned away may go on sending what nobody reads, so that it gets to read why.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// Puts the gate around the routes of a server that listens at `listening`.
pub fn guard(app: Arc<App>, router: Router, listening: SocketAddr) -> Router {
    let tokens_needed = Access::tokens_needed(&app.config, listening);
    let gate = Arc::new(Gate { app, tokens_needed });
    router.layer(from_fn_with_state(gate, pass))
}

async fn pass(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let rule = rule(request.method().as_str(), route.map(MatchedPath::as_str));
    let Some(least) = rule.least else {
        return next.run(request).await;
    };
    let who = match gate.admit(&request, least) {
        Ok(who) => who,
        Err(refusal) => return gate.turn_away(request, rule, *refusal).await,
    };
    match rule.kind {
        Kind::Reads => {
            // Nobody is whoever comes over loopback: handlers take it so, and most requests need no allocation.
            if let Some(who) = who {
                request.extensions_mut().insert(who);
            }
            next.run(request).await
        }
        Kind::Rows(action) => gate.record(request, next, who, action, false).await,
        Kind::Changes(action) => gate.record(request, next, who, action, true).await,
    }
}

impl Gate {
    /// Who asks, if they may; None over loopback without a token.
    fn admit(&self, request: &Request, least: Role) -> Result<Option<Principal>, Box<Refusal>> {
        let headers = request.headers();
        let who = match headers.get(header::AUTHORIZATION) {
            Some(sent) => self.holder(sent, request)?,
            None if self.tokens_needed => {
                return Err(Box::new(Refusal {
                    problem: Problem::unauthenticated(
                        "a token is needed here: send the header \"Authorization: Bearer tm_…\"; with the tidemill \
                         program set TIDEMILL_TOKEN or give --token-file",
                    ),
                    reason: "missing",
                    who: None,
                }));
            }
            None => {
                local(request)?;
                return Ok(None);
            }
        };
        if who.role >= least {
            return Ok(Some(who));
        }
        Err(Box::new(Refusal {
            problem: Problem::forbidden(
                format!(
                    "this needs the role {least}, and the token \"{}\" has the role {}",
                    who.name, who.role
                ),
                least,
            ),
            reason: "role",
            who: Some((who.name, Some(who.role))),
        }))
    }

    /// Whose token was sent.
    fn holder(&self, sent: &HeaderValue, request: &Request) -> Result<Principal, Box<Refusal>> {
        let bytes = sent.as_bytes();
        let secret = match bytes.split_at_checked(7) {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
                secret.trim_ascii()
            }
            _ => &[],
        };
        let access = &self.app.access;
        let (reason, who, detail) = match access.tokens.check(secret) {
            Ok(principal) => return Ok(principal),
            Err(Wrong::Unknown) if secret.is_empty() => (
                "unknown",
                None,
                "the Authorization header holds no token: \"Bearer tm_…\" belongs there".to_owned(),
            ),
            Err(Wrong::Unknown) => (
                "unknown",
                None,
                "the token is not known here; an admin makes one with `tidemill token create`"
                    .to_owned(),
            ),
            Err(Wrong::Expired(name)) => {
                let told = format!("the token \"{name}\" has expired");
                ("expired", Some((name, None)), told)
            }
            Err(Wrong::Revoked(name)) => {
                let told = format!("the token \"{name}\" was revoked");
                ("revoked", Some((name, None)), told)
            }
        };
        let too_many = peer(request).is_some_and(|peer| access.guesses.failed(peer.ip()));
        let problem = match too_many {
            true => Problem::too_many_attempts(
                "wrong tokens came from this address too often; a valid one is still taken, others wait a minute",
            ),
            false => Problem::unauthenticated(detail),
        };
        Err(Box::new(Refusal {
            problem,
            reason,
            who,
        }))
    }

    async fn turn_away(&self, request: Request, rule: Rule, refusal: Refusal) -> Response {
        self.app.metrics.turned_away(refusal.reason);
        let changes = match rule.kind {
            Kind::Reads => None,
            Kind::Rows(action) | Kind::Changes(action) => {
                let mut entry =
                    Entry::by_nobody(&from(&request), action, &subject(&request, action));
                if let Some((name, role)) = refusal.who {
                    (entry.who, entry.role) = (Some(name), role);
                }
                Some(entry)
            }
        };
        let mut response = refusal.problem.into_response();
        let status = response.status();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                // RFC 6750: that a token was wrong is said only where one was sent.
                let how = match request.headers().contains_key(header::AUTHORIZATION) {
                    true => "Bearer realm=\"tidemill\", error=\"invalid_token\"",
                    false => "Bearer realm=\"tidemill\"",
                };
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(how));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            _ => {}
        }
        if let Some(mut entry) = changes {
            told(&mut entry, &response);
            // Where it cannot be written, the answer is the same.
            let _ = written(self.app.access.audit.turned_away(entry)).await;
        }
        body::drain(
            request.into_body(),
            self.app.config.server.upload_limit,
            DRAIN,
        )
        .await;
        response
    }

    /// Lets a change happen between its two lines in the audit log. It goes on when the client has gone: the log should
    /// say what came of it.
    async fn record(
        self: Arc<Self>,
        request: Request,
        next: Next,
        who: Option<Principal>,
        action: &'static str,
        announced: bool,
    ) -> Response {
        let who = who.unwrap_or_else(Principal::loopback);
        let recorded =
            tokio::spawn(async move { self.between(request, next, who, action, announced).await });
        recorded.await.unwrap_or_else(|error| {
            Problem::from(crate::error::Error::Internal(error.to_string())).into_response()
        })
    }

    async fn between(
        &self,
        mut request: Request,
        next: Next,
        who: Principal,
        action: &'static str,
        announced: bool,
    ) -> Response {
        let audit = &self.app.access.audit;
        let mut entry = Entry::new(&who, &from(&request), action, &subject(&request, action));
        // Rows come often: what they cost is one line, unless the log is known to fail.
        if announced || audit.is_failing() {
            let mut begun = entry.clone();
            begun.outcome = BEGUN.to_owned();
            match written(audit.begin(begun)).await {
                Ok(seq) => entry.begun = Some(seq),
                Err(error) => {
                    body::drain(
                        request.into_body(),
                        self.app.config.server.upload_limit,
                        DRAIN,
                    )
                    .await;
                    return Problem::audit_failed(format!(
                        "nothing was changed, for the audit log cannot be written ({error}); scoring goes on"
                    ))
                    .into_response();
                }
            }
        }
        request.extensions_mut().insert(who);
        // A handler that panics has its line too.
        let response = match tokio::spawn(next.run(request)).await {
            Ok(response) => response,
            Err(error) => {
                Problem::from(crate::error::Error::Internal(error.to_string())).into_response()
            }
        };
        told(&mut entry, &response);
        match written(audit.end(entry)).await {
            Ok(_) => response,
            Err(error) => Problem::audit_failed(format!(
                "the request was answered with {}, but the audit log cannot be written ({error}); its line is kept in \
                 memory, and nothing more is changed until it is on disk",
                response.status()
            ))
            .into_response(),
        }
    }
}

/// Over loopback without a token: not for a web page from elsewhere.
fn local(request: &Request) -> Result<(), Box<Refusal>> {
    let headers = request.headers();
    let host = match headers.get(header::HOST) {
        Some(host) => Some(host.to_str().unwrap_or("")),
        None => None,
    };
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let foreign = [host, authority]
        .into_iter()
        .flatten()
        .find(|host| !is_local_host(host));
    let problem = if let Some(host) = foreign {
        format!("the request names the host \"{host}\", which is not this machine")
    } else if let Some(origin) = foreign_origin(headers) {
        format!("the request comes from a page of \"{origin}\", which is not this machine")
    } else {
        return Ok(());
    };
    Err(Box::new(Refusal {
        problem: Problem::not_local(format!(
            "{problem}; what comes from elsewhere needs a token: make one with `tidemill token create`"
        )),
        reason: "foreign",
        who: None,
    }))
}

fn foreign_origin(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    headers
        .get_all(header::ORIGIN)
        .iter()
        .map(|origin| String::from_utf8_lossy(origin.as_bytes()))
        .find(|origin| !is_local_origin(origin))
}

fn peer(request: &Request) -> Option<SocketAddr> {
    let info = request.extensions().get::<ConnectInfo<Peer>>();
    info.map(|ConnectInfo(Peer(address))| *address)
}

fn from(request: &Request) -> String {
    peer(request).map_or_else(
        || "unknown".to_owned(),
        |peer| peer.ip().to_canonical().to_string(),
    )
}

/// What a request is about, where the handler does not say: `/v1/views/plane/rows` is about `plane`.
fn subject(request: &Request, action: &str) -> String {
    let path = request.uri().path();
    match path
        .strip_prefix("/v1/")
        .and_then(|rest| rest.split('/').nth(1))
    {
        _ if action == CHANGE => format!("{} {path}", request.method()),
        Some(name) => name.to_owned(),
        None => path.to_owned(),
    }
}

/// Fills in what the answer says of the change.
fn told(entry: &mut Entry, response: &Response) {
    let extensions = response.extensions();
    if let Some(change) = extensions.get::<Change>() {
        entry.action = change.action.to_owned();
        // A registration that is refused may not have a name yet.
        if !change.subject.is_empty() {
            entry.subject.clone_from(&change.subject);
        }
        entry.digest.clone_from(&change.digest);
    }
    if let Some(Detail(detail)) = extensions.get::<Detail>() {
        entry.detail = Some(detail.clone());
    }
    if let Some(told) = extensions.get::<Told>() {
        entry.outcome = told.kind.to_owned();
        entry.detail = Some(told.detail.clone());
    } else if !response.status().is_success() {
        entry.outcome = format!("status-{}", response.status().as_u16());
    } else if entry.action.ends_with(".register") && response.status() == StatusCode::OK {
        entry.detail.get_or_insert_with(|| "unchanged".to_owned());
    }
}

async fn written(line: Written) -> Result<u64, String> {
    line.await
        .unwrap_or_else(|_| Err("its thread is gone".to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_stranger_who_guesses_is_told_to_wait_and_a_valid_token_is_still_taken() {
        let data = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: data.path().to_owned(),
            ..Config::default()
        };
        let app = Arc::new(App::open(config).unwrap());
        let (_, token) = app
            .access
            .tokens
            .create("scorer", Role::Client, None, "ada")
            .unwrap();
        let gate = Gate {
            app,
            tokens_needed: true,
        };
        let ask = |from: &str, token: &str| {
            let mut request = Request::builder()
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .body(Body::empty())
                .unwrap();
            let peer = Peer(from.parse().unwrap());
            request.extensions_mut().insert(ConnectInfo(peer));
            let admitted = gate.admit(&request, Role::Client);
            admitted
                .map(|who| who.unwrap().name)
                .map_err(|refusal| refusal.problem.kind())
        };
        let stranger = "192.0.2.7:4000";
        for _ in 0..crate::access::guesses::A_MINUTE {
            assert_eq!(ask(stranger, "tm_wrong"), Err("unauthenticated"));
        }
        assert_eq!(ask("192.0.2.7:4001", "tm_wrong"), Err("too-many-attempts"));
        assert_eq!(ask(stranger, &token), Ok("scorer".to_owned()));
        for _ in 0..100 {
            assert_eq!(ask("127.0.0.1:4000", "tm_wrong"), Err("unauthenticated"));
        }
    }
}
