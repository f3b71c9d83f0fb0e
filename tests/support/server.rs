//! A server within the test's process, on port 0; it ends with the process at the latest.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidemill::app::App;
use tidemill::config::Config;
use tidemill::store::OnlineStore;
use tokio::runtime::Runtime;

use super::{conforms, guest, plugin, text};

pub struct Server {
    url: String,
    agent: ureq::Agent,
    app: Arc<App>,
    _runtime: Runtime,
    data: TempDir,
}

/// Status and body. `json` is null where the body is no JSON.
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub json: Value,
    pub text: String,
}

impl Server {
    /// A server with every default but what `change` changes, and nothing registered.
    pub fn start(change: impl FnOnce(&mut Config)) -> Server {
        Server::start_with(change, |store| store)
    }

    /// As [`Server::start`], with another online store around the configured one.
    pub fn start_with(
        change: impl FnOnce(&mut Config),
        store: impl FnOnce(Arc<dyn OnlineStore>) -> Arc<dyn OnlineStore>,
    ) -> Server {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let mut config = Config {
            data_dir: data.path().to_owned(),
            ..Config::default()
        };
        config.server.listen = "127.0.0.1:0".parse().expect("an address");
        change(&mut config);
        let listen = config.server.listen;
        let app = Arc::new(App::open_with(config, store).expect("the server opens"));
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(listen))
            .expect("a free port");
        // Wherever it listens, the test comes over loopback.
        let scheme = app.access.tls.as_ref().map_or("http", |_| "https");
        let port = listener.local_addr().expect("an address").port();
        let url = format!("{scheme}://127.0.0.1:{port}");
        runtime.spawn(tidemill::http::serve(
            app.clone(),
            listener,
            std::future::pending(),
        ));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        Server {
            url,
            agent,
            app,
            _runtime: runtime,
            data,
        }
    }

    /// A server with the service `next`, which has no fault: what is asked after one, to see that the server goes on.
    pub fn with_next(change: impl FnOnce(&mut Config)) -> Server {
        let server = Server::start(change);
        server.admit(&guest("good"));
        server.define(
            "/v1/services",
            "name = \"next\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"good\"\n",
        );
        server
    }

    /// Asks the service `next`, which must answer.
    #[track_caller]
    pub fn goes_on(&self) {
        let next = self.post("/v1/services/next/features", "{\"inputs\": {\"x\": 1}}");
        assert_eq!(next.status, 200, "{}", next.text);
        assert_eq!(
            next.json["results"][0]["features"],
            json!({ "good.y": 2.0 })
        );
    }

    /// The folder of the feature log, with all in it that was answered so far.
    pub fn log(&self) -> PathBuf {
        self.app.flush().expect("the log is written");
        self.data.path().join("log")
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Copies all that the server keeps into another folder, for another server.
    pub fn copy(&self, to: &Path) {
        self.app.flush().expect("all is on disk");
        let status = Command::new("cp")
            .arg("-a")
            .arg(self.data.path().join("."))
            .arg(to)
            .status();
        assert!(status.expect("cp").success());
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends what a test made up; `headers` are lines such as `host: evil.example`.
    pub fn raw(&self, request: &str, headers: &[&str], body: &str) -> Answer {
        let mut text = format!("{request} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|line| line.starts_with("host:")) {
            text += "host: 127.0.0.1\r\n";
        }
        for line in headers {
            text += &format!("{line}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{body}", body.len());
        let (_, address) = self.url.split_once("://").expect("a url");
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(text.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (method, target) = request.split_once(' ').expect("a method and a path");
        Answer::read(&answer).checked(method, target)
    }

    /// Asks for a score, as often and as quickly as one likes: the answer is not held against the document.
    pub fn score(&self, service: &str, body: &str) -> (u16, String) {
        self.ask(&format!("/v1/services/{service}/score"), body)
    }

    /// As [`Server::score`], under any path.
    pub fn ask(&self, path: &str, body: &str) -> (u16, String) {
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .content_type("application/json");
        let mut response = request.send(body).expect("the server answers");
        let text = response.body_mut().read_to_string().expect("text");
        (response.status().as_u16(), text)
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post_as(path, "application/json", body)
    }

    pub fn post_as(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .content_type(content_type);
        Answer::of(request.send(body.as_ref()).expect("the server answers")).checked("POST", path)
    }

    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let request = self
            .agent
            .put(format!("{}{path}", self.url))
            .content_type("application/json");
        Answer::of(request.send(body.as_ref()).expect("the server answers")).checked("PUT", path)
    }

    pub fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(format!("{}{path}", self.url));
        Answer::of(request.call().expect("the server answers")).checked("DELETE", path)
    }

    pub fn get(&self, path: &str) -> Answer {
        Answer::of(
            self.agent
                .get(format!("{}{path}", self.url))
                .call()
                .expect("the server answers"),
        )
        .checked("GET", path)
    }

    /// The bytes of an answer.
    pub fn get_bytes(&self, path: &str) -> (u16, String, Vec<u8>) {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.url))
            .call()
            .expect("the server answers");
        let content_type = response.headers()["content-type"].to_str().expect("text");
        let content_type = content_type.to_owned();
        let bytes = response.body_mut().read_to_vec().expect("a body");
        (response.status().as_u16(), content_type, bytes)
    }

    /// Files in a folder of the server's data, which may not be there.
    pub fn files_in(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.data.path().join(folder));
        entries
            .into_iter()
            .flatten()
            .map(|entry| {
                let name = entry.expect("an entry").file_name();
                name.to_string_lossy().into_owned()
            })
            .collect()
    }

    /// Registers a component; the server must admit it.
    pub fn admit(&self, component: &[u8]) {
        let answer = self.post_as("/v1/transforms", "application/wasm", component);
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    /// Registers a view or a service in TOML.
    pub fn define(&self, path: &str, definition: &str) {
        let answer = self.post_as(path, "application/toml", definition);
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    /// Registers the flight model.
    pub fn admit_model(&self) -> Answer {
        let onnx =
            std::fs::read(super::file("demo/flights/model/flight-delay.onnx")).expect("the model");
        let manifest = text("demo/flights/model/flight-delay.json");
        self.post_parts(
            "/v1/models",
            &[("model", &onnx), ("manifest", manifest.as_bytes())],
        )
    }

    pub fn post_parts(&self, path: &str, parts: &[(&str, &[u8])]) -> Answer {
        let mut form = ureq::unversioned::multipart::Form::new();
        for (name, bytes) in parts {
            form = form.part(
                name,
                ureq::unversioned::multipart::Part::bytes(bytes).file_name(name),
            );
        }
        Answer::of(
            self.agent
                .post(format!("{}{path}", self.url))
                .send(form)
                .expect("the server answers"),
        )
        .checked("POST", path)
    }
}

impl Answer {
    /// Itself, if it is what the OpenAPI document says.
    fn checked(self, method: &str, target: &str) -> Answer {
        let body = match self.text.starts_with("HTTP/1.1 ") {
            true => self
                .text
                .split_once("\r\n\r\n")
                .map_or("", |(_, body)| body),
            false => &self.text,
        };
        conforms::check(method, target, self.status, &self.content_type, body);
        self
    }

    /// An answer as it came, its length given.
    fn read(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
                .next()
        };
        Answer {
            status: status.parse().expect("a status"),
            content_type: header("content-type").unwrap_or_default(),
            json: serde_json::from_str(body).unwrap_or(Value::Null),
            text: text.to_owned(),
        }
    }

    fn of(mut response: ureq::http::Response<ureq::Body>) -> Answer {
        let status = response.status().as_u16();
        let header = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let content_type = header.unwrap_or("").to_owned();
        let text = response
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()
            .expect("a body of text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            content_type,
            json,
            text,
        }
    }
}

