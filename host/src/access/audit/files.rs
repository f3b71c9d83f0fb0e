//! The files of the log: where it ends, and how lines get to the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Entry, Head, Line};
use crate::digest::digest;

/// Where the database keeps the end of the log.
const HEAD: &str = "head";

pub(super) struct Files {
    dir: PathBuf,
    /// Where the head is kept a second time.
    kept: sled::Tree,
    head: Head,
    /// The file of the last line; a clock that is set back over the end of a month does not go back to an earlier file.
    newest: Option<String>,
    /// A write failed and what it left could not be taken away.
    unsure: bool,
}

/// The last line of a file that can be read, and where it ends.
struct Last {
    head: Head,
    end: u64,
}

impl Files {
    pub fn open(dir: &Path, db: &sled::Db) -> Result<Files, String> {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let mut files = Files {
            dir: dir.to_owned(),
            kept: db.open_tree("audit").map_err(|error| error.to_string())?,
            head: Head::default(),
            newest: None,
            unsure: false,
        };
        files.mend()?;
        Ok(files)
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Finds the end, and keeps aside whatever stands behind the last whole line.
    fn mend(&mut self) -> Result<(), String> {
        let mut notes = Vec::new();
        let found = self
            .find_end(&mut notes)
            .map_err(|error| error.to_string())?;
        let known: Option<Head> = self
            .kept
            .get(HEAD)
            .map_err(|error| error.to_string())?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        self.head = match known {
            // The database saw a line that is not there: lines go on behind that one, so that the gap shows for ever.
            Some(known) if known.seq > found.seq || (known.seq == found.seq && known != found) => {
                tracing::error!(
                    known = known.seq,
                    found = found.seq,
                    "the end of the audit log was removed or edited; see `tidemill audit verify`"
                );
                let mut note = Entry::by_nobody("local", "log.gap", "audit");
                note.outcome = "broken".to_owned();
                note.detail = Some(format!(
                    "line {} was the last one; the log ended at line {} when the server started, removed or edited",
                    known.seq, found.seq
                ));
                notes.push(note);
                known
            }
            _ => found,
        };
        self.unsure = false;
        if !notes.is_empty() {
            let at = Timestamp::now();
            let notes: Vec<(Timestamp, Entry)> = notes.into_iter().map(|note| (at, note)).collect();
            self.append(&notes)?;
        }
        Ok(())
    }

    fn find_end(&mut self, notes: &mut Vec<Entry>) -> io::Result<Head> {
        for name in names(&self.dir)?.into_iter().rev() {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(self.dir.join(&name))?;
            let last = last_line(&mut file)?;
            let end = last.as_ref().map_or(0, |last| last.end);
            let length = file.metadata()?.len();
            if length > end {
                let aside = format!("cut-{}.txt", Uuid::now_v7());
                file.seek(SeekFrom::Start(end))?;
                let mut copy = File::create_new(self.dir.join(&aside))?;
                io::copy(&mut file, &mut copy)?;
                copy.sync_all()?;
                file.set_len(end)?;
                file.sync_all()?;
                tracing::warn!(
                    file = name,
                    aside,
                    "the audit log ended in half a line, which is kept aside"
                );
                let mut note = Entry::by_nobody("local", "log.cut", "audit");
                note.detail = Some(format!(
                    "{} bytes behind the last whole line of {name} are kept in {aside}",
                    length - end
                ));
                notes.push(note);
            }
            self.newest.get_or_insert(name);
            if let Some(last) = last {
                return Ok(last.head);
            }
        }
        Ok(Head::default())
    }

    /// Appends lines and waits until they are on disk; all of them, or none. Answers the number of the first.
    pub fn append(&mut self, entries: &[(Timestamp, Entry)]) -> Result<u64, String> {
        if self.unsure {
            self.mend()?;
        }
        let mut head = self.head.clone();
        let first = head.seq + 1;
        let mut text = Vec::new();
        let mut month = String::new();
        for (at, entry) in entries {
            let line = Line {
                seq: head.seq + 1,
                at: *at,
                entry: entry.clone(),
                previous: head.digest,
            };
            let bytes = serde_json::to_vec(&line).map_err(|error| error.to_string())?;
            head = Head {
                seq: line.seq,
                digest: digest(&bytes),
            };
            text.extend(bytes);
            text.push(b'\n');
            month = at.strftime("%Y-%m.ndjson").to_string();
        }
        if let Some(newest) = &self.newest
            && *newest > month
        {
            month.clone_from(newest);
        }
        self.write(&month, &text)
            .map_err(|error| format!("{}: {error}", self.dir.join(&month).display()))?;
        self.newest = Some(month);
        self.head = head;
        // Not waited for: where a crash loses it, the file is ahead, which is no gap.
        if let Ok(bytes) = serde_json::to_vec(&self.head) {
            let _ = self.kept.insert(HEAD, bytes);
        }
        Ok(first)
    }

    fn write(&mut self, name: &str, text: &[u8]) -> io::Result<()> {
        let path = self.dir.join(name);
        let is_new = !path.exists();
        // Opened each time: a file that was moved away or a folder that is gone shows at once.
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(text).and_then(|()| file.sync_data());
        if let Err(error) = written {
            self.unsure = file.set_len(before).is_err();
            return Err(error);
        }
        if is_new {
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(())
    }
}

/// The log's files, oldest first.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".ndjson") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Reads from the end, in windows that grow: the file may hold years.
fn last_line(file: &mut File) -> io::Result<Option<Last>> {
    let length = file.metadata()?.len();
    let mut window = 64 << 10;
    loop {
        let from = length.saturating_sub(window);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        Read::take(&mut *file, window).read_to_end(&mut bytes)?;
        let mut end = bytes.len();
        while let Some(newline) = bytes[..end].iter().rposition(|&byte| byte == b'\n') {
            let start = bytes[..newline].iter().rposition(|&byte| byte == b'\n');
            if start.is_none() && from > 0 {
                break; // its beginning is before the window
            }
            let text = &bytes[start.map_or(0, |at| at + 1)..newline];
            if let Ok(line) = serde_json::from_slice::<Line>(text) {
                return Ok(Some(Last {
                    head: Head {
                        seq: line.seq,
                        digest: digest(text),
                    },
                    end: from + newline as u64 + 1,
                }));
            }
            end = newline;
        }
        if from == 0 {
            return Ok(None);
        }
        window *= 4;
    }
}
