//! The cache of compiled components: what is trusted, and what is not.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect()
}

fn load_from(folder: &Path, guest: Guest) -> Transform {
    let transform = Engine::new(small(), Some(folder.to_owned()))
        .unwrap()
        .load(&guest.module())
        .unwrap();
    assert_eq!(transform.call(&rows(3)).unwrap().rows, rows(3));
    transform
}

/// Loads, spoils the one file, and loads again: it must be compiled again, and the file be whole after it.
fn is_compiled_again_after(spoil: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        load_from(folder.path(), Guest::default())
            .compile_time()
            .is_some()
    );
    let path = files(folder.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    spoil(&path);
    assert!(
        load_from(folder.path(), Guest::default())
            .compile_time()
            .is_some(),
        "it was trusted"
    );
    assert!(
        load_from(folder.path(), Guest::default())
            .compile_time()
            .is_none(),
        "it was not mended"
    );
    assert_eq!(fs::read(&path).unwrap().len(), whole.len());
}

#[test]
fn a_component_is_compiled_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = load_from(folder.path(), Guest::default());
    let again = load_from(folder.path(), Guest::default());
    assert!(first.compile_time().is_some() && again.compile_time().is_none());
    assert_eq!(first.description(), again.description());
    let name = files(folder.path())[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        name.starts_with(&format!("{}-", first.name().digest)),
        "{name}"
    );
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(small(), Some(folder.path().to_owned())).unwrap();
    let liar = Guest {
        name: "Liar".to_owned(),
        ..Guest::default()
    };
    engine.load(&liar.module()).unwrap_err();
    assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_truncated_file_is_compiled_again() {
    for keep in [0, 31, 32, 1000] {
        is_compiled_again_after(|path| {
            let whole = fs::read(path).unwrap();
            fs::write(path, &whole[..keep]).unwrap();
        });
    }
}

#[test]
fn an_edited_file_is_compiled_again() {
    for at in [0, 40, 5000] {
        is_compiled_again_after(|path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        });
    }
}

#[test]
fn a_file_of_another_host_is_compiled_again() {
    is_compiled_again_after(|path| {
        let other = tempfile::tempdir().unwrap();
        load_from(other.path(), Guest::default());
        fs::copy(files(other.path()).pop().unwrap(), path).unwrap();
    });
}

#[test]
fn our_own_file_under_another_name_is_compiled_again() {
    is_compiled_again_after(|path| {
        let folder = path.parent().unwrap();
        load_from(
            folder,
            Guest {
                name: "other".to_owned(),
                ..Guest::default()
            },
        );
        let other = files(folder).into_iter().find(|file| file != path).unwrap();
        fs::rename(other, path).unwrap();
    });
}

#[test]
fn other_settings_are_another_file() {
    let folder = tempfile::tempdir().unwrap();
    load_from(folder.path(), Guest::default());
    let path = files(folder.path()).pop().unwrap();
    let (digest, _) = path
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .split_once('-')
        .unwrap();
    fs::rename(
        &path,
        folder
            .path()
            .join(format!("{digest}-0000000000000000.cwasm")),
    )
    .unwrap();
    assert!(
        load_from(folder.path(), Guest::default())
            .compile_time()
            .is_some()
    );
    assert_eq!(files(folder.path()).len(), 2);
}

#[cfg(unix)]
#[test]
fn the_key_is_random_and_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let keys = folders.each_ref().map(|folder| {
        Engine::new(small(), Some(folder.path().to_owned())).unwrap();
        let path = folder.path().join("key");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::read(path).unwrap()
    });
    assert_eq!(keys[0].len(), 32);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_damaged_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), b"short").unwrap();
    let Err(error) = Engine::new(small(), Some(folder.path().to_owned())) else {
        panic!("it was used")
    };
    assert!(
        error.to_string().ends_with("key is damaged: remove it"),
        "{error}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let Err(error) = Engine::new(small(), Some(file.clone())) else {
        panic!("it was used")
    };
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
}
