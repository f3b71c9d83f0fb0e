//! Where answers may be sent, as the configuration lists it.

use std::net::IpAddr;

use ureq::http::Uri;
use ureq::http::uri::Authority;

use super::Settings;
use crate::error::{Error, Result, listed};

/// The header that names where an answer goes; refusals name it too.
const HEADER: &str = "Tidemill-Callback";

/// A secret shorter than this is guessed sooner than one would like.
const SECRET_BYTES: usize = 16;

/// The hosts, and the secret that callbacks are signed with.
pub struct Allowed {
    hosts: Vec<Host>,
    listed: Vec<String>,
    secret: Option<Vec<u8>>,
}

/// One entry of `jobs.callback_hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Whether it is spoken to without TLS.
    plain: bool,
    /// In lower case; with `*.` before it, every name that ends so.
    name: String,
    /// None: the scheme's own.
    port: Option<u16>,
}

impl Host {
    /// Reads `hooks.example.com`, `*.example.com`, `127.0.0.1:9000`, each with `http://` or `https://` or without.
    fn parse(text: &str) -> Result<Host, String> {
        let wrong = |why: &str| {
            format!(
                "jobs.callback_hosts has \"{text}\", {why}; write hooks.example.com, hooks.example.com:8443, *.example.com \
                 or http://127.0.0.1:9000"
            )
        };
        let plain = text.strip_prefix("http://");
        let rest = plain.unwrap_or_else(|| text.strip_prefix("https://").unwrap_or(text));
        let name = rest.strip_prefix("*.").unwrap_or(rest);
        let authority: Authority = name.parse().map_err(|_| wrong("which is no host"))?;
        if name.contains(['@', '*']) || authority.host().is_empty() {
            return Err(wrong("which is no host"));
        }
        if name.len() < rest.len() && !authority.host().contains('.') {
            return Err(wrong("which is too wide"));
        }
        let star = if name.len() < rest.len() { "*." } else { "" };
        Ok(Host {
            plain: plain.is_some(),
            name: format!("{star}{}", authority.host().to_ascii_lowercase()),
            port: port(&authority).ok_or_else(|| wrong("which has no port that there is"))?,
        })
    }

    fn fits(&self, plain: bool, host: &str, port: u16) -> bool {
        let name = match self.name.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => self.name == host,
        };
        name && self.plain == plain && self.port.unwrap_or(default_port(plain)) == port
    }

    /// The address itself, where the entry is one: then it may be one that names may not lead to.
    pub fn literal(&self) -> Option<IpAddr> {
        self.name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    }
}

fn default_port(plain: bool) -> u16 {
    if plain { 80 } else { 443 }
}

/// The port, if one is given; none where what is given is no port.
fn port(authority: &Authority) -> Option<Option<u16>> {
    // `Authority::port` passes over what it cannot read.
    match authority.as_str().strip_prefix(authority.host())? {
        "" => Some(None),
        given => given.strip_prefix(':')?.parse().ok().map(Some),
    }
}

/// The hosts of a configuration.
pub fn hosts(settings: &Settings) -> Result<Vec<Host>, String> {
    settings
        .callback_hosts
        .iter()
        .map(|text| Host::parse(text))
        .collect()
}

impl Allowed {
    /// Reads the secret, so that a server without it does not start.
    pub fn new(settings: &Settings) -> Result<Allowed> {
        let refused = |reason| Error::refused("the configuration", reason);
        let secret = match &settings.callback_secret_file {
            None => None,
            Some(path) => {
                let what = format!("jobs.callback_secret_file {}", path.display());
                let secret = std::fs::read(path)
                    .map_err(|error| refused(format!("{what} cannot be read: {error}")))?;
                let secret = secret.trim_ascii().to_vec();
                if secret.len() < SECRET_BYTES {
                    let found = secret.len();
                    return Err(refused(format!(
                        "{what} holds {found} bytes; a secret has {SECRET_BYTES} at least, such as `openssl rand -hex 32` writes"
                    )));
                }
                Some(secret)
            }
        };
        Ok(Allowed {
            hosts: hosts(settings).map_err(refused)?,
            listed: settings.callback_hosts.clone(),
            secret,
        })
    }

    /// What to sign with.
    pub fn secret(&self) -> Option<&[u8]> {
        self.secret.as_deref()
    }

