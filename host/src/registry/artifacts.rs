//! Files named by the SHA-256 of what is in them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::digest::digest;
use crate::error::{Error, Result};

pub struct Artifacts {
    dir: PathBuf,
}

impl Artifacts {
    pub fn open(dir: &Path) -> Result<Artifacts> {
        fs::create_dir_all(dir).map_err(|error| failed("create", dir, &error))?;
        Ok(Artifacts {
            dir: dir.to_owned(),
        })
    }

    /// Keeps `bytes` under their digest. On disk when this returns; a crash leaves the whole file or none.
    pub fn put(&self, digest: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(digest);
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)
            .map_err(|error| failed("write to", &self.dir, &error))?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| failed("write", &path, &error))?;
        file.persist(&path)
            .map_err(|error| failed("write", &path, &error.error))?;
        // The name itself is on disk only when the folder is.
        fs::File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| failed("write to", &self.dir, &error))
    }

    /// Whether there is a file of that digest; it is not read.
    pub fn there(&self, digest: &str) -> Result<()> {
        let path = self.dir.join(digest);
        match fs::metadata(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    /// Lets go of the file of that digest. That there is none is as good.
    pub fn remove(&self, digest: &str) -> Result<()> {
        let path = self.dir.join(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("remove", &path, &error))
            }
            _ => Ok(()),
        }
    }

    /// Reads the file of that digest, and believes it only if it has it.
    pub fn get(&self, wanted: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(wanted);
        let bytes = fs::read(&path).map_err(|error| failed("read", &path, &error))?;
        let found = digest(&bytes);
        if found != wanted {
            return Err(Error::Internal(format!(
                "artifact {} has been changed: its digest is {found}; put the original back or register it anew",
                path.display()
            )));
        }
        Ok(bytes)
    }
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Internal(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_artifact_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path()).unwrap();
        let name = digest(b"whole");
        artifacts.put(&name, b"whole").unwrap();
        assert_eq!(artifacts.get(&name).unwrap(), b"whole");

        fs::write(dir.path().join(&name), b"holes").unwrap();
        let error = artifacts.get(&name).unwrap_err().to_string();
        assert!(error.contains("has been changed"), "{error}");

        artifacts.put(&name, b"whole").unwrap();
        assert_eq!(artifacts.get(&name).unwrap(), b"whole");
    }
}
