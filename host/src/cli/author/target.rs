//! The Rust target that transforms are built for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::environment::command;

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Makes sure that the toolchain in use in `folder` has the target; adds it with rustup where it is missing.
pub fn ensure(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<()> {
    if is_there(folder)? {
        return Ok(());
    }
    say(&format!(
        "adding the target {TARGET}: rustup target add {TARGET}"
    ));
    let by_hand = format!(
        "run `rustup target add {TARGET}` in {}, then try again",
        folder.display()
    );
    match command("rustup", folder)
        .args(["target", "add", TARGET])
        .output()
    {
        Ok(output) if output.status.success() && is_there(folder)? => Ok(()),
        Ok(output) => bail!(
            "rustup could not add it; {by_hand}\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "this Rust lacks the target {TARGET}, and there is no rustup to add it: install Rust from \
             https://rustup.rs, or the package in which your system keeps that target"
        ),
        Err(error) => Err(error).context(format!("cannot start rustup; {by_hand}")),
    }
}

fn is_there(folder: &Path) -> Result<bool> {
    let output = command("rustc", folder)
        .args(["--print", "sysroot"])
        .output();
    let output = output.context("cannot start rustc; install Rust from https://rustup.rs")?;
    if !output.status.success() {
        bail!(
            "rustc does not run in {}: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let sysroot = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(sysroot
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib")
        .is_dir())
}
