//! HTTPS: who trusts the certificate scores, and who does not speak TLS holds up nobody.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tidemill::config::Tls;

use super::access::folder;
use super::command_line::{bad, good, tidemill};
use super::support::{Server, guest, signal, started, until};

/// An authority of the test's own, in `ca.pem`.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: &Path) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.join("ca.pem"), certificate.pem()).expect("it is written");
        Authority {
            dir: dir.to_owned(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for this machine, in `cert.pem` and `key.pem`.
    fn certify(&self) -> Tls {
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)
            .expect("names")
            .signed_by(&key, &self.issuer)
            .expect("a certificate");
        let files = Tls {
            certificate: self.dir.join("cert.pem"),
            key: self.dir.join("key.pem"),
        };
        std::fs::write(&files.certificate, certificate.pem()).expect("it is written");
        std::fs::write(&files.key, key.serialize_pem()).expect("it is written");
        files
    }
}

#[test]
fn a_client_that_trusts_the_authority_scores_and_others_hold_up_nobody() {
    let (data, token) = folder();
    let files = Authority::new(data.path()).certify();
    let path = data.path().to_owned();
    let server = Server::start(|config| {
        config.data_dir = path;
        config.server.tls = Some(files);
        config.server.listen = "0.0.0.0:0".parse().expect("an address");
    });
    assert!(server.url().starts_with("https://"));
    let run = |args: &[&str]| {
        let mut command = tidemill(args);
        command
            .args(["--server", server.url(), "--ca"])
            .arg(data.path().join("ca.pem"))
            .env("TIDEMILL_TOKEN", &token);
        command
    };
    let address = server.url().trim_start_matches("https://");
    // Clients that never finish their handshake: one that says nothing, one that stops in the middle of a record.
    let silent = TcpStream::connect(address).expect("a connection");
    let mut halting = TcpStream::connect(address).expect("a connection");
    halting
        .write_all(&[0x16, 3, 1, 2, 0, 1])
        .expect("it is sent");

    let component = data.path().join("good.wasm");
    std::fs::write(&component, guest("good")).expect("it is written");
    good(run(&["transform", "register"]).arg(&component));
    let service = data.path().join("service.toml");
    let text = "name = \"plus-one\"\n[request]\nx = \"f64\"\n[[transform]]\nuse = \"good\"\n";
    std::fs::write(&service, text).expect("it is written");
    good(run(&["service", "register"]).arg(&service));
    let score = ["score", "plus-one", "{\"x\": 41}", "--features-only"];
    let answer: Value = serde_json::from_str(&good(&mut run(&score))).expect("JSON");
    assert_eq!(answer["results"][0]["features"], json!({ "good.y": 42.0 }));

    let mut plain = TcpStream::connect(address).expect("a connection");
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .expect("it is sent");
    let mut told = String::new();
    plain.read_to_string(&mut told).expect("an answer");
    assert!(
        told.starts_with("HTTP/1.1 400 ") && told.contains("this port speaks TLS: use https://"),
        "{told}"
    );
    let mut noise = TcpStream::connect(address).expect("a connection");
    noise
        .write_all(&[0x16, 0xff, 0xff, 0, 4, 1, 2, 3, 4])
        .expect("it is sent");
    let mut rest = Vec::new();
    let _ = noise.read_to_end(&mut rest);
    good(&mut run(&score));

    let message = bad(tidemill(&score)
        .args(["--server", server.url()])
        .env("TIDEMILL_TOKEN", &token));
    assert!(message.contains("no answer from https://"), "{message}");
    let message = bad(tidemill(&score).args(["--server", server.url(), "--ca", "absent.pem"]));
    assert!(
        message.contains("cannot read the certificates in absent.pem"),
        "{message}"
    );
    let message = bad(tidemill(&score)
        .args(["--server", server.url(), "--ca"])
        .arg(&service));
    assert!(message.contains("no certificate is in"), "{message}");
    drop((silent, halting));
}

#[test]
fn sighup_reads_the_certificate_again_and_sigterm_drains() {
    let (data, token) = folder();
    let authority = Authority::new(data.path());
    let files = authority.certify();
    let config = data.path().join("config.toml");
    let text = format!(
        "[server.tls]\ncertificate = {:?}\nkey = {:?}\n[access]\nrequired = true",
        files.certificate, files.key
    );
    std::fs::write(&config, text).expect("it is written");
    let serve = || {
        let mut command = tidemill(&["serve", "--listen", "127.0.0.1:0", "--config"]);
        command.arg(&config).arg("--data-dir").arg(data.path());
        command
    };
    let (mut server, url) = started(&mut serve());
    assert!(url.starts_with("https://"), "{url}");
    let list = || {
        let mut command = tidemill(&["token", "list", "--server", &url, "--ca"]);
        command
            .arg(data.path().join("ca.pem"))
            .env("TIDEMILL_TOKEN", &token);
        command
    };
    good(&mut list());
    // Another authority, that the certificate which is shown now does not come from.
    Authority::new(data.path()).certify();
    bad(&mut list());
    // Half of a renewal: the old one is shown on.
    let key = std::fs::read(&files.key).expect("a key");
    std::fs::write(&files.key, "half").expect("it is written");
    signal(&server, "-HUP");
    bad(&mut list());
    std::fs::write(&files.key, key).expect("it is written");
    signal(&server, "-HUP");
    until("the certificate is read again", || {
        let listed = list().output().expect("the program starts");
        listed.status.success().then_some(())
    });
    signal(&server, "-TERM");
    assert!(server.0.wait().expect("it ends").success());

    std::fs::write(&files.key, "half").expect("it is written");
    let message = bad(&mut serve());
    assert!(
        message.contains("server.tls.key") && message.contains("no private key is in it"),
        "{message}"
    );
}
