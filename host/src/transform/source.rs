//! The source of a transform as an archive: made the same everywhere, opened with care.
//!
//! A tar archive compressed with zstd. Entries are sorted, all under one folder, and have neither times nor owners, so
//! that the same files give the same bytes.

use std::io::{Read, Write as _};
use std::path::{Component, Path};

use tar::{Archive, Builder, EntryType, Header};

use super::sections::MAX_SOURCE_BYTES;

/// Bytes of all files together, unpacked, and how many there may be.
const MAX_UNPACKED: u64 = 32 << 20;
const MAX_FILES: usize = 5_000;
/// The largest that zstd calls ordinary. Archives are made once and kept for ever.
const LEVEL: i32 = 19;

/// A file of an archive.
pub struct File {
    /// Relative, with `/`.
    pub path: String,
    pub bytes: Vec<u8>,
    pub executable: bool,
}

/// An archive of `files`, all under `folder`. In one sentence: what is too large.
pub fn pack(folder: &str, mut files: Vec<File>) -> Result<Vec<u8>, String> {
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let unpacked: u64 = files.iter().map(|file| file.bytes.len() as u64).sum();
    if unpacked > MAX_UNPACKED || files.len() > MAX_FILES {
        return Err(format!(
            "the source has {} files of {unpacked} bytes in all, over the limit of {MAX_FILES} files or {MAX_UNPACKED} bytes; \
             name what does not belong to it in .gitignore",
            files.len()
        ));
    }
    let broken = |error: std::io::Error| format!("the source cannot be packed: {error}");
    let mut tar = Builder::new(Vec::new());
    for file in &files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(file.bytes.len() as u64);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        let path = format!("{folder}/{}", file.path);
        tar.append_data(&mut header, path, file.bytes.as_slice())
            .map_err(broken)?;
    }
    let tar = tar.into_inner().map_err(broken)?;
    let mut zstd = zstd::Encoder::new(Vec::new(), LEVEL).map_err(broken)?;
    zstd.write_all(&tar).map_err(broken)?;
    let archive = zstd.finish().map_err(broken)?;
    if archive.len() > MAX_SOURCE_BYTES {
        return Err(format!(
            "the source has {} bytes, compressed, over the limit of {MAX_SOURCE_BYTES}; name what does not belong to it in \
             .gitignore",
            archive.len()
        ));
    }
    Ok(archive)
}

/// Says in a sentence why an archive would not be unpacked.
pub fn check(archive: &[u8]) -> Result<(), String> {
    each(archive, |_| Ok(()))
}

/// Unpacks an archive into `folder`, which is there, and says how many files it held. Nothing is written outside of
/// the folder: an archive with a path that leads out of it, or with anything but files, is refused as a whole.
pub fn unpack(archive: &[u8], folder: &Path) -> Result<usize, String> {
    check(archive)?;
    let mut files = 0;
    each(archive, |entry| {
        // False where a path leads outside, also through a link that is there already.
        let inside = entry.unpack_in(folder).map_err(unreadable)?;
        files += 1;
        match inside {
            true => Ok(()),
            false => Err(outside(&entry.path_bytes())),
        }
    })?;
    Ok(files)
}

type Entry<'a, 'b> = tar::Entry<'a, &'b mut dyn Read>;

/// Does something with each file, of those that may be there.
fn each(
    archive: &[u8],
    mut act: impl FnMut(&mut Entry<'_, '_>) -> Result<(), String>,
) -> Result<(), String> {
    let plain = zstd::Decoder::new(archive).map_err(unreadable)?;
    // Heads and padding come on top of the files.
    let mut plain = plain.take(MAX_UNPACKED + (MAX_FILES as u64 + 1) * 4_096);
    let plain: &mut dyn Read = &mut plain;
    let mut tar = Archive::new(plain);
    tar.set_preserve_mtime(false);
    let (mut files, mut bytes) = (0, 0);
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err("it holds something other than files".to_owned());
        }
        let path = entry.path_bytes().into_owned();
        let good = std::str::from_utf8(&path).is_ok_and(|path| {
            !path.chars().any(char::is_control)
                && Path::new(path)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)))
        });
        if !good || path.is_empty() {
            return Err(outside(&path));
        }
        files += 1;
        bytes += entry.size();
        if files > MAX_FILES || bytes > MAX_UNPACKED {
            return Err(format!(
                "it holds more than {MAX_FILES} files or {MAX_UNPACKED} bytes"
            ));
        }
        act(&mut entry)?;
        // What is left of the file, so that a damaged one is seen.
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(unreadable)?;
    }
    Ok(())
}

