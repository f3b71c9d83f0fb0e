//! The certificate the server shows, and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::error::{Error, Result};

/// What is shown now; [`Certificate::reload`] shows another to those who come later.
pub struct Certificate {
    files: Tls,
    current: ArcSwap<ServerConfig>,
}

impl Certificate {
    pub fn load(files: Tls) -> Result<Certificate> {
        let current = ArcSwap::from(read(&files)?);
        Ok(Certificate { files, current })
    }

    /// Reads both files again. Where that fails, what was shown is shown on.
    pub fn reload(&self) -> Result<()> {
        self.current.store(read(&self.files)?);
        Ok(())
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn read(files: &Tls) -> Result<Arc<ServerConfig>> {
    let (certificate, key) = (&files.certificate, &files.key);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&bytes("certificate", certificate)?)
            .collect::<Result<_, _>>()
            .map_err(|error| refused("certificate", certificate, says(&error)))?;
    if chain.is_empty() {
        return Err(refused(
            "certificate",
            certificate,
            "no certificate is in it; a PEM file with -----BEGIN CERTIFICATE----- belongs here",
        ));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes("key", key)?).map_err(|error| {
        let what = match error {
            pem::Error::NoItemsFound => {
                "no private key is in it; a PEM file with -----BEGIN PRIVATE KEY-----, unencrypted, belongs here"
                    .to_owned()
            }
            error => says(&error),
        };
        refused("key", key, what)
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Internal(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => refused(
                "key",
                key,
                format!(
                    "it is not the key of the certificate in {}",
                    certificate.display()
                ),
            ),
            rustls::Error::InvalidCertificate(_) => {
                refused("certificate", certificate, error.to_string())
            }
            error => refused("key", key, error.to_string()),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn bytes(name: &str, path: &PathBuf) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| refused(name, path, format!("it cannot be read: {error}")))
}

fn says(error: &pem::Error) -> String {
    format!("it is no PEM file: {error}")
}

fn refused(name: &str, path: &Path, reason: impl Into<String>) -> Error {
    Error::refused(format!("server.tls.{name} {}", path.display()), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_file_and_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let pair = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (pair(), pair());
        let certificate = write("cert.pem", &one.cert.pem());
        let key = write("key.pem", &one.signing_key.serialize_pem());
        let foreign = write("other.pem", &other.signing_key.serialize_pem());
        let noise = write("noise.pem", "no PEM at all");
        let broken = write(
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n",
        );
        let nonsense = write(
            "nonsense.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let absent = dir.path().join("absent.pem");
        let load = |certificate: &Path, key: &Path| {
            Certificate::load(Tls {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            })
        };
        assert!(load(&certificate, &key).is_ok());
        for (certificate, key, file, message) in [
            (&absent, &key, &absent, "it cannot be read: No such file"),
            (&noise, &key, &noise, "no certificate is in it"),
            (&broken, &key, &broken, "it is no PEM file"),
            (&nonsense, &key, &nonsense, "invalid peer certificate"),
            (&certificate, &absent, &absent, "it cannot be read"),
            (
                &certificate,
                &certificate,
                &certificate,
                "no private key is in it",
            ),
            (
                &certificate,
                &foreign,
                &foreign,
                "it is not the key of the certificate in",
            ),
        ] {
            let told = load(certificate, key).err().unwrap().to_string();
            assert!(
                told.contains(&file.display().to_string()) && told.contains(message),
                "{told}"
            );
        }
    }
}
