//! Is the chain whole?

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Head, Line, files};
use crate::digest::digest;
use crate::error::{Error, Result};

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditVerified)]
pub struct Verified {
    /// Whole lines read, up to the first bad one.
    pub lines: u64,
    /// The last good one: kept elsewhere, it tells later whether the log was written anew.
    pub head: Head,
    #[schema(required)]
    pub bad: Option<Bad>,
}

/// The first line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditBad)]
pub struct Bad {
    pub file: String,
    /// Counted from 1, as an editor does.
    pub line: u64,
    pub reason: String,
}

/// Reads the whole log. `known` is the end as the running server knows it.
pub fn verify(dir: &Path, known: Option<&Head>) -> Result<Verified> {
    read(dir, known).map_err(|error| {
        Error::Internal(format!(
            "the audit log in {} cannot be read: {error}",
            dir.display()
        ))
    })
}

fn read(dir: &Path, known: Option<&Head>) -> io::Result<Verified> {
    let mut verified = Verified {
        lines: 0,
        head: Head::default(),
        bad: None,
    };
    // Where the line before stands: if its SHA-256 is not what the next one keeps, it is the one that was edited.
    let mut before = (String::from("the log"), 0);
    for name in files::names(dir)? {
        let mut file = BufReader::new(File::open(dir.join(&name))?);
        let (mut bytes, mut number) = (Vec::new(), 0);
        while file.read_until(b'\n', &mut bytes)? > 0 {
            // The last line may be on its way; if it was answered, `known` misses it.
            if bytes.pop() != Some(b'\n') {
                break;
            }
            number += 1;
            let mut bad = |place: &(String, u64), reason: String| {
                verified.bad = Some(Bad {
                    file: place.0.clone(),
                    line: place.1,
                    reason,
                });
            };
            let here = (name.clone(), number);
            let head = &verified.head;
            match serde_json::from_slice::<Line>(&bytes) {
                Err(error) => bad(&here, format!("it is no line of the log: {error}")),
                Ok(line) if line.seq != head.seq + 1 => bad(
                    &here,
                    format!(
                        "line {} of the log follows line {}: lines were removed or put in before it",
                        line.seq, head.seq
                    ),
                ),
                Ok(line) if line.previous != head.digest && head.seq == 0 => {
                    bad(
                        &here,
                        "the first line keeps the SHA-256 of one before it".to_owned(),
                    );
                }
                Ok(line) if line.previous != head.digest => bad(
                    &before,
                    "it was edited: the line behind it keeps another SHA-256 of it".to_owned(),
                ),
                Ok(line) => {
                    verified.head = Head {
                        seq: line.seq,
                        digest: digest(&bytes),
                    };
                    verified.lines += 1;
                    if let Some(known) = known
                        && known.seq == line.seq
                        && known.digest != verified.head.digest
                    {
                        verified.bad = Some(Bad {
                            file: name.clone(),
                            line: number,
                            reason: "it was edited: the server knows another SHA-256 of it"
                                .to_owned(),
                        });
                    }
                }
            }
            if verified.bad.is_some() {
                return Ok(verified);
            }
            before = here;
            bytes.clear();
        }
    }
    if let Some(known) = known
        && known.seq > verified.head.seq
    {
        verified.bad = Some(Bad {
            file: before.0,
            line: before.1,
            reason: format!(
                "the log ends here at line {}, but the server wrote {}: the end was removed",
                verified.head.seq, known.seq
            ),
        });
    }
    Ok(verified)
}
