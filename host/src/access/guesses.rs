//! How often an address came with a wrong token in this minute.
//!
//! A token has 256 random bits, so nobody guesses one; this bounds what the trying costs. It never stands in the way of a
//! valid token: that is looked up first, and only what fails is counted.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Failures an address may have in a minute before it is told to wait.
pub const A_MINUTE: u32 = 20;

/// Counters. Addresses that share one share their failures: that costs a stranger a 429 in place of a 401, nothing else.
const SLOTS: usize = 4096;

/// Of fixed size, whatever comes.
pub struct Guesses {
    /// The minute in the upper half, failures in it in the lower.
    slots: Box<[AtomicU64]>,
    /// Random, so that nobody chooses with whom to share.
    hasher: RandomState,
    started: Instant,
}

impl Default for Guesses {
    fn default() -> Guesses {
        Guesses {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            started: Instant::now(),
        }
    }
}

impl Guesses {
    /// Counts a failure; true where there have been too many in this minute. Loopback never has too many: behind a proxy
    /// on this machine everybody comes from there.
    pub fn failed(&self, peer: IpAddr) -> bool {
        self.failed_in(peer, self.started.elapsed().as_secs() / 60)
    }

    fn failed_in(&self, peer: IpAddr, minute: u64) -> bool {
        if peer.to_canonical().is_loopback() {
            return false;
        }
        let slot = self.hasher.hash_one(network(peer)) as usize % SLOTS;
        let next = |old: u64| match old >> 32 == minute & 0xffff_ffff {
            true => old.saturating_add(u64::from(old as u32 != u32::MAX)),
            false => (minute << 32) | 1,
        };
        let old = self.slots[slot]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(next(old)))
            .unwrap_or_else(|old| old);
        next(old) as u32 > A_MINUTE
    }
}

/// Who has one address of IPv6 has 2⁶⁴ of them.
fn network(peer: IpAddr) -> u64 {
    match peer.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_in_a_minute_and_a_new_minute() {
        let guesses = Guesses::default();
        let peer: IpAddr = "192.0.2.7".parse().unwrap();
        let count = || guesses.failed_in(peer, 5);
        assert!((0..A_MINUTE).all(|_| !count()));
        assert!(count() && count());
        assert!(!guesses.failed_in(peer, 6));
        assert!(!guesses.failed_in(peer, 7));
    }

    #[test]
    fn loopback_may_always_try_and_a_network_counts_as_one() {
        let guesses = Guesses::default();
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let local = local.parse().unwrap();
            assert!((0..100).all(|_| !guesses.failed_in(local, 1)));
        }
        for last in 0..A_MINUTE {
            let peer = format!("2001:db8::{last:x}").parse().unwrap();
            assert!(!guesses.failed_in(peer, 1));
        }
        assert!(guesses.failed_in("2001:db8::ffff".parse().unwrap(), 1));
    }
}
