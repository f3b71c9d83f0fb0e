//! Transforms over the rows of a file: what each reads, what the output holds, and the work on some rows.
//!
//! A row's features depend on the row alone, so how the rows are cut into batches, and which thread has which, changes no
//! bit of them. Only whether a row passes that takes more fuel than a call of one row has depends on its neighbours, with
//! which it shares a call's. A row that fails alone has null features of the transform that failed and of those that read from it.

mod bind;
mod rows;
#[cfg(test)]
mod tests;

use crate::offline::table::Wanted;
use crate::offline::write;
use crate::schema::Schema;
use crate::transform::Transform;

/// A transform, and what its features are called by: `NAME.feature`.
pub struct Named {
    pub alias: String,
    pub transform: Transform,
}

/// Where an input comes from: `ALIAS.INPUT=COLUMN`, a column of the file, or `ALIAS.OUTPUT` of another transform; empty
/// for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    pub alias: String,
    pub input: String,
    pub from: String,
}

/// Which columns of the file go along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    All,
    Some(Vec<String>),
}

/// What is done with each batch of rows.
pub struct Plan {
    wanted: Wanted,
    /// As they were asked for.
    steps: Vec<Step>,
    /// The steps, each behind those it reads from.
    order: Vec<usize>,
    outputs: Vec<Output>,
    columns: Vec<write::Column>,
    /// Whether a row that fails ends all.
    strict: bool,
}

struct Step {
    alias: String,
    transform: Transform,
    inputs: Vec<Source>,
    /// The outputs, each of which may be null.
    columns: Schema,
}

/// Where an input comes from.
#[derive(Clone, Copy)]
enum Source {
    /// Of the file: which of the wanted columns.
    File(usize),
    Step {
        step: usize,
        output: usize,
    },
}

/// A column of the output.
enum Output {
    /// One of the wanted columns.
    Kept(usize),
    /// One of the wanted arrays.
    Array(usize),
    Feature {
        step: usize,
        output: usize,
    },
    /// Why a row has no features.
    Error,
}

/// A row that failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In the file, from 1.
    pub row: u64,
    pub message: String,
}

impl Plan {
    /// What is to be read of the file.
    pub fn wanted(&self) -> Wanted {
        self.wanted.clone()
    }

    /// The columns of the output: what is kept, the features in the order of the transforms, and, unless a failing row ends
    /// all, the message of each failing row.
    pub fn columns(&self) -> &[write::Column] {
        &self.columns
    }

    /// The name of the column that says why a row has no features, if there is one.
    pub fn error_column(&self) -> Option<&str> {
        let at = self
            .outputs
            .iter()
            .position(|it| matches!(it, Output::Error))?;
        Some(self.columns[at].name())
    }
}

impl Bind {
    /// Reads `ALIAS.INPUT=COLUMN`.
    pub fn parse(text: &str) -> Result<Bind, String> {
        let parts = text.split_once('=').and_then(|(to, from)| {
            let (alias, input) = to.split_once('.')?;
            Some((alias, input, from))
        });
        match parts {
            Some((alias, input, from)) if !alias.is_empty() && !input.is_empty() => Ok(Bind {
                alias: alias.to_owned(),
                input: input.to_owned(),
                from: from.to_owned(),
            }),
            _ => Err(format!(
                "\"{text}\" is no binding such as great-circle.from_lat=origin_lat"
            )),
        }
    }
}
