//! From a Cargo package to a component on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::cargo::{Artifact, Package, Workspace};
use super::{component, target};

/// What to build.
pub struct BuildOptions {
    pub manifest_path: PathBuf,
    /// The packages to build; if empty, the package of the manifest.
    pub packages: Vec<String>,
    /// Build the packages' examples instead, each a transform by itself.
    pub examples: bool,
    pub target_dir: PathBuf,
    /// Keep Cargo's words to ourselves unless it fails.
    pub quiet: bool,
}

/// A component on disk.
pub struct Built {
    /// The package's name, or the example's with hyphens.
    pub name: String,
    /// The component.
    pub path: PathBuf,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Bytes of the component.
    pub size: u64,
}

/// Builds packages for WebAssembly, encodes each as a component, and writes it to `<target_dir>/components/NAME.wasm`.
///
/// The same sources give the same bytes in any folder: the profile is ours, paths are remapped, and the flags of
/// the caller's environment are left out. `say` is told what takes time and what came out.
pub fn build(options: &BuildOptions, say: &mut dyn FnMut(&str)) -> Result<Vec<Built>> {
    if !options.manifest_path.is_file() {
        bail!(
            "there is no {}; `tidemill transform new NAME` writes a project to start from",
            options.manifest_path.display()
        );
    }
    target::ensure(folder(&options.manifest_path), say)?;
    let workspace = Workspace::read(&options.manifest_path)?;
    let mut built = Vec::new();
    for package in workspace.choose(&options.packages)? {
        say(&format!("building {} {}", package.name, package.version));
        let artifacts = workspace.compile(package, options)?;
        for artifact in &artifacts {
            let component = write(package, artifact, options)?;
            say(&told(&component));
            built.push(component);
        }
    }
    Ok(built)
}

fn write(package: &Package, artifact: &Artifact, options: &BuildOptions) -> Result<Built> {
    let name = if options.examples {
        artifact.name.replace('_', "-")
    } else {
        package.name.clone()
    };
    let module = fs::read(&artifact.path)
        .with_context(|| format!("cannot read {}", artifact.path.display()))?;
    let bytes = component::encode(&module, &name)?;
    let path = options
        .target_dir
        .join("components")
        .join(format!("{name}.wasm"));
    replace(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Built {
        name,
        path,
        digest: Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        size: bytes.len() as u64,
    })
}

/// Whoever reads the file while another build writes it sees the old bytes or the new ones, never half of them.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(folder(path))?;
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let count = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("wasm.{}-{count}", std::process::id()));
    fs::write(&beside, bytes)?;
    Ok(fs::rename(&beside, path)?)
}

fn told(built: &Built) -> String {
    let Built {
        name,
        path,
        digest,
        size,
        ..
    } = built;
    format!(
        "{name}: {:.1} KB, sha256 {digest}, {}",
        *size as f64 / 1000.0,
        path.display()
    )
}

/// The folder of a file; `.` for a bare name, whose parent is the empty path.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
