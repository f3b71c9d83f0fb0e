//! A client of a running server.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

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
}

/// One connection, kept open.
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

type Response = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// Bytes of an answer that are read.
const LARGEST: u64 = 1 << 30;

impl ServerArg {
    pub fn client(&self) -> Client {
        Client::new(&self.server)
    }
}

impl Client {
    pub fn new(base: &str) -> Client {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(300)))
            .build()
            .into();
        Client {
            agent,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let response = self.agent.get(self.url(path)).call();
        self.answer(response)
    }

    /// The bytes of a good answer.
    pub fn get_raw(&self, path: &str) -> Result<Vec<u8>> {
        self.text(self.agent.get(self.url(path)).call())
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.put(self.url(path));
        let response = request
            .content_type("application/json")
            .send(body.to_string().as_bytes());
        self.answer(response)
    }

    pub fn delete(&self, path: &str) -> Result<Value> {
        let response = self.agent.delete(self.url(path)).call();
        self.answer(response)
    }

    /// Posts bytes and reads the JSON that comes back.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value> {
        let response = self
            .agent
            .post(self.url(path))
            .content_type(content_type)
            .send(body);
        self.answer(response)
    }

    /// Posts bytes and gives those of a good answer, unread.
    pub fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>> {
        let request = self.agent.post(self.url(path)).content_type(content_type);
        self.text(request.send(body))
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
        let response = self.agent.post(self.url(path)).send(form);
        self.answer(response)
    }

    /// Posts and gives the text of a good answer, unread.
    pub fn post_raw(&self, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let request = self
            .agent
            .post(self.url(path))
            .content_type("application/json");
        self.text(request.send(body))
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
