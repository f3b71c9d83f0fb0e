//! Cargo as a subprocess: what a workspace holds, and compiling one package of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::build::{BuildOptions, folder};
use super::environment::command;
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
    uses_sdk: bool,
    /// Whether its manifest wants the source in the component: `[package.metadata.tidemill] source = true`.
    pub carries_source: bool,
    /// Dependencies by path, which may lie outside the workspace.
    paths: Vec<PathBuf>,
}

/// A core module that Cargo made.
pub struct Artifact {
    /// The name of the Cargo target: of the library or of the example.
    pub name: String,
    pub path: PathBuf,
}

/// What Cargo made, and with what.
pub struct Compiled {
    pub artifacts: Vec<Artifact>,
    /// The version of tidemill-sdk, and of the compiler as the SDK saw it, which is what `describe` tells too.
    pub sdk: Option<String>,
    pub rustc: Option<String>,
}

impl Package {
    pub fn folder(&self) -> &Path {
        folder(&self.manifest_path)
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
        let manifest = self.manifest_path.display();
        let all = self.transforms().join(", ");
        if names.is_empty() {
            let is_here = |member: &&Package| member.manifest_path == self.manifest_path;
            let here = self.members.iter().find(is_here);
            let nothing = || format!("{manifest} has no package of its own; name one of: {all}");
            return Ok(vec![here.with_context(nothing)?]);
        }
        let named = |name: &String| {
            let found = self.members.iter().find(|member| member.name == *name);
            found.with_context(|| format!("no package `{name}` in {manifest}; there are: {all}"))
        };
        names.iter().map(named).collect()
    }

    /// The packages that look like transforms: those with the SDK among their dependencies.
    fn transforms(&self) -> Vec<&str> {
        let members = self.members.iter().filter(|member| member.uses_sdk);
        members.map(|member| member.name.as_str()).collect()
    }

    /// Compiles a package's library, or its examples, to core modules.
    pub fn compile(&self, package: &Package, options: &BuildOptions) -> Result<Compiled> {
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
            return Err(nothing());
        }
        let (sdk, rustc) = sdk_and_rustc(&output.stdout).unzip();
        Ok(Compiled {
            artifacts,
            sdk,
            rustc,
        })
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
    let dependencies = array(&value["dependencies"]);
    let paths = dependencies.iter().filter_map(|it| it["path"].as_str());
    Some(Package {
        name: text("name")?,
        version: text("version")?,
        manifest_path: text("manifest_path")?.into(),
        has_library: targets
            .iter()
            .any(|target| array(&target["kind"]).iter().any(library)),
        uses_sdk: dependencies.iter().any(|it| it["name"] == "tidemill-sdk"),
        carries_source: value["metadata"]["tidemill"]["source"] == true,
        paths: paths.map(Into::into).collect(),
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

/// What the SDK's build script told of itself among the messages of a build.
fn sdk_and_rustc(messages: &[u8]) -> Option<(String, String)> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "build-script-executed")
        .find_map(|message| {
            let rustc = array(&message["env"])
                .iter()
                .find(|pair| pair[0] == "TIDEMILL_RUSTC")?;
            // `path+file:///sdk#tidemill-sdk@0.1.0`, or `…/tidemill-sdk#0.1.0` where the folder has its name.
            let id = message["package_id"].as_str()?;
            let sdk = id.rsplit(['#', '@']).next()?;
            Some((sdk.to_owned(), rustc[1].as_str()?.to_owned()))
        })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
