//! Views in sled, one tree a view.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{OnlineStore, ViewRows, Write, Written, stamped, unstamped};
use crate::error::{Error, Result};

/// Views lie beside whatever else the database holds, in trees whose names begin so.
const TREE_PREFIX: &str = "view/";

/// Keeps views in a sled database. Nobody else may write into its trees.
pub struct SledStore {
    db: sled::Db,
    views: Mutex<HashMap<String, Arc<SledRows>>>,
}

struct SledRows {
    name: String,
    tree: sled::Tree,
    /// Held by whoever writes: to compare with the old row and to write the new one is one act. What it guards is the
    /// number of entities, once somebody has asked for it: sled would walk over the whole tree each time.
    writing: Mutex<Option<u64>>,
}

impl SledStore {
    pub fn open(db: &sled::Db) -> SledStore {
        SledStore {
            db: db.clone(),
            views: Mutex::default(),
        }
    }
}

impl OnlineStore for SledStore {
    fn view(&self, name: &str) -> Result<Arc<dyn ViewRows>> {
        let mut views = self.views.lock();
        if let Some(rows) = views.get(name) {
            return Ok(rows.clone());
        }
        let tree = self
            .db
            .open_tree(format!("{TREE_PREFIX}{name}"))
            .map_err(failed)?;
        let rows = Arc::new(SledRows {
            name: name.to_owned(),
            tree,
            writing: Mutex::new(None),
        });
        views.insert(name.to_owned(), rows.clone());
        Ok(rows)
    }

    fn flush(&self) -> Result<()> {
        self.db.flush().map(drop).map_err(failed)
    }
}

impl ViewRows for SledRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(value) = self.tree.get(key).map_err(failed)? else {
            return Ok(false);
        };
        found(unstamped(&value)?.1);
        Ok(true)
    }

    fn put(&self, writes: &[Write<'_>]) -> Result<Written> {
        let mut written = Written::default();
        let mut value = Vec::new();
        let mut count = self.writing.lock();
        for write in writes {
            let old = self.tree.get(write.key).map_err(failed)?;
            if let Some(old) = &old
                && unstamped(old)?.0 > write.event_time
            {
                written.outdated += 1;
                continue;
            }
            stamped(write, &mut value);
            self.tree
                .insert(write.key, value.as_slice())
                .map_err(failed)?;
            written.stored += 1;
            if let (None, Some(count)) = (&old, count.as_mut()) {
                *count += 1;
            }
        }
        Ok(written)
    }

    fn count(&self) -> Result<u64> {
        let mut count = self.writing.lock();
        Ok(*count.get_or_insert_with(|| self.tree.len() as u64))
    }

    fn clear(&self) -> Result<()> {
        let mut count = self.writing.lock();
        // What clears the tree at a stroke leaves it half cleared after a crash, as this does: rows are whole or gone.
        self.tree.clear().map_err(failed)?;
        self.tree.flush().map_err(failed)?;
        *count = Some(0);
        Ok(())
    }
}

fn failed(error: sled::Error) -> Error {
    Error::Store(error.to_string())
}
