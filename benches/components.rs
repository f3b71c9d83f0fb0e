//! The plugins as components, built by the program.

use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The bytes of a plugin.
pub fn build(name: &str) -> Vec<u8> {
    let root = root();
    let target = root.join("target/tidemill");
    let status = Command::new(env!("CARGO"))
        .args([
            "run",
            "--release",
            "--quiet",
            "--package",
            "tidemill",
            "--",
            "transform",
            "build",
        ])
        .arg(root.join("plugins").join(name))
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&root)
        .output()
        .expect("cargo");
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    std::fs::read(target.join("components").join(format!("{name}.wasm"))).expect("a component")
}
