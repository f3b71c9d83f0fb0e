//! Notes which compiler builds the SDK, and with it the transform: `describe` tells it as provenance.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.trim().strip_prefix("rustc ").map(str::to_owned));
    println!(
        "cargo::rustc-env=TIDEMILL_RUSTC={}",
        version.as_deref().unwrap_or("unknown")
    );
}