/// The flight service with its views, planes and airports; no weather yet. Shared: only read from it.
pub fn flights() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start(|_| {});
        register_flights(&server);
        server
    })
}

/// Registers everything the flight service needs, and the service.
pub fn register_flights(server: &Server) {
    for name in [
        "departure-delay",
        "great-circle",
        "local-calendar",
        "weather-risk",
    ] {
        server.admit(&plugin(name));
    }
    for view in ["plane", "airport", "weather"] {
        server.define("/v1/views", &text(&format!("demo/flights/{view}.toml")));
    }
    for (view, rows) in [("plane", "planes"), ("airport", "airports")] {
        super::super::command_line::load(server, view, &format!("demo/flights/{rows}.parquet"));
    }
    let model = server.admit_model();
    assert_eq!(model.status, 201, "{}", model.text);
    server.define("/v1/services", &text("demo/flights/flight-delay.toml"));
}

/// The card service with its customers.
pub fn cards() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start(|_| {});
        server.admit(&plugin("card-payment"));
        server.define("/v1/views", &text("demo/cards/customer.toml"));
        let rows = server.post_as(
            "/v1/views/customer/rows",
            "application/x-ndjson",
            text("demo/cards/customers.ndjson"),
        );
        assert_eq!(
            rows.json,
            json!({ "rows": 300, "stored": 300, "outdated": 0 })
        );
        server.define("/v1/services", &text("demo/cards/card-features.toml"));
        server
    })
}

/// Guests that are admitted and are wrong where x is 13.
const ADMITTED: [&str; 17] = [
    "endless-loop",
    "fails",
    "invalid-utf8",
    "leaks",
    "memory-bomb",
    "nan-and-infinities",
    "out-of-range",
    "oversized-answer",
    "panics",
    "refuses",
    "short-pool",
    "stack-overflow",
    "unreachable",
    "wrong-refusals",
    "wrong-row-count",
    "wrong-text-ends",
    "wrong-type",
];

/// Every guest that is admitted and fails later, each behind a service of its own name that takes `x` and has no model.
/// The limits are small, so that faults come soon.
pub fn guests() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start(|config| {
            config.transforms.fuel = 50_000_000;
            config.transforms.memory_bytes = 16 << 20;
        });
        for name in ADMITTED {
            server.admit(&guest(name));
            server.define(
                "/v1/services",
                &format!("name = \"{name}\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"{name}@1\"\nas = \"guest\"\n"),
            );
        }
        server
    })
}
