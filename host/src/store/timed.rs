//! The keys of a history in sled: what they are of, and behind it time, arrival and place, so that they sort as they are asked
//! for.

use crate::error::{Error, Result};

/// Bytes behind what a key is of: time, arrival, place in the put.
pub const TIMES: usize = 8 + 8 + 4;

/// The key of what happened to `of`; such keys sort by time, arrival and place.
pub fn timed(of: &[u8], time: i64, arrival: i64, place: u32) -> Vec<u8> {
    let ordered = |time: i64| ((time as u64) ^ (1 << 63)).to_be_bytes();
    let mut out = Vec::with_capacity(of.len() + TIMES);
    out.extend_from_slice(of);
    out.extend_from_slice(&ordered(time));
    out.extend_from_slice(&ordered(arrival));
    out.extend_from_slice(&place.to_be_bytes());
    out
}

/// Time and arrival of a key.
pub fn times(key: &[u8]) -> Result<(i64, i64)> {
    let ordered = |bytes: [u8; 8]| (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64;
    let split = key.len().checked_sub(TIMES).and_then(|at| {
        let (time, rest) = key[at..].split_first_chunk()?;
        let (arrived, _) = rest.split_first_chunk()?;
        Some((ordered(*time), ordered(*arrived)))
    });
    split.ok_or_else(|| Error::Store("a key of a history is too short".to_owned()))
}
