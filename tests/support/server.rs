//! A server within the test's process, on port 0; it ends with the process at the latest.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidemill::app::App;
use tidemill::config::Config;
use tidemill::store::OnlineStore;
use tokio::runtime::Runtime;

use super::{guest, plugin, text};

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
        Server::start_around(change, |store| store)
    }

    /// As [`Server::start`], with another store around the online store.
    pub fn start_around(
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
        let app = Arc::new(App::open_with(config, store).expect("the server opens"));
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
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

    /// The folder of the feature log, with all in it that was answered so far.
    pub fn log(&self) -> PathBuf {
        self.app.flush().expect("the log is written");
        self.data.path().join("log")
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post_as(path, "application/json", body)
    }

    pub fn post_as(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        let request = self
            .agent
            .post(format!("{}{path}", self.url))
            .content_type(content_type);
        Answer::of(request.send(body.as_ref()).expect("the server answers"))
    }

    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let request = self
            .agent
            .put(format!("{}{path}", self.url))
            .content_type("application/json");
        Answer::of(request.send(body.as_ref()).expect("the server answers"))
    }

    pub fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(format!("{}{path}", self.url));
        Answer::of(request.call().expect("the server answers"))
    }

    pub fn get(&self, path: &str) -> Answer {
        Answer::of(
            self.agent
                .get(format!("{}{path}", self.url))
                .call()
                .expect("the server answers"),
        )
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
    }
}

impl Answer {
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

/// Every guest that is admitted and fails later, each behind a service of its own name that takes `x` and has no model.
/// The limits are small, so that faults come soon.
pub fn guests() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start(|config| {
            config.transforms.fuel = 50_000_000;
            config.transforms.memory_bytes = 16 << 20;
        });
        for name in super::super::bad_guests::ADMITTED {
            server.admit(&guest(name));
            server.define(
                "/v1/services",
                &format!("name = \"{name}\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"{name}@1\"\nas = \"guest\"\n"),
            );
        }
        server
    })
}
