//! Whether the store's files are as they were when the server stopped.
//!
//! sled opens a file with a flipped bit, passes over what lies behind it, and says nothing: rows are missing then, and
//! no look-up can tell. So whoever stops leaves the files' lengths and digests beside them, and whoever starts compares. A server
//! that was killed leaves none: then there is nothing to compare with.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Beside the store's folder: a JSON object of file names and what is in them.
const SEAL: &str = "store.seal";

type Seal = BTreeMap<PathBuf, String>;

/// Notes what the files hold. Nobody may have the store open.
pub fn seal(dir: &Path) -> io::Result<()> {
    let seal = serde_json::to_vec(&files(&dir.join("store"))?)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut file, &seal)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(SEAL))?;
    Ok(())
}

/// Takes the seal away, and says in a sentence where a file is not what it says.
pub fn broken(dir: &Path) -> Option<String> {
    let path = dir.join(SEAL);
    let seal = fs::read(&path).ok()?;
    let found = files(&dir.join("store"));
    // From here on the files change.
    let _ = fs::remove_file(&path);
    let differs = match (serde_json::from_slice::<Seal>(&seal), found) {
        (Ok(seal), Ok(found)) => {
            let other = seal.iter().find(|(name, is)| found.get(*name) != Some(is));
            other.map(|(name, _)| name.display().to_string())?
        }
        _ => SEAL.to_owned(),
    };
    Some(format!(
        "the store in {} is not as it was when the server stopped ({differs} has other bytes): rows may be missing, as if \
         there had never been any; put a copy of the folder back, or load the rows again",
        dir.join("store").display()
    ))
}

fn files(folder: &Path) -> io::Result<Seal> {
    let mut found = Seal::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let mut digest = Sha256::new();
            io::copy(&mut File::open(&path)?, &mut digest)?;
            let hex = digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            found.insert(name, hex);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_named_once_and_an_unchanged_one_never() {
        let dir = tempfile::tempdir().unwrap();
        drop(super::super::open_db(dir.path()).unwrap());
        assert_eq!(broken(dir.path()), None);
        seal(dir.path()).unwrap();
        assert_eq!(broken(dir.path()), None);
        seal(dir.path()).unwrap();
        let db = dir.path().join("store/db");
        let mut bytes = fs::read(&db).unwrap();
        bytes[0] ^= 1;
        fs::write(&db, bytes).unwrap();
        let said = broken(dir.path()).unwrap();
        assert!(said.contains("(db has other bytes)"), "{said}");
        // It was told; what is there now is what there is.
        assert_eq!(broken(dir.path()), None);
    }
}
