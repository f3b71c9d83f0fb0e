//! One TOML file, every key with a default that runs. An unknown key is refused: it is a typing error more often than not.

mod documented;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::log;
use crate::span::Span;
use crate::transform::Limits;

/// The whole configuration. `tidemill serve --print-config` shows it with every default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept: the online store, the registry, artifacts, the compiled cache, the feature log.
    pub data_dir: PathBuf,
    pub server: Server,
    pub store: Store,
    pub transforms: Limits,
    pub log: Log,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that answer requests; 0 is one a core.
    pub threads: usize,
    /// Bytes of a request to score.
    pub body_limit: usize,
    /// Rows of a request to score.
    pub row_limit: usize,
    /// Bytes of a component, a model, or a batch of view rows.
    pub upload_limit: usize,
    /// Requests larger than this many bytes are answered on the batch threads, so that small ones need not wait.
    pub inline_bytes: usize,
    /// Seconds that requests in flight have to finish after SIGTERM.
    pub drain_seconds: u64,
    /// Requests to score that may be in flight at once, a quarter of them larger than inline_bytes; one more gets 503 and
    /// Retry-After.
    pub in_flight: usize,
    /// Milliseconds that those in flight may keep a new request waiting, going by what the last ones took; where it would
    /// be longer it gets 503. 0 lets it wait.
    pub wait_ms: u64,
    /// Bytes that the bodies of requests to score may take up at once; over it, 503.
    pub in_flight_bytes: usize,
    /// Seconds that the body of a request may keep the server waiting, and one more for each KiB that comes; after that, 408.
    pub body_seconds: u64,
    /// Connections that may be open at once; one more is told so and closed.
    pub connections: usize,
    /// Seconds after which a connection is closed that is idle, has not sent the whole head of a request, or does not read
    /// its answer.
    pub idle_seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// "sled": embedded, on disk; or "memory": gone when the server stops.
    pub kind: StoreKind,
    /// Threads that look-ups wait on, each with its own deadline, so that a slow disk holds up nobody else; 0 reads on the
    /// request's own thread, which is faster where the disk is.
    pub read_threads: usize,
    /// How long the rows of a view are kept behind the newest, such as "90d", for training sets and audits; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Span>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Embedded, on disk.
    #[default]
    Sled,
    /// Gone when the server stops.
    Memory,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Whether what the server saw and answered is kept at all.
    pub enabled: bool,
    #[serde(flatten)]
    pub settings: log::Settings,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: PathBuf::from("data"),
            server: Server::default(),
            store: Store::default(),
            transforms: Limits::default(),
            log: Log::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: SocketAddr::from(([127, 0, 0, 1], 8360)),
            threads: 0,
            body_limit: 16 << 20,
            row_limit: 100_000,
            upload_limit: 64 << 20,
            inline_bytes: 64 << 10,
            drain_seconds: 30,
            in_flight: 512,
            wait_ms: 250,
            in_flight_bytes: 256 << 20,
            body_seconds: 30,
            connections: 4096,
            idle_seconds: 75,
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            enabled: true,
            settings: log::Settings::default(),
        }
    }
}

impl Config {
    /// Reads a file; without one, the defaults.
    pub fn load(path: Option<&Path>) -> Result<Config> {
        let Some(path) = path else {
            return Ok(Config::default());
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::refused(format!("config file {}", path.display()), error.to_string())
        })?;
        Config::parse(&text)
            .map_err(|reason| Error::refused(format!("config file {}", path.display()), reason))
    }

    /// As a file, with what each key means.
    pub fn documented(&self) -> Result<String, toml::ser::Error> {
        documented::documented(self)
    }

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        config.check()?;
        Ok(config)
    }

    /// Says what cannot run.
    pub fn check(&self) -> Result<(), String> {
        if !self.server.listen.ip().is_loopback() {
            return Err(format!(
                "server.listen is {}: without access tokens the server listens on loopback only, such as 127.0.0.1:8360; \
                 put a proxy that authenticates in front of it",
                self.server.listen
            ));
        }
        for (key, value) in [
            ("server.body_limit", self.server.body_limit),
            ("server.row_limit", self.server.row_limit),
            ("server.upload_limit", self.server.upload_limit),
        ] {
            if value == 0 {
                return Err(format!("{key} is 0: nothing could be sent"));
            }
        }
        for (key, zero) in [
            ("server.in_flight", self.server.in_flight == 0),
            ("server.connections", self.server.connections == 0),
            ("server.body_seconds", self.server.body_seconds == 0),
            ("server.idle_seconds", self.server.idle_seconds == 0),
        ] {
            if zero {
                return Err(format!("{key} is 0: nothing could be answered"));
            }
        }
        if self.server.in_flight_bytes < self.server.body_limit {
            return Err(format!(
                "server.in_flight_bytes is {}, less than server.body_limit: a body of {} bytes would never be taken",
                self.server.in_flight_bytes, self.server.body_limit
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn a_typical_file_changes_what_it_names() {
        let config =
            Config::parse("data_dir = \"/var/lib/tidemill\"\n[server]\nlisten = \"127.0.0.1:0\"")
                .unwrap();
        let mut expected = Config {
            data_dir: "/var/lib/tidemill".into(),
            ..Config::default()
        };
        expected.server.listen = "127.0.0.1:0".parse().unwrap();
        assert_eq!(config, expected);
    }

    #[test]
    fn every_default_written_out_is_read_back() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(Config::parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn refusals_name_the_key() {
        for (text, named) in [
            ("[server]\nlissten = \"127.0.0.1:1\"", "lissten"),
            ("[transforms]\nfule = 1", "fule"),
            ("[log]\nqeue = 1", "qeue"),
            ("[server]\nlisten = \"0.0.0.0:80\"", "server.listen"),
            ("[server]\nrow_limit = 0", "server.row_limit"),
            ("[server]\nin_flight = 0", "server.in_flight"),
            ("[server]\nconnections = 0", "server.connections"),
            ("[server]\nbody_seconds = 0", "server.body_seconds"),
            ("[server]\nidle_seconds = 0", "server.idle_seconds"),
            ("[server]\nin_flight_bytes = 1000", "server.in_flight_bytes"),
            ("[store]\nkind = \"redis\"", "redis"),
        ] {
            let message = Config::parse(text).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
    }
}
