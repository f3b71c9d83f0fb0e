//! The program as it is installed: a server in a process of its own, that can be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Killed when it is dropped.
pub struct Process(pub Child);

impl Process {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `tidemill serve` on a free port; its address.
pub fn serve(data: &Path) -> (Process, String) {
    started(&mut serving(data))
}

/// `tidemill serve` on a free port, not started yet.
pub fn serving(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data);
    command
}

/// Starts a server; its address.
#[track_caller]
pub fn started(command: &mut Command) -> (Process, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut line)
        .expect("a line");
    let url = line
        .trim()
        .strip_prefix("listening on ")
        .expect("its address")
        .to_owned();
    (Process(child), url)
}

/// Sends a signal such as `-TERM`.
pub fn signal(process: &Process, name: &str) {
    let sent = Command::new("kill")
        .args([name, &process.id().to_string()])
        .status()
        .expect("kill");
    assert!(sent.success());
}

/// Ends a server as an operator would.
pub fn stop(mut server: Process) {
    signal(&server, "-TERM");
    assert!(server.0.wait().expect("it ends").success());
}

/// Asks such a server; the status and the body, as text where it is no JSON.
pub fn send(method: &str, url: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let sent = match method {
        "GET" => agent.get(url).call(),
        "PUT" => agent.put(url).content_type(kind).send(body),
        _ => agent.post(url).content_type(kind).send(body),
    };
    let mut response = sent.expect("the server answers");
    let text = response.body_mut().read_to_string().expect("text");
    let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (response.status().as_u16(), json)
}
