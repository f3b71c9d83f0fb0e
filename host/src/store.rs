//! The online store: of each entity of a view, the newest row by event time, and behind it every row that ever came.
//!
//! Which row a look-up means is one rule, online and offline ([`AsOf`]): of the rows whose event is not after the asking
//! one, and that had arrived by then, the one with the latest event; of equal events the one that arrived last. So a row
//! that comes late, twice, out of order or from the future changes nothing that was before it.
//!
//! A store knows bytes: keys as [`key`] writes them, rows as [`row`] does. It never looks inside either.

pub mod key;
mod memory;
pub mod row;
mod sled;
#[cfg(test)]
mod tests;
mod threads;
pub mod timed;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

pub use self::memory::MemoryStore;
pub use self::sled::SledStore;
pub(crate) use self::sled::failed;
pub use self::threads::ThreadedStore;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::view::View;

/// What became of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LookUpStatus)]
pub enum Status {
    Present,
    /// The key, or a part of it, was null.
    Null,
    NotFound,
    /// There is a row, but its event time is too long ago.
    OutsideMaxAge,
    /// The store had not answered in time.
    TimedOut,
    /// The store failed.
    Failed,
}

impl Status {
    pub const COUNT: usize = 6;

    pub const ALL: [Status; Status::COUNT] = [
        Status::Present,
        Status::Null,
        Status::NotFound,
        Status::OutsideMaxAge,
        Status::TimedOut,
        Status::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Present => "present",
            Status::Null => "null",
            Status::NotFound => "not_found",
            Status::OutsideMaxAge => "outside_max_age",
            Status::TimedOut => "timed_out",
            Status::Failed => "failed",
        }
    }
}

/// Where the rows of views are kept for serving.
pub trait OnlineStore: Send + Sync {
    /// The rows of the view of that name, none yet where it is new. Not for the request path: resolve it once, keep it.
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>>;

    /// Waits till everything put so far would survive a crash of the machine.
    fn flush(&self) -> Result<()>;
}

/// The rows of one view.
pub trait ViewRows: Send + Sync {
    fn name(&self) -> &str;

    /// Calls `found` with the row of that key that is meant; false if there is none. No lock that other views share is
    /// taken.
    fn get(&self, key: &[u8], as_of: AsOf, found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Whether a read waits for something other than this machine's memory and disk. Then rows are asked for by `fetch`,
    /// beside whatever else there is to do, and given up when they are late.
    fn waits(&self) -> bool {
        false
    }

    /// The rows that are meant, in one round trip. To drop the future is to give the read up.
    fn fetch(self: Arc<Self>, reads: Vec<Read>) -> Fetched {
        let rows = read_all(self.as_ref(), &reads);
        Box::pin(std::future::ready(rows))
    }

    /// Writes rows. All are kept: the row with the newest event time to be read at once, whatever the order of arrival
    /// (of equal event times the later arrival), the others for those who ask for an earlier time, as long as the store
    /// keeps history.
    fn put(&self, rows: &[Write<'_>]) -> Result<Written>;

    /// How many entities there are. May walk over all of them the first time.
    fn count(&self) -> Result<u64>;

    /// Forgets all rows.
    fn clear(&self) -> Result<()>;
}

/// The row of each key that was asked for, in order, as bytes; none where there is none.
pub type Fetched = Pin<Box<dyn Future<Output = Result<Vec<Option<Vec<u8>>>>> + Send>>;

/// Which of a key's rows is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AsOf {
    /// µs; the row's event is not after this.
    pub event: i64,
    /// µs; the row had arrived by then.
    pub arrival: i64,
}

/// A key, and which of its rows is meant.
pub type Read = (Vec<u8>, AsOf);

impl AsOf {
    /// The newest of all.
    pub const NEWEST: AsOf = AsOf {
        event: i64::MAX,
        arrival: i64::MAX,
    };
}

/// Reads one after another.
fn read_all(view: &(impl ViewRows + ?Sized), reads: &[Read]) -> Result<Vec<Option<Vec<u8>>>> {
    let read = |(key, as_of): &Read| {
        let mut row = None;
        view.get(key, *as_of, &mut |found| row = Some(found.to_vec()))?;
        Ok(row)
    };
    reads.iter().map(read).collect()
}

/// One row to write.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    pub key: &'a [u8],
    /// µs since 1970-01-01T00:00:00Z.
    pub event_time: i64,
    /// When it came; later puts come later.
    pub arrival: i64,
    pub row: &'a [u8],
}

/// What became of the rows of one [`ViewRows::put`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    pub stored: usize,
    /// Rows of an earlier event than one that is there already: kept, but not the newest.
    pub outdated: usize,
}

/// Writes all rows of a block of the view's columns, which arrived at `arrival` (µs).
pub fn put_block(view: &View, rows: &dyn ViewRows, block: &Block, arrival: i64) -> Result<Written> {
    let slots: Vec<_> = view
        .key_positions()
        .into_iter()
        .map(|at| key::Part::of(&view.columns, at))
        .collect();
    let event_time = view.event_time_position().map(|at| view.columns.slot(at));
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(block.rows());
    for at in 0..block.rows() {
        if !key::append(block, &slots, at, &mut bytes) {
            return Err(Error::Internal(format!(
                "a row of view \"{}\" has a null key",
                view.name
            )));
        }
        let key_end = bytes.len();
        let time = event_time.map_or(arrival, |slot| block.integer(slot, at));
        row::encode(
            &view.columns,
            block,
            at,
            row::Times {
                event: time,
                arrival,
            },
            &mut bytes,
        );
        ends.push((key_end, bytes.len(), time));
    }
    let mut start = 0;
    let writes: Vec<_> = ends
        .into_iter()
        .map(|(key_end, end, event_time)| {
            let write = Write {
                key: &bytes[start..key_end],
                event_time,
                arrival,
                row: &bytes[key_end..end],
            };
            start = end;
            write
        })
        .collect();
    rows.put(&writes)
}

/// Rows of earlier events than this are to be forgotten at `arrival` (µs).
fn cutoff(history: Option<std::time::Duration>, arrival: i64) -> Option<i64> {
    let micros = i64::try_from(history?.as_micros()).unwrap_or(i64::MAX);
    Some(arrival.saturating_sub(micros))
}

/// A stored value is the row's event time and its arrival, so that rows can be told older from newer, and the row.
fn stamped(write: &Write<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&write.event_time.to_le_bytes());
    out.extend_from_slice(&write.arrival.to_le_bytes());
    out.extend_from_slice(write.row);
}

/// When a stored row's event was and when it came, and the row.
fn unstamped(value: &[u8]) -> Result<(AsOf, &[u8])> {
    let split = value.split_first_chunk().and_then(|(event, rest)| {
        let (arrival, row) = rest.split_first_chunk()?;
        Some((event, arrival, row))
    });
    match split {
        Some((event, arrival, row)) => {
            let times = AsOf {
                event: i64::from_le_bytes(*event),
                arrival: i64::from_le_bytes(*arrival),
            };
            Ok((times, row))
        }
        None => Err(Error::Store(format!(
            "a stored value is only {} bytes long",
            value.len()
        ))),
    }
}
