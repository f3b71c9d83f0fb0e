//! Cargo as a subprocess: what a workspace holds, and compiling one package of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::build::{BuildOptions, folder};
use super::target::TARGET;

/// The profile that transforms are built with, whatever the manifest says: fast, small, and the same everywhere.
/// Function names stay, so that a trap can name them.
const PROFILE: [&str; 9] = [
    "opt-level=3",
    "lto=true",
    "codegen-units=1",
    "panic='abort'",
    "strip='debuginfo'",
    "debug=false",
    "debug-assertions=false",
    "overflow-checks=false",
    "incremental=false",
];

/// What Cargo knows of the workspace around a manifest.
pub struct Workspace {
    manifest_path: PathBuf,
    root: PathBuf,
    members: Vec<Package>,
}

pub struct Package {
    pub name: String,
    pub version: String,
    manifest_path: PathBuf,
    has_library: bool,
    /// Dependencies by path, which may lie outside the workspace.
    paths: Vec<PathBuf>,
}

/// A core module that Cargo made.
pub struct Artifact {
    /// The name of the Cargo target: of the library or of the example.
    pub name: String,
    pub path: PathBuf,
}

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

impl Workspace {
    pub fn read(manifest_path: &Path) -> Result<Workspace> {
        // Absolute, because Cargo runs in the manifest's folder.
        let manifest_path = manifest_path.canonicalize()?;
        let mut cargo = command("cargo", folder(&manifest_path));
        cargo
            .args([
                "metadata",
                "--no-deps",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(&manifest_path);
        let output = cargo
            .output()
            .context("cannot start cargo; install Rust from https://rustup.rs")?;
        if !output.status.success() {
            bail!(
                "cargo cannot read {}:\n{}",
                manifest_path.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
        let members = array(&metadata["packages"])
            .iter()
            .map(package)
            .collect::<Option<Vec<_>>>();
        Ok(Workspace {
            root: metadata["workspace_root"]
                .as_str()
                .map_or_else(|| folder(&manifest_path).into(), PathBuf::from),
            members: members.context("cargo metadata has no packages as we know them")?,
            manifest_path,
        })
    }

    /// The packages of these names, or the package of the manifest.
    pub fn choose(&self, names: &[String]) -> Result<Vec<&Package>> {
        let all = || {
            self.members
                .iter()
                .map(|member| member.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let here = || {
            self.members
                .iter()
                .find(|member| member.manifest_path == self.manifest_path)
        };
        let manifest = self.manifest_path.display();
        let chosen = match names {
            [] => vec![here().with_context(|| {
                format!(
                    "{manifest} has no package of its own; name one of: {}",
                    all()
                )
            })?],
            names => names
                .iter()
                .map(|name| self.named(name, all))
                .collect::<Result<_>>()?,
        };
        Ok(chosen)
    }

    fn named(&self, name: &str, all: impl Fn() -> String) -> Result<&Package> {
        let found = self.members.iter().find(|member| member.name == name);
        found.with_context(|| {
            format!(
                "no package `{name}` in {}; there are: {}",
                self.manifest_path.display(),
                all()
            )
        })
    }

    /// Compiles a package's library, or its examples, to core modules.
    pub fn compile(&self, package: &Package, options: &BuildOptions) -> Result<Vec<Artifact>> {
        let mut cargo = command("cargo", folder(&self.manifest_path));
        if options.examples {
            cargo.args(["build", "--examples"]);
        } else if package.has_library {
            // As a cdylib alone: beside an rlib, Cargo would leave out link-time optimisation.
            cargo.args(["rustc", "--lib", "--crate-type=cdylib"]);
        } else {
            bail!(
                "{} has no library: a transform is a library package, its function in src/lib.rs",
                package.name
            );
        }
        let target_dir = std::path::absolute(&options.target_dir)?;
        cargo.args([
            "--package",
            &package.name,
            "--target",
            TARGET,
            "--profile=release",
        ]);
        cargo.arg("--message-format=json-render-diagnostics");
        cargo.args(
            PROFILE
                .iter()
                .flat_map(|setting| ["--config".into(), format!("profile.release.{setting}")]),
        );
        cargo
            .arg("--manifest-path")
            .arg(&self.manifest_path)
            .arg("--target-dir")
            .arg(target_dir);
        cargo.env(
            "CARGO_ENCODED_RUSTFLAGS",
            self.remapped_paths(package).join("\u{1f}"),
        );
        cargo.stdout(Stdio::piped()).stderr(if options.quiet {
            Stdio::piped()
        } else {
            Stdio::inherit()
        });

        let output = cargo.spawn()?.wait_with_output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("cargo could not build {}\n{}", package.name, words.trim());
        }
        let artifacts = artifacts(&output.stdout, package)?;
        let nothing = || {
            anyhow!(
                "cargo built nothing for {TARGET} in {}; are its examples cdylibs?",
                package.name
            )
        };
        if artifacts.is_empty() {
            Err(nothing())
        } else {
            Ok(artifacts)
        }
    }

    /// Flags that take the folders of this machine out of the messages of panics.
    fn remapped_paths(&self, package: &Package) -> Vec<String> {
        let mut folders = vec![(self.root.clone(), "/transform".to_owned())];
        for path in &package.paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            folders.push((path.clone(), format!("/{name}")));
        }
        for registry in registries() {
            folders.push((registry, "/registry".to_owned()));
        }
        let flag =
            |(from, to): (PathBuf, String)| format!("--remap-path-prefix={}={to}", from.display());
        folders.into_iter().map(flag).collect()
    }
}

/// The folders in which Cargo keeps the sources of published packages.
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) else {
        return Vec::new();
    };
    let entries = fs::read_dir(home.join("registry/src"))
        .into_iter()
        .flatten()
        .flatten();
    entries.map(|entry| entry.path()).collect()
}

fn package(value: &Value) -> Option<Package> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let targets = array(&value["targets"]);
    // `kind` holds the crate types of a library, or `bin`, `test`, `proc-macro`, …
    let library = |kind: &Value| {
        matches!(
            kind.as_str(),
            Some("lib" | "rlib" | "dylib" | "cdylib" | "staticlib")
        )
    };
    Some(Package {
        name: text("name")?,
        version: text("version")?,
        manifest_path: text("manifest_path")?.into(),
        has_library: targets
            .iter()
            .any(|target| array(&target["kind"]).iter().any(library)),
        paths: array(&value["dependencies"])
            .iter()
            .filter_map(|dep| dep["path"].as_str())
            .map(Into::into)
            .collect(),
    })
}

/// The modules among the messages of a build: one JSON object a line.
fn artifacts(messages: &[u8], package: &Package) -> Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for line in messages
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"{"))
    {
        let message: Value =
            serde_json::from_slice(line).context("cargo gave a message that is no JSON")?;
        let of_package =
            message["manifest_path"].as_str().map(Path::new) == Some(&*package.manifest_path);
        if message["reason"] != "compiler-artifact" || !of_package {
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let files = array(&message["filenames"])
            .iter()
            .filter_map(Value::as_str);
        artifacts.extend(
            files
                .filter(|file| file.ends_with(".wasm"))
                .map(|file| Artifact {
                    name: name.to_owned(),
                    path: file.into(),
                }),
        );
    }
    artifacts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(artifacts)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
