//! Programs of the Rust toolchain, started as if by hand in the author's folder.

use std::path::Path;
use std::process::Command;

/// A program in a folder, free of what Cargo left in the environment if we were started by it.
pub fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(changes_the_build) {
            command.env_remove(&name);
        }
    }
    // `cargo run` pins its own toolchain for its children; a toolchain file beside the author's sources is nearer.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let has_file = |folder: &Path| {
        folder.join("rust-toolchain.toml").exists() || folder.join("rust-toolchain").exists()
    };
    if std::env::var_os("CARGO").is_some() && folder.ancestors().any(has_file) {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    command
}

/// Variables that would make other bytes of the same sources, or carry them elsewhere.
fn changes_the_build(name: &str) -> bool {
    const HARMLESS: [&str; 7] = [
        "HOME",
        "NET",
        "HTTP",
        "REGISTRY",
        "REGISTRIES",
        "TERM",
        "BUILD_JOBS",
    ];
    match name.strip_prefix("CARGO_") {
        Some(rest) => !HARMLESS.iter().any(|harmless| rest.starts_with(harmless)),
        None => ["RUSTC", "RUSTFLAGS", "RUSTDOC", "MAKEFLAGS", "MFLAGS"]
            .iter()
            .any(|start| name.starts_with(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_bytes_is_left_out_and_nothing_else() {
        let left_out = [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_OPT_LEVEL",
            "CARGO_PKG_NAME",
            "RUSTC_WRAPPER",
            "RUSTC_BOOTSTRAP",
        ];
        let kept = [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_HTTP_PROXY",
            "CARGO_REGISTRIES_OURS_TOKEN",
            "CARGO_TERM_COLOR",
            "CARGO_BUILD_JOBS",
            "RUSTUP_HOME",
            "RUST_BACKTRACE",
            "PATH",
        ];
        assert!(left_out.into_iter().all(changes_the_build));
        assert!(!kept.into_iter().any(changes_the_build));
    }
}
