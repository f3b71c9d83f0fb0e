//! A project to start from.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Words that cannot name a Rust library: keywords, and crates that come with Rust.
const TAKEN: [&str; 52] = [
    "abstract", "alloc", "as", "async", "await", "become", "box", "break", "const", "continue",
    "core", "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen",
    "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv",
    "pub", "ref", "return", "self", "static", "std", "struct", "super", "test", "trait", "true",
    "try", "type", "typeof", "unsafe", "use", "where", "while",
];

/// Writes a project that builds, tests and registers as it stands into `folder`, which must be empty or not yet there.
/// It takes the SDK from the folder `sdk`.
pub fn new_project(folder: &Path, name: &str, sdk: &Path) -> Result<()> {
    check_name(name)?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        bail!(
            "{} is there already, and not empty; choose another folder",
            folder.display()
        );
    }
    let sdk = sdk.canonicalize().with_context(|| {
        format!(
            "there is no SDK at {}; name its folder with --sdk",
            sdk.display()
        )
    })?;
    let dependency = format!("{{ path = {:?} }}", sdk.display().to_string());
    let manifest = MANIFEST
        .replace("{name}", name)
        .replace("{sdk}", &dependency);
    let manifest = if in_workspace(folder) {
        manifest + OWN_WORKSPACE
    } else {
        manifest
    };
    let library = LIBRARY.replace("{function}", &name.replace('-', "_"));
    let files = [
        ("Cargo.toml", manifest),
        ("src/lib.rs", library),
        (".gitignore", "/target\n".into()),
    ];
    fs::create_dir_all(folder.join("src"))
        .with_context(|| format!("cannot make {}", folder.display()))?;
    for (file, text) in files {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    let good = name.starts_with(|char: char| char.is_ascii_lowercase())
        && name
            .chars()
            .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-');
    if !good {
        bail!(
            "`{name}` cannot be the name of a transform: lower-case letters, digits and hyphens, a letter first"
        );
    }
    if TAKEN.contains(&name) {
        bail!("`{name}` is a word of Rust's own; choose another name");
    }
    Ok(())
}

/// Whether Cargo would look for the project among the members of a workspace above it.
fn in_workspace(folder: &Path) -> bool {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let manifests = folder
        .ancestors()
        .skip(1)
        .map(|above| fs::read_to_string(above.join("Cargo.toml")));
    manifests.flatten().any(|manifest| {
        manifest
            .lines()
            .any(|line| line.trim_start().starts_with("[workspace"))
    })
}

const OWN_WORKSPACE: &str = "
# There is a workspace in a folder above; this package is no member of it.
[workspace]
";

const MANIFEST: &str = r#"[package]
name = "{name}"
# What is registered is immutable: a change is a new version.
version = "0.1.0"
edition = "2024"
publish = false

[lib]
# The component, and a library for tests.
crate-type = ["cdylib", "rlib"]

[dependencies]
tidemill-sdk = {sdk}
"#;

const LIBRARY: &str = r#"//! A transform: two structs and one function.

use tidemill_sdk::prelude::*;

/// One row in. Text would be `&'a str`, and the struct `Trip<'a>`.
#[derive(Input)]
pub struct Trip {
    /// Kilometres.
    #[field(min = 0.0)]
    pub distance: f64,
    pub started: Timestamp,
    /// Null while the trip goes on.
    pub ended: Option<Timestamp>,
}

/// One row out.
#[derive(Output)]
pub struct Speed {
    /// Kilometres an hour; null while the trip goes on.
    pub mean_speed: Option<f64>,
    pub is_over: bool,
}

/// Mean speed of a trip in kilometres an hour.
#[transform]
pub fn {function}(trip: Trip) -> Result<Speed, Refusal> {
    let Some(ended) = trip.ended else {
        return Ok(Speed { mean_speed: None, is_over: false });
    };
    let hours = ended.seconds_since(trip.started) / 3600.0;
    if hours <= 0.0 {
        refuse!("the trip ended at {ended}, but started at {}", trip.started);
    }
    Ok(Speed { mean_speed: Some(trip.distance / hours), is_over: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{rows, run};

    #[test]
    fn over_under_way_and_impossible() {
        let answer = run::<{function}>(rows![
            { distance: 30, started: "2024-05-01T12:00:00Z", ended: "2024-05-01T12:20:00Z" },
            { distance: 30, started: "2024-05-01T12:00:00Z", ended: null },
            { distance: 30, started: "2024-05-01T12:00:00Z", ended: "2024-05-01T11:00:00Z" },
        ]);
        assert_eq!(answer.column::<Option<f64>>("mean_speed"), [Some(90.0), None, None]);
        assert_eq!(answer.column::<bool>("is_over"), [true, false, false]);
        assert_eq!(
            answer.refusals(),
            [(2, "the trip ended at 2024-05-01T11:00:00Z, but started at 2024-05-01T12:00:00Z")]
        );
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_transforms() {
        assert!(
            ["a", "great-circle", "h3", "card-payment-2"]
                .iter()
                .all(|name| check_name(name).is_ok())
        );
        let bad = [
            "",
            "3d",
            "-a",
            "Great",
            "great_circle",
            "größe",
            "a b",
            "match",
            "std",
        ];
        assert!(bad.iter().all(|name| check_name(name).is_err()));
    }

    #[test]
    fn words_of_rust_are_in_order() {
        assert!(TAKEN.is_sorted());
    }
}
