//! The labels of a file, held in memory: of each row the one that counts.

use std::collections::HashMap;

use super::join::later;
use super::report::reports;
use super::{Declared, Joined, Subject};
use crate::block::{Block, RowsBuilder};
use crate::error::Result;

pub struct Book {
    declared: Declared,
    as_of: i64,
    /// When labels without a time of their own came: now.
    now: i64,
    /// Time, and which row of `rows`.
    last: HashMap<Subject, (i64, usize)>,
    rows: RowsBuilder,
    /// Once all is read.
    block: Option<Block>,
    /// Rows that say something, whenever that was learnt.
    pub reports: u64,
    /// Those of them that were learnt after `as_of`, and so are passed over.
    pub after: u64,
    /// Those of these that have no time of their own: they are learnt as they are read.
    pub timeless: u64,
    /// Rows that say nothing: what is null is not known yet.
    pub silent: u64,
}

impl Book {
    /// Labels whose time is after `as_of` (µs) are passed over; one without a time was learnt at `now`.
    pub fn new(declared: Declared, as_of: i64, now: i64) -> Book {
        Book {
            rows: RowsBuilder::new(&declared.fields.opened()),
            declared,
            as_of,
            now,
            last: HashMap::new(),
            block: None,
            reports: 0,
            after: 0,
            timeless: 0,
            silent: 0,
        }
    }

    /// Takes the rows of a block of [`Declared::report`]; later ones win over earlier ones of the same time. `place` says
    /// where a row is.
    pub fn read(&mut self, block: &Block, place: impl Fn(usize) -> String) -> Result<()> {
        let (report, to) = (self.declared.report(), self.declared.fields.opened());
        let first = report.len() - to.len();
        for found in reports(&self.declared, block, place)? {
            let Some(found) = found else {
                self.silent += 1;
                continue;
            };
            self.reports += 1;
            let time = found.time.unwrap_or(self.now);
            if time > self.as_of {
                self.after += 1;
                self.timeless += u64::from(found.time.is_none());
                continue;
            }
            let earlier = self.last.get(&found.subject);
            if earlier.is_some_and(|(earlier, _)| *earlier > time) {
                continue;
            }
            self.last.insert(found.subject, (time, self.rows.rows()));
            self.rows.begin_row();
            for at in 0..to.len() {
                let (to, from) = (to.slot(at), report.slot(first + at));
                self.rows.copy(to, block, from, found.at);
            }
        }
        Ok(())
    }

    /// To be called once all is read.
    pub fn finished(mut self) -> Book {
        let rows = std::mem::replace(
            &mut self.rows,
            RowsBuilder::new(&self.declared.fields.opened()),
        );
        self.block = Some(rows.finish());
        self
    }

    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// The label of each row that counts: of one by its request and one by its key the later, of equal times that by the
    /// request.
    pub fn asked(&self, subjects: &[[Option<Subject>; 2]]) -> Joined {
        let schema = self.declared.fields.opened();
        let mut rows = RowsBuilder::new(&schema);
        let mut found = Vec::with_capacity(subjects.len());
        for [by_request, by_key] in subjects {
            let last = |subject: &Option<Subject>| self.last.get(subject.as_ref()?).copied();
            let last = later(last(by_request), last(by_key));
            rows.begin_row();
            if let (Some((_, row)), Some(block)) = (last, &self.block) {
                for slot in schema.slots() {
                    rows.copy(*slot, block, *slot, row);
                }
            }
            found.push(last.is_some());
        }
        Joined {
            found,
            block: rows.finish(),
        }
    }
}
