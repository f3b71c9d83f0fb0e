//! Whether the store's files are as they were when the server stopped.
//!
//! sled opens a file with a flipped bit, passes over what lies behind it, and says nothing: rows are missing then, and
//! no look-up can tell. So a server that stops leaves the files' digests beside them, and whoever opens them compares. One
//! that was killed leaves none, nor does a command that opened the folder: then there is nothing to compare with.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::digest;

/// Beside the store's folder: a JSON object of file names and what is in them.
const SEAL: &str = "store.seal";

/// How long a store may take to be let go of.
const PATIENCE: Duration = Duration::from_secs(3);

type Seal = BTreeMap<PathBuf, String>;

/// The store's file under the lock that sled takes, as long as it is held: sled's threads write on for a moment after its
/// last handle has gone, and a server that is just stopping lets go in a moment. An error of kind `NotFound` where there
/// is no store yet.
pub fn alone(dir: &Path) -> io::Result<File> {
    let file = File::open(dir.join("store/db"))?;
    let patience = Instant::now() + PATIENCE;
    while let Err(error) = file.try_lock() {
        if Instant::now() >= patience {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}

/// Notes what the files hold, once nobody has the store open any more.
pub fn seal(dir: &Path) -> io::Result<()> {
    let _alone = alone(dir)?;
    tracing::info!("noting what the store's files hold, for the next start to compare");
    let seal = serde_json::to_vec(&files(&dir.join("store"))?)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut file, &seal)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(SEAL))?;
    Ok(())
}

/// Takes the seal away, and says in a sentence where a file is not what it says. The store is held [`alone`]. An error: the
/// seal stays, and would be wrong as soon as the files change.
pub fn broken(dir: &Path) -> io::Result<Option<String>> {
    let path = dir.join(SEAL);
    let seal = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    tracing::info!("comparing the store's files with what was noted when the server stopped");
    let found = files(&dir.join("store"));
    // From here on the files change.
    fs::remove_file(&path)?;
    File::open(dir)?.sync_all()?;
    let differs = match (serde_json::from_slice::<Seal>(&seal), found) {
        (Ok(seal), Ok(found)) => {
            let other = seal.iter().find(|(name, is)| found.get(*name) != Some(is));
            match other {
                None => return Ok(None),
                Some((name, _)) => name.display().to_string(),
            }
        }
        _ => SEAL.to_owned(),
    };
    Ok(Some(format!(
        "the store in {} is not as it was when the server stopped ({differs} has other bytes): rows may be missing, as if \
         there had never been any; put a copy of the folder back, or load the rows again",
        dir.join("store").display()
    )))
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
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            found.insert(name, digest::of_file(&path)?.0);
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
        assert_eq!(broken(dir.path()).unwrap(), None);
        seal(dir.path()).unwrap();
        assert_eq!(broken(dir.path()).unwrap(), None);
        seal(dir.path()).unwrap();
        let db = dir.path().join("store/db");
        let mut bytes = fs::read(&db).unwrap();
        bytes[0] ^= 1;
        fs::write(&db, bytes).unwrap();
        let said = broken(dir.path()).unwrap().unwrap();
        assert!(said.contains("(db has other bytes)"), "{said}");
        // It was told; what is there now is what there is.
        assert_eq!(broken(dir.path()).unwrap(), None);
    }
}
