//! One TOML file, every key with a default that runs. An unknown key is refused: it is a typing error more often than not.

mod documented;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::drift;
use crate::error::{Error, Result};
use crate::jobs;
use crate::log;
use crate::shadow;
use crate::skew;
use crate::span::Span;
use crate::transform::Limits;

/// The whole configuration. `tidemill serve --print-config` shows it with every default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept: the online store, the registry, artifacts, the compiled cache, the feature log.
    pub data_dir: PathBuf,
    pub server: Server,
    pub access: Access,
    pub store: Store,
    pub transforms: Limits,
    pub log: Log,
    pub skew: skew::Settings,
    pub drift: drift::Settings,
    pub jobs: jobs::Settings,
    /// How much the shadows of aliases may take.
    pub shadow: shadow::Settings,
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
    /// HTTPS in place of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// PEM files. They are read at the start, and again on SIGHUP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate first, then those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key, unencrypted.
    pub key: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Tokens are needed on loopback too. Where the server listens elsewhere they always are.
    pub required: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// "sled": embedded, on disk; or "memory": gone when the server stops.
    pub kind: StoreKind,
    /// Threads that look-ups wait on, each with its own deadline, so that a slow disk holds up nobody else; a look-up that
    /// finds all of them busy waits its turn. 0 reads on the request's own thread, which is faster where the disk is.
    pub read_threads: usize,
    /// Of each view in sled so many bytes of rows that are asked for often are kept at hand in memory.
    pub hot_bytes: usize,
    /// How long the rows of a view are kept behind the newest, such as "90d", for training sets and audits; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Span>,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            kind: StoreKind::default(),
            read_threads: 0,
            hot_bytes: 32 << 20,
            history: None,
        }
    }
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
            access: Access::default(),
            store: Store::default(),
            transforms: Limits::default(),
            log: Log::default(),
            skew: skew::Settings::default(),
            drift: drift::Settings::default(),
            jobs: jobs::Settings::default(),
            shadow: shadow::Settings::default(),
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
            tls: None,
            in_flight: 2048,
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
        if !(0.0..=1.0).contains(&self.skew.share) {
            return Err(format!(
                "skew.share is {}: it is a share of the requests, from 0 to 1",
                self.skew.share
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
        if self.shadow.threads == 0 {
            return Err("shadow.threads is 0: no shadow would ever run; 1 is least, and aliases without shadows use none".to_owned());
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
        self.drift.check()?;
        self.jobs.check()
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
    fn a_server_for_others_names_its_certificate() {
        let config = Config::parse(
            "[server]\nlisten = \"0.0.0.0:8360\"\n[server.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
             [access]\nrequired = true",
        )
        .unwrap();
        let mut expected = Config::default();
        expected.server.listen = "0.0.0.0:8360".parse().unwrap();
        expected.server.tls = Some(Tls {
            certificate: "cert.pem".into(),
            key: "key.pem".into(),
        });
        expected.access.required = true;
        assert_eq!(config, expected);
        let everything = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&everything).unwrap(), config);
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
            ("[server]\nlisten = \"everywhere\"", "listen"),
            ("[server.tls]\ncertificate = \"cert.pem\"", "key"),
            (
                "[server.tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\npassword = \"x\"",
                "password",
            ),
            ("[access]\nrequried = true", "requried"),
            ("[access]\nrequired = \"yes\"", "required"),
            ("[server]\nrow_limit = 0", "server.row_limit"),
            ("[shadow]\nthreads = 0", "shadow.threads"),
            ("[shadow]\nqueue = 0", "queue"),
            ("[server]\nin_flight = 0", "server.in_flight"),
            ("[server]\nconnections = 0", "server.connections"),
            ("[server]\nbody_seconds = 0", "server.body_seconds"),
            ("[server]\nidle_seconds = 0", "server.idle_seconds"),
            ("[server]\nin_flight_bytes = 1000", "server.in_flight_bytes"),
            ("[store]\nkind = \"redis\"", "redis"),
            ("[skew]\nshare = 2.0", "skew.share"),
            ("[drift]\nwindow = \"0s\"", "drift.window"),
            ("[drift]\nrows_per_second = 0", "drift.rows_per_second"),
            ("[drift]\nwindwo = \"1h\"", "windwo"),
            ("[jobs]\nwrokers = 2", "wrokers"),
            ("[jobs]\nworkers = 0", "jobs.workers"),
            ("[jobs]\nkeep = \"a day\"", "a day"),
            ("[jobs]\ncallback_hosts = [\"*\"]", "jobs.callback_hosts"),
        ] {
            let message = Config::parse(text).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
    }
}
