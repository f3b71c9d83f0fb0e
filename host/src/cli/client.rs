//! A client of a running server.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use ureq::RequestBuilder;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::admission::Report;

/// Which server to talk to.
#[derive(Args, Clone, Debug)]
pub struct ServerArg {
    /// The server's address.
    #[arg(
        long,
        env = "TIDEMILL_SERVER",
        default_value = "http://127.0.0.1:8360",
        value_name = "URL"
    )]
    server: String,
    /// A file that holds your token, alone. So does $TIDEMILL_TOKEN, without a file.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Your token. Everybody on this machine can see it in the list of processes: prefer $TIDEMILL_TOKEN or --token-file.
    #[arg(
        long,
        env = "TIDEMILL_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<Secret>,
    /// Certificates (PEM) of the authorities to trust instead of the system's, for an https:// server.
    #[arg(long, env = "TIDEMILL_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A token, which no message shows.
#[derive(Clone)]
struct Secret(String);

/// One connection, kept open.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    /// `Bearer tm_…`
    authorization: Option<String>,
    /// Why nothing can be sent: every request says so.
    broken: Option<String>,
}

type Response = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// Bytes of an answer that are read.
const LARGEST: u64 = 1 << 30;

impl ServerArg {
    /// What is wrong with the token's file or the certificates comes with the first request.
    pub fn client(&self) -> Client {
        let mut client = Client::new(&self.server);
        if let Err(error) = self.equip(&mut client) {
            client.broken = Some(format!("{error:#}"));
        }
        client
    }

    fn equip(&self, client: &mut Client) -> Result<()> {
        if let Some(file) = &self.ca {
            client.agent = agent(RootCerts::new_with_certs(&authorities(file)?));
        }
        // The file first: the token may be the environment's, which a flag outdoes.
        let token = match (&self.token_file, &self.token) {
            (Some(file), _) => Some(
                std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the token's file {}", file.display()))?,
            ),
            (None, Some(Secret(token))) => Some(token.clone()),
            (None, None) => None,
        };
        if let Some(token) = token.as_deref().map(str::trim)
            && !token.is_empty()
        {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                bail!("the token holds more than a token: it is one word that begins with tm_");
            }
            client.authorization = Some(format!("Bearer {token}"));
        }
        Ok(())
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Secret, Infallible> {
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tm_…")
    }
}

fn agent(authorities: RootCerts) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(300)))
        .tls_config(TlsConfig::builder().root_certs(authorities).build())
        .build()
        .into()
}

fn authorities(file: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(file)
        .with_context(|| format!("cannot read the certificates in {}", file.display()))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        let item = item.with_context(|| format!("{} is no PEM file", file.display()))?;
        if let PemItem::Certificate(certificate) = item {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        bail!(
            "no certificate is in {}; a PEM file with -----BEGIN CERTIFICATE----- belongs here",
            file.display()
        );
    }
    Ok(found)
}

impl Client {
    pub fn new(base: &str) -> Client {
        Client {
            agent: agent(RootCerts::PlatformVerifier),
            base: base.trim_end_matches('/').to_owned(),
            authorization: None,
            broken: None,
        }
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let request = self.with_token(self.agent.get(self.url(path)))?;
        self.answer(request.call())
    }

    pub fn delete(&self, path: &str) -> Result<Value> {
        let request = self.with_token(self.agent.delete(self.url(path)))?;
        self.answer(request.call())
    }

    /// The bytes of a good answer.
    pub fn get_raw(&self, path: &str) -> Result<Vec<u8>> {
        let request = self.with_token(self.agent.get(self.url(path)))?;
        self.text(request.call())
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.with_token(self.agent.put(self.url(path)))?;
        let response = request
            .content_type("application/json")
            .send(body.to_string().as_bytes());
        self.answer(response)
    }

    /// Posts JSON that is to be answered later; reads the job that comes back.
    pub fn post_later(&self, path: &str, body: &[u8]) -> Result<Value> {
        let request = self
            .with_token(self.agent.post(self.url(path)))?
            .header("prefer", "respond-async");
        self.answer(request.content_type("application/json").send(body))
    }

    /// Posts lines and gives the lines that come back, unread.
    pub fn post_lines(&self, path: &str, lines: &[u8]) -> Result<Vec<u8>> {
        let request = self.with_token(self.agent.post(self.url(path)))?;
        self.text(request.content_type("application/x-ndjson").send(lines))
    }

    /// Posts bytes and reads the JSON that comes back.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value> {
        let request = self.with_token(self.agent.post(self.url(path)))?;
        self.answer(request.content_type(content_type).send(body))
    }

    /// Posts bytes and gives those of a good answer, unread.
    pub fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>> {
        let request = self.with_token(self.agent.post(self.url(path)))?;
        self.text(request.content_type(content_type).send(body))
    }

    /// Posts a form of named files.
    pub fn post_parts(&self, path: &str, parts: &[(&str, &[u8])]) -> Result<Value> {
        let mut form = ureq::unversioned::multipart::Form::new();
        for (name, bytes) in parts {
            form = form.part(
                name,
                ureq::unversioned::multipart::Part::bytes(bytes).file_name(name),
            );
        }
        let request = self.with_token(self.agent.post(self.url(path)))?;
        self.answer(request.send(form))
    }

    /// Posts and gives the text of a good answer, unread.
    pub fn post_raw(&self, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let request = self.with_token(self.agent.post(self.url(path)))?;
        self.text(request.content_type("application/json").send(body))
    }

    fn with_token<B>(&self, request: RequestBuilder<B>) -> Result<RequestBuilder<B>> {
        if let Some(broken) = &self.broken {
            bail!("{broken}");
        }
        Ok(match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn answer(&self, response: Response) -> Result<Value> {
        serde_json::from_slice(&self.text(response)?)
            .context("the server's answer is no JSON; is it a Tidemill server?")
    }

    /// The text of a good answer; of a problem, what it says.
    fn text(&self, response: Response) -> Result<Vec<u8>> {
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST)
            .read_to_vec()?;
        if !response.status().is_success() {
            bail!(problem(&text));
        }
        Ok(text)
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        anyhow::anyhow!(
            "no answer from {}: {error}; start a server with `tidemill serve`, or give --server",
            self.base
        )
    }
}

/// A problem document in one sentence, with what came with it.
fn problem(body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let mut out = text("detail");
    let frames: Vec<&str> = problem["frames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !frames.is_empty() {
        out.push_str("\n  at ");
        out.push_str(&frames.join("\n  at "));
    }
    if let Ok(report) = serde_json::from_value::<Report>(problem["report"].clone()) {
        out.push_str(&format!("\n{report}"));
    }
    out
}
