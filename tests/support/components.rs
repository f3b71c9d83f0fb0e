//! Components, built from their sources by the program under test, once.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::file;

/// The bytes of a plugin of this repository.
pub fn plugin(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let plugins = [
            "departure-delay",
            "great-circle",
            "local-calendar",
            "weather-risk",
            "card-payment",
            "delay-notice",
        ];
        plugins.map(|name| build(&format!("plugins/{name}"), &[]))[0].clone()
    });
    read(dir, name)
}

/// The bytes of a bad guest: `tests/guests/examples`, with hyphens.
pub fn guest(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    read(
        BUILT.get_or_init(|| build("tests/guests", &["--examples"])),
        name,
    )
}

/// The guest without a fault under another version, of five characters as its own is: 1.0.0.
pub fn good(version: &str) -> Vec<u8> {
    renumbered(guest("good"), version)
}

/// A plugin under another version of five characters: as its author would register it after a change.
pub fn newer(name: &str, version: &str) -> Vec<u8> {
    renumbered(plugin(name), version)
}

fn renumbered(mut bytes: Vec<u8>, version: &str) -> Vec<u8> {
    let own = b"1.0.0";
    assert_eq!(version.len(), own.len());
    let found: Vec<usize> = (0..bytes.len() - own.len())
        .filter(|&at| bytes[at..].starts_with(own))
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + own.len()].copy_from_slice(version.as_bytes());
    }
    bytes
}

fn build(project: &str, more: &[&str]) -> PathBuf {
    let target = file("target/tidemill");
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["transform", "build"])
        .arg(file(project))
        .arg("--target-dir")
        .arg(&target)
        .args(more)
        .output()
        .expect("the program starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "transform build {project}: {words}"
    );
    target.join("components")
}

fn read(dir: &std::path::Path, name: &str) -> Vec<u8> {
    let path = dir.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
