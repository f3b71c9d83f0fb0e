//! Sending an answer to whoever asked for it: signed, tried again for a while, and nowhere else.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

use super::address::{NotPublic, PublicOnly};
use super::allowed::Allowed;
use super::{Callback, Delivery, Record, Settings};
use crate::clock;
use crate::digest::hex;
use crate::error::Error;

/// The wait between two tries, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How a try ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried {
    Delivered,
    /// It may go better another time.
    Failed(String),
    /// It will not.
    Refused(String),
}

/// `v1=` and the HMAC-SHA256 of `timestamp.body` in hexadecimal.
pub fn signature(secret: &[u8], timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1={}", hex(&mac.finalize().into_bytes()))
}

/// Posts `body` once.
pub fn send(
    allowed: &Allowed,
    settings: &Settings,
    record: &Record,
    url: &str,
    body: &[u8],
) -> Tried {
    // The configuration may have changed since the job was accepted.
    let (host, secret) = match (allowed.check(url), allowed.secret()) {
        (Ok(host), Some(secret)) => (host, secret),
        (Err(Error::Invalid { message, .. }), _) => return Tried::Refused(message),
        _ => return Tried::Refused("nothing is sent from here".to_owned()),
    };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // A redirect would lead past the list of hosts.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A proxy would connect in our stead, past the look at the address.
        .proxy(None)
        .timeout_global(Some(settings.callback_timeout.0))
        // As the system trusts them, so that an admin can add an authority of their own.
        .tls_config(
            TlsConfig::builder()
                .root_certs(RootCerts::PlatformVerifier)
                .build(),
        )
        .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
        .build();
    let resolver = PublicOnly {
        literal: host.literal(),
    };
    let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
    let timestamp = Timestamp::now().as_second();
    let kind = match record.problem {
        None => "application/json",
        Some(_) => "application/problem+json",
    };
    let response = agent
        .post(url)
        .content_type(kind)
        .header("Tidemill-Job", record.id.to_string())
        .header("Tidemill-Timestamp", timestamp.to_string())
        .header("Tidemill-Signature", signature(secret, timestamp, body))
        .send(body);
    // Of what comes back only the status is read: the rest could be endless.
    match response.map(|response| response.status()) {
        Ok(status) if status.is_success() => Tried::Delivered,
        Ok(status) if status.is_redirection() => {
            Tried::Failed(format!("it said {status}; redirects are not followed"))
        }
        Ok(status) if status.as_u16() == 410 => {
            Tried::Refused(format!("it said {status}: nobody wants it any more"))
        }
        Ok(status) => Tried::Failed(format!("it said {status}")),
        Err(ureq::Error::Other(error)) if error.is::<NotPublic>() => {
            Tried::Refused(error.to_string())
        }
        Err(error) => Tried::Failed(error.to_string()),
    }
}

impl Callback {
    /// Notes how a try ended, and when the next one is.
    pub(super) fn tried(&mut self, outcome: Tried, settings: &Settings) {
        self.attempts += 1;
        self.next_at = None;
        (self.state, self.error) = match outcome {
            Tried::Delivered => (Delivery::Delivered, None),
            Tried::Refused(error) => (Delivery::Failed, Some(error)),
            Tried::Failed(error) if self.attempts >= settings.callback_attempts => {
                (Delivery::Failed, Some(error))
            }
            Tried::Failed(error) => {
                let wait = wait(settings.callback_backoff.0, self.attempts, chance());
                self.next_at = clock::now().checked_add(wait).ok();
                (Delivery::Pending, Some(error))
            }
        };
    }
}

/// The wait after `attempts` tries: twice as long each time, and of that between half and all, so that those who failed
/// together do not come back together. `chance` is from 0 to 1.
fn wait(first: Duration, attempts: u32, chance: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + chance / 2.0)
}

/// A number from 0 to 1 that nobody can count on: the seeds of hash maps are random.
fn chance() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(
            signature(b"0123456789abcdef", 1_700_000_000, b"{\"a\":1}"),
            "v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23"
        );
    }

    #[test]
    fn waits_double_up_to_an_hour_and_vary_by_half() {
        let first = Duration::from_secs(2);
        assert_eq!(wait(first, 1, 1.0), Duration::from_secs(2));
        assert_eq!(wait(first, 1, 0.0), Duration::from_secs(1));
        assert_eq!(wait(first, 4, 1.0), Duration::from_secs(16));
        assert_eq!(wait(first, 40, 1.0), LONGEST_WAIT);
        assert_eq!(wait(first, u32::MAX, 0.0), LONGEST_WAIT / 2);
        assert!((0.0..=1.0).contains(&chance()));
    }
}