    /// The entry that allows an answer to be sent to `url`.
    pub fn check(&self, url: &str) -> Result<&Host> {
        let refuse = |message: String| Err(Error::invalid(HEADER, message));
        if self.secret.is_none() {
            return refuse("answers are not sent from here: the server has no jobs.callback_secret_file; fetch the answer from /v1/jobs/{id}/result".to_owned());
        }
        let uri: Uri = match url.parse() {
            Ok(uri) => uri,
            Err(error) => return refuse(format!("\"{url}\" is no URL: {error}")),
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return refuse(format!(
                "\"{url}\" is no URL such as https://hooks.example.com/scored"
            ));
        };
        let plain = match scheme {
            "https" => false,
            "http" => true,
            other => return refuse(format!("{other} is not spoken here; write https")),
        };
        if authority.as_str().contains('@') {
            return refuse(
                "a URL with a user in it is not taken: the signature says who sends".to_owned(),
            );
        }
        let host = authority.host().to_ascii_lowercase();
        let Some(port) = port(authority) else {
            return refuse(format!("\"{url}\" has no port that there is"));
        };
        let port = port.unwrap_or(default_port(plain));
        match self
            .hosts
            .iter()
            .find(|known| known.fits(plain, &host, port))
        {
            Some(known) => Ok(known),
            None => refuse(format!(
                "{scheme}://{host}:{port} is not in jobs.callback_hosts, which an admin of this server sets; {}",
                listed("host", &self.listed)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &[&str]) -> Allowed {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "0123456789abcdef\n").unwrap();
        Allowed::new(&Settings {
            callback_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            callback_secret_file: Some(secret),
            ..Settings::default()
        })
        .unwrap()
    }

    #[test]
    fn only_what_is_listed_as_it_is_listed() {
        let allowed = allowed(&[
            "hooks.example.com",
            "*.example.org:8443",
            "http://127.0.0.1:9000",
            "https://[::1]:9001",
        ]);
        for url in [
            "https://hooks.example.com/scored?x=1",
            "https://HOOKS.example.com:443/",
            "https://a.b.example.org:8443/",
            "http://127.0.0.1:9000/x",
            "https://[::1]:9001/",
        ] {
            allowed.check(url).unwrap();
        }
        for url in [
            "http://hooks.example.com/",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com.evil.net/",
            "https://evil-hooks.example.com/",
            "https://hooks.example.com@evil.net/",
            "https://evil.net/hooks.example.com",
            "https://evil.net/#hooks.example.com",
            "https://example.org:8443/",
            "https://evilexample.org:8443/",
            "https://.example.org:8443/",
            "https://127.0.0.1:9000/",
            "http://127.0.0.1/",
            "http://127.1:9000/",
            "http://2130706433:9000/",
            "http://localhost:9000/",
            "https://hooks.example.com:99999/",
            "https://hooks.example.com.:443/",
            "file:///etc/passwd",
            "ftp://hooks.example.com/",
            "//hooks.example.com/",
            "hooks.example.com",
            "",
            "https://",
        ] {
            let message = allowed.check(url).map(drop).unwrap_err().to_string();
            assert!(
                message.starts_with("Tidemill-Callback: "),
                "{url}: {message}"
            );
        }
        let message = allowed
            .check("https://evil.net/")
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("https://evil.net:443 is not in jobs.callback_hosts")
                && message.contains("there are hooks.example.com, *.example.org:8443"),
            "{message}"
        );
    }

    #[test]
    fn entries_that_are_no_hosts_are_refused_by_name() {
        for entry in [
            "*",
            "*.com",
            "",
            "https://",
            "a/b",
            "user@host",
            "host:port",
            "a.*.com",
            "host:99999",
        ] {
            let message = Host::parse(entry).unwrap_err();
            assert!(
                message.contains("jobs.callback_hosts") && message.contains(entry),
                "{message}"
            );
        }
    }

    #[test]
    fn a_secret_is_needed_and_has_a_length() {
        let without = Allowed::new(&Settings {
            callback_hosts: vec!["hooks.example.com".to_owned()],
            ..Settings::default()
        })
        .unwrap();
        let message = without
            .check("https://hooks.example.com/")
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(message.contains("jobs.callback_secret_file"), "{message}");

        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        for (text, expected) in [
            (None, "cannot be read"),
            (Some(" short\n"), "holds 5 bytes"),
        ] {
            if let Some(text) = text {
                std::fs::write(&secret, text).unwrap();
            }
            let settings = Settings {
                callback_secret_file: Some(secret.clone()),
                ..Settings::default()
            };
            let message = Allowed::new(&settings).map(drop).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
