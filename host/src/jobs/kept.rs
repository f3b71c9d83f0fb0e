//! Jobs on disk: a tree of their own, where a job is up to three entries — its record, its body until it is finished, its
//! answer from then on.

use sled::Batch;
use sled::transaction::TransactionError;
use uuid::Uuid;

use super::Record;
use crate::error::{Error, Result};
use crate::store::failed;

const TREE: &str = "jobs";

const RECORD: u8 = b'r';
const BODY: u8 = b'b';
const ANSWER: u8 = b'a';

pub struct Kept {
    tree: sled::Tree,
}

impl Kept {
    pub fn open(db: &sled::Db) -> Result<Kept> {
        let tree = db.open_tree(TREE).map_err(failed)?;
        Ok(Kept { tree })
    }

    /// Record and body, both or neither.
    pub fn accept(&self, record: &Record, body: &[u8]) -> Result<()> {
        let mut batch = Batch::default();
        batch.insert(&key(RECORD, record.id), bytes(record)?);
        batch.insert(&key(BODY, record.id), body);
        self.tree.apply_batch(batch).map_err(failed)
    }

    /// Writes a record anew. False: the job is no longer there, and stays so.
    pub fn put(&self, record: &Record) -> Result<bool> {
        self.replace(record, Batch::default())
    }

    /// The record and the answer in place of the body. False as above.
    pub fn finish(&self, record: &Record, answer: Option<&[u8]>) -> Result<bool> {
        let mut batch = Batch::default();
        batch.remove(&key(BODY, record.id));
        if let Some(answer) = answer {
            batch.insert(&key(ANSWER, record.id), answer);
        }
        self.replace(record, batch)
    }

    /// Someone may forget the job at any moment: to look whether it is there and to write is one act.
    fn replace(&self, record: &Record, mut batch: Batch) -> Result<bool> {
        let key = key(RECORD, record.id);
        batch.insert(&key, bytes(record)?);
        self.tree
            .transaction(|tree| {
                let there = tree.get(key)?.is_some();
                if there {
                    tree.apply_batch(&batch)?;
                }
                Ok(there)
            })
            .map_err(|error: TransactionError<()>| match error {
                TransactionError::Storage(error) => failed(error),
                TransactionError::Abort(()) => Error::Store("a job was not written".to_owned()),
            })
    }

    pub fn record(&self, id: Uuid) -> Result<Option<Record>> {
        let found = self.tree.get(key(RECORD, id)).map_err(failed)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    pub fn body(&self, id: Uuid) -> Result<Option<Vec<u8>>> {
        self.bytes(BODY, id)
    }

    pub fn answer(&self, id: Uuid) -> Result<Option<Vec<u8>>> {
        self.bytes(ANSWER, id)
    }

    fn bytes(&self, tag: u8, id: Uuid) -> Result<Option<Vec<u8>>> {
        let found = self.tree.get(key(tag, id)).map_err(failed)?;
        Ok(found.map(|bytes| bytes.to_vec()))
    }

    pub fn remove(&self, id: Uuid) -> Result<()> {
        let mut batch = Batch::default();
        for tag in [RECORD, BODY, ANSWER] {
            batch.remove(&key(tag, id));
        }
        self.tree.apply_batch(batch).map_err(failed)
    }

    /// All jobs, in the order they were accepted.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = Result<Record>> {
        self.tree
            .scan_prefix([RECORD])
            .values()
            .map(|bytes| read(&bytes.map_err(failed)?))
    }

    /// All jobs, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = Result<Record>> {
        self.all().rev()
    }

    /// Waits until everything written so far is on disk.
    pub fn flush(&self) -> Result<()> {
        self.tree.flush().map(drop).map_err(failed)
    }
}

fn key(tag: u8, id: Uuid) -> [u8; 17] {
    let mut key = [tag; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

fn bytes(record: &Record) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| Error::Internal(error.to_string()))
}

fn read(bytes: &[u8]) -> Result<Record> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Internal(format!("a job's record cannot be read: {error}")))
}
