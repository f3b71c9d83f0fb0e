//! Compiled components on disk: this host's own private copy of work done once.
//!
//! To deserialize a compiled component is to run it, so a file is believed only under an HMAC-SHA256 made with a key that
//! lies beside it and that only this user may read. What fails the check is compiled again and replaced.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::error::{Error, Result};

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;
/// Behind the digest, the name of a file that says: it kept something between calls.
const STATE: &str = ".keeps-state";

pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    /// Of everything that decides whether the engine can run what was compiled: version, settings, processor.
    compatibility: u64,
}

impl Cache {
    /// Makes the folder and its key where they are missing.
    pub(super) fn open(folder: PathBuf, engine: &wasmtime::Engine) -> Result<Cache> {
        let failed = |error: io::Error| {
            Error::Internal(format!(
                "the folder for compiled transforms, {}, cannot be used: {error}",
                folder.display()
            ))
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let key = read_or_make_key(&folder).map_err(failed)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        super::nan::VERSION.hash(&mut hasher);
        Ok(Cache {
            folder,
            key,
            compatibility: hasher.finish(),
        })
    }

    /// What was compiled of the component of that digest, if it is there and ours.
    pub(super) fn get(&self, digest: &str, engine: &wasmtime::Engine) -> Option<Component> {
        let name = self.name(digest);
        let file = fs::read(self.folder.join(&name)).ok()?;
        let Some(compiled) = self.open_sealed(&name, &file) else {
            tracing::debug!(
                name,
                "a compiled transform is not this host's own, and is compiled again"
            );
            return None;
        };
        // SAFETY: `deserialize` must be given only what `serialize` gave. The tag says that a holder of the key wrote these
        // very bytes under this very name, and `put` is the only writer; they are read once, so what was checked is
        // what is used.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, compiled) };
        component
            .inspect_err(
                |error| tracing::debug!(name, %error, "a compiled transform cannot be used"),
            )
            .ok()
    }

    /// Keeps what was compiled. A full disk costs the next start some time, and nothing else.
    pub(super) fn put(&self, digest: &str, component: &Component) {
        let name = self.name(digest);
        let written = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|compiled| {
                let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
                file.write_all(&self.tag(&name, &compiled).finalize().into_bytes())?;
                file.write_all(&compiled)?;
                file.persist(self.folder.join(&name))?;
                Ok(())
            });
        if let Err(error) = written {
            tracing::debug!(name, %error, "a compiled transform was not kept");
        }
    }

    /// Lets go of what was compiled of the component of that digest.
    pub(super) fn remove(&self, digest: &str) {
        // Where it is not there, or stays, it costs some room.
        let _ = fs::remove_file(self.folder.join(self.name(digest)));
    }

    /// Remembers that instances of the component of that digest kept something between calls.
    pub(super) fn note_state(&self, digest: &str) {
        // Where it cannot be written, the next start has to find out again.
        let _ = fs::write(self.folder.join(format!("{digest}{STATE}")), "");
    }

    /// Whether that was noted, before this start or since.
    pub(super) fn has_state(&self, digest: &str) -> bool {
        self.folder.join(format!("{digest}{STATE}")).exists()
    }

    fn name(&self, digest: &str) -> String {
        format!("{digest}-{:016x}.cwasm", self.compatibility)
    }

    /// The content of a file, if its tag is right. The name is under the tag too: one of our own files under the name of
    /// another is another's code.
    fn open_sealed<'a>(&self, name: &str, file: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, compiled) = file.split_at_checked(TAG_BYTES)?;
        self.tag(name, compiled).verify_slice(tag).ok()?;
        Some(compiled)
    }

    fn tag(&self, name: &str, compiled: &[u8]) -> Hmac<Sha256> {
        let mut tag = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length of key will do");
        tag.update(name.as_bytes());
        tag.update(&[0]);
        tag.update(compiled);
        tag
    }
}

/// The key, made if there is none of the right length. Two hosts that start at once agree on one.
fn read_or_make_key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join("key");
    if let Some(key) = read_key(&path)? {
        return Ok(key);
    }
    // Created readable by this user only.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&random_key())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    read_key(&path)?
        .ok_or_else(|| io::Error::other(format!("{} is damaged: remove it", path.display())))
}

fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes.try_into().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The operating system's randomness, as it reaches the random bits of UUIDs: 74 in each, of which eight are hashed.
fn random_key() -> [u8; KEY_BYTES] {
    let mut digest = Sha256::new();
    for _ in 0..8 {
        digest.update(uuid::Uuid::now_v7().as_bytes());
    }
    digest.finalize().into()
}
