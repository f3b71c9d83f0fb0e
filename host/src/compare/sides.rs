//! The rows of one version.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Options;
use super::batch::{Batch, COLUMNS};
use crate::error::Result;
use crate::log::LogFile;

pub struct Side {
    pub version: u32,
    /// Of each file, how many of its rows are passed over.
    pub files: Vec<(LogFile, usize)>,
    /// Rows of the files that are not passed over.
    pub rows: usize,
    /// The names of its features, `group.column`.
    names: BTreeSet<String>,
    options: Options,
}

impl Side {
    /// The newest files of a version that hold as many rows as are wanted.
    pub fn of(files: &[LogFile], version: u32, options: &Options) -> Side {
        let mut chosen = Vec::new();
        let mut rows = 0;
        let mine = |file: &&LogFile| file.shape.service_version == version;
        for file in files.iter().filter(mine).rev() {
            if rows >= options.limit {
                break;
            }
            let skip = (rows + file.rows).saturating_sub(options.limit);
            rows += file.rows - skip;
            chosen.push((file.clone(), skip));
        }
        chosen.reverse();
        let groups = chosen.iter().flat_map(|(file, _)| &file.shape.groups);
        let names = groups.flat_map(|group| {
            let columns = group.schema.fields().iter();
            columns.map(|field| format!("{}.{}", group.name, field.name))
        });
        Side {
            version,
            rows,
            names: names.collect(),
            files: chosen,
            options: options.clone(),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Its rows, oldest files first.
    pub fn batches(
        &self,
        names: &[String],
        mut each: impl FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let names: Arc<[String]> = names.into();
        for (file, skip) in &self.files {
            let wanted = |name: &str| COLUMNS.contains(&name) || self.has(name);
            for batch in file.read(*skip, wanted)? {
                let batch = Batch::of(batch?, &names)?;
                each(batch.kept(|batch, row| self.options.is_wanted(batch.time.value(row)))?)?;
            }
        }
        Ok(())
    }
}

/// The features of both: the earlier version's in the order of the log, then those that only the later has.
pub fn names(sides: &[Side; 2]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for side in sides {
        let newest = side.files.last().map(|(file, _)| &file.shape.groups);
        for group in newest.into_iter().flatten() {
            for field in group.schema.fields() {
                let name = format!("{}.{}", group.name, field.name);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}
