//! Columns that hold some of a request's rows: all, one that stands for all, or those that were still wanted.

use std::sync::Arc;

use super::Block;
use crate::schema::Schema;

/// Which of a request's rows a block holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Rows {
    /// None: what would have made it did not run.
    #[default]
    None,
    All,
    /// One row, the same for all.
    Shared,
    /// These, in ascending order.
    Some(Arc<[u32]>),
}

/// A block, and which of a request's rows it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    pub block: Block,
    pub rows: Rows,
}

impl Rows {
    /// Which of the held rows is the request's `row`.
    pub fn find(&self, row: usize) -> Option<usize> {
        match self {
            Rows::None => None,
            Rows::All => Some(row),
            Rows::Shared => Some(0),
            Rows::Some(rows) => rows.binary_search(&(row as u32)).ok(),
        }
    }

    /// How many are held, of a request of `total`.
    pub fn len(&self, total: usize) -> usize {
        match self {
            Rows::None => 0,
            Rows::All => total,
            Rows::Shared => 1,
            Rows::Some(rows) => rows.len(),
        }
    }

    /// Which row of the request the held row `at` is; of a shared row the first.
    pub fn original(&self, at: usize) -> usize {
        match self {
            Rows::Some(rows) => rows[at] as usize,
            _ => at,
        }
    }

    /// Those of the held rows that `keep`, asked with their places here, wants kept.
    pub fn kept(&self, total: usize, keep: impl Fn(usize) -> bool) -> Rows {
        let kept = (0..self.len(total)).filter(|&at| keep(at));
        Rows::Some(kept.map(|at| self.original(at) as u32).collect())
    }

    /// For each of these rows its place in a block that holds `held`, a superset; none where the two hold the same.
    pub fn places_in(&self, held: &Rows, total: usize) -> Option<Vec<u32>> {
        match (self, held) {
            (Rows::All, Rows::All) | (Rows::Shared, Rows::Shared) => None,
            (Rows::Some(mine), Rows::Some(theirs)) if mine.len() == theirs.len() => None,
            _ => {
                let place = |at| held.find(self.original(at)).map_or(0, |place| place as u32);
                Some((0..self.len(total)).map(place).collect())
            }
        }
    }
}

impl Source {
    /// Every row of a request.
    pub fn all(block: Block) -> Source {
        Source {
            block,
            rows: Rows::All,
        }
    }
}

impl Block {
    /// The first row, `rows` times.
    pub fn repeated(&self, schema: &Schema, rows: usize) -> Block {
        match (self.rows, rows) {
            (1, 1) => self.clone(),
            _ => self.permuted(schema, &vec![0; rows]),
        }
    }
}