fn unreadable(error: std::io::Error) -> String {
    format!("it is no tar archive compressed with zstd: {error}")
}

fn outside(path: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(path)
        .escape_debug()
        .take(200)
        .collect();
    format!("it holds a file at \"{shown}\", which is no place within it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            bytes: text.as_bytes().to_vec(),
            executable: path.ends_with(".sh"),
        }
    }

    /// An archive of one entry at any path, of any type.
    fn odd(path: &str, kind: EntryType) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(2);
        if kind == EntryType::Symlink {
            header.set_link_name("/etc").unwrap();
            header.set_size(0);
        }
        header.set_cksum();
        let mut tar = Builder::new(Vec::new());
        tar.append(&header, &b"hi"[..header.size().unwrap() as usize])
            .unwrap();
        zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked_and_the_order_does_not_matter() {
        let long = format!("src/{}.rs", "long".repeat(60));
        let files = |order: [usize; 4]| {
            let all = [
                ("Cargo.toml", "[package]"),
                ("src/lib.rs", "//! A transform."),
                (&*long, ""),
                ("run.sh", "#!/bin/sh"),
            ];
            order.map(|at| file(all[at].0, all[at].1)).into()
        };
        let archive = pack("trip-speed-0.1.0", files([0, 1, 2, 3])).unwrap();
        assert_eq!(
            pack("trip-speed-0.1.0", files([3, 1, 0, 2])).unwrap(),
            archive
        );
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unpack(&archive, folder.path()), Ok(4));
        let root = folder.path().join("trip-speed-0.1.0");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(read("src/lib.rs"), "//! A transform.");
        assert_eq!(read(&long), "");
        assert_eq!(read("run.sh"), "#!/bin/sh");
    }

    #[test]
    fn nothing_is_written_outside_and_only_files_are() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        for (path, kind) in [
            ("../evil", EntryType::Regular),
            ("a/../../evil", EntryType::Regular),
            ("/tmp/evil", EntryType::Regular),
            ("a/./b\u{1b}", EntryType::Regular),
            ("link", EntryType::Symlink),
            ("link", EntryType::Link),
            ("pipe", EntryType::Fifo),
            ("folder", EntryType::Directory),
        ] {
            let archive = odd(path, kind);
            assert!(check(&archive).is_err(), "{path}");
            assert!(unpack(&archive, &inside).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        check(&odd("fine", EntryType::Regular)).unwrap();
    }

    #[test]
    fn a_bomb_and_a_torn_archive_are_refused() {
        let mut header = Header::new_gnu();
        header.set_path("zeros").unwrap();
        header.set_size(1 << 40);
        header.set_mode(0o644);
        header.set_cksum();
        let zeros = std::io::repeat(0).take(200 << 20);
        let bomb = zstd::encode_all(header.as_bytes().as_slice().chain(zeros), 1).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(check(&bomb).unwrap_err().contains("more than 5000 files"));
        let whole = pack("a", vec![file("b", &"some text ".repeat(100))]).unwrap();
        check(&whole).unwrap();
        for end in 0..whole.len() {
            assert!(check(&whole[..end]).is_err(), "{end} of {}", whole.len());
        }
        check(b"no archive").unwrap_err();
    }

    #[test]
    fn what_is_too_large_is_not_packed() {
        let text = "x".repeat(1 << 20);
        let files = (0..33).map(|at| file(&at.to_string(), &text)).collect();
        assert!(
            pack("a", files)
                .unwrap_err()
                .contains("name what does not belong")
        );
        let mut bits = 1_u64;
        let noise = (0..5 << 20).map(|_| {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1);
            (bits >> 56) as u8
        });
        let noise = File {
            path: "noise".to_owned(),
            bytes: noise.collect(),
            executable: false,
        };
        assert!(
            pack("a", vec![noise])
                .unwrap_err()
                .contains("compressed, over the limit")
        );
    }
}
