//! The body of a stream, cut into chunks of whole lines.

use std::ops::Range;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{CHUNK_BYTES, CHUNK_ROWS};
use crate::error::{Error, Result};

/// Whole lines, as they came.
pub struct Chunk {
    bytes: Bytes,
    /// The number of each line in the body, from 1, and where it lies. Empty lines are not among them.
    pub lines: Vec<(u64, Range<usize>)>,
}

impl Chunk {
    pub fn line(&self, at: usize) -> &[u8] {
        &self.bytes[self.lines[at].1.clone()]
    }
}

pub struct Lines {
    body: BodyDataStream,
    /// What has arrived and is in no chunk yet.
    pending: BytesMut,
    /// No line ends within so many of its bytes.
    searched: usize,
    /// How many lines have been taken.
    taken: u64,
    /// Bytes of a line, at most.
    limit: usize,
    /// Whether all of the body is read before the first chunk is cut.
    whole: bool,
    ended: bool,
}

impl Lines {
    pub fn new(body: Body, limit: usize, whole: bool) -> Lines {
        Lines {
            body: body.into_data_stream(),
            pending: BytesMut::new(),
            searched: 0,
            taken: 0,
            limit,
            whole,
            ended: false,
        }
    }

    /// The number of the line that would come next.
    pub fn line(&self) -> u64 {
        self.taken + 1
    }

    /// What has arrived, at least a line, at most a chunk; none at the end.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            self.fill().await?;
            let chunk = self.cut()?;
            if !chunk.lines.is_empty() {
                return Ok(Some(chunk));
            }
            if self.ended && self.pending.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Reads until there is a line, then on for as long as more is there already and a chunk is not full.
    async fn fill(&mut self) -> Result<()> {
        while !self.ended {
            let has_line = self.has_line();
            if has_line && self.pending.len() >= CHUNK_BYTES {
                return Ok(());
            }
            if !has_line && self.pending.len() > self.limit {
                return Ok(());
            }
            let frame = if has_line && !self.whole {
                tokio::select! {
                    biased;
                    frame = self.body.next() => frame,
                    // The connection gets one turn to hand over what has arrived.
                    () = tokio::task::yield_now() => return Ok(()),
                }
            } else {
                self.body.next().await
            };
            match frame {
                None => self.ended = true,
                Some(Ok(bytes)) => self.pending.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    self.pending.clear();
                    return Err(Error::invalid("body", format!("it broke off: {error}")));
                }
            }
        }
        Ok(())
    }

    fn has_line(&mut self) -> bool {
        match memchr::memchr(b'\n', &self.pending[self.searched..]) {
            Some(at) => {
                self.searched += at;
                true
            }
            None => {
                self.searched = self.pending.len();
                false
            }
        }
    }

    /// Takes the lines of a chunk from what is pending.
    fn cut(&mut self) -> Result<Chunk> {
        let (mut start, mut lines) = (0, Vec::new());
        while lines.len() < CHUNK_ROWS && start < CHUNK_BYTES {
            let end = match memchr::memchr(b'\n', &self.pending[start..]) {
                Some(at) => start + at,
                None if self.ended && start < self.pending.len() => self.pending.len(),
                None if self.pending.len() - start > self.limit => self.pending.len(),
                None => break,
            };
            if end - start > self.limit {
                // What comes before it is answered first.
                if start > 0 {
                    break;
                }
                self.pending.clear();
                return Err(Error::TooLarge {
                    what: format!("line {}", self.line()),
                    limit: format!("{} bytes", self.limit),
                });
            }
            self.taken += 1;
            if !self.pending[start..end].trim_ascii().is_empty() {
                lines.push((self.taken, start..end));
            }
            start = (end + 1).min(self.pending.len());
        }
        self.searched = 0;
        Ok(Chunk {
            bytes: self.pending.split_to(start).freeze(),
            lines,
        })
    }
}
