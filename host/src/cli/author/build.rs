//! From a Cargo package to a component on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

use super::cargo::{Artifact, Compiled, Package, Workspace};
use super::git::Standing;
use super::{component, provenance, target};
use crate::digest::digest;

/// What to build.
pub struct BuildOptions {
    pub manifest_path: PathBuf,
    /// The packages to build; if empty, the package of the manifest.
    pub packages: Vec<String>,
    /// Build the packages' examples instead, each a transform by itself.
    pub examples: bool,
    pub target_dir: PathBuf,
    /// Put the source into the component, also where the manifest does not ask for it.
    pub with_source: bool,
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
/// The same sources at the same commit give the same bytes in any folder: the profile is ours, paths are remapped, and
/// the flags of the caller's environment are left out. Behind the code stands where it came from, and the source if it
/// is wanted. `say` is told what takes time and what came out.
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
        let compiled = workspace.compile(package, options)?;
        // Only now: a first build may write Cargo.lock, and the second should find the folder as this one.
        let standing = Standing::of(package.folder());
        let source = match options.with_source || package.carries_source {
            true => Some(provenance::archive(package, &options.target_dir, say)?),
            false => None,
        };
        for artifact in &compiled.artifacts {
            let about = About {
                compiled: &compiled,
                standing: standing.as_ref(),
                source: source.as_deref(),
            };
            let component = write(package, artifact, &about, options)?;
            say(&told(&component));
            built.push(component);
        }
    }
    Ok(built)
}

/// What a component carries beside its code.
struct About<'a> {
    compiled: &'a Compiled,
    standing: Option<&'a Standing>,
    source: Option<&'a [u8]>,
}

fn write(
    package: &Package,
    artifact: &Artifact,
    about: &About<'_>,
    options: &BuildOptions,
) -> Result<Built> {
    let name = if options.examples {
        artifact.name.replace('_', "-")
    } else {
        package.name.clone()
    };
    let module = fs::read(&artifact.path)
        .with_context(|| format!("cannot read {}", artifact.path.display()))?;
    let mut bytes = component::encode(&module, &name)?;
    provenance::append_provenance(&mut bytes, package, about.compiled, about.standing);
    if let Some(archive) = about.source {
        provenance::append_source(&mut bytes, archive);
    }
    let path = options
        .target_dir
        .join("components")
        .join(format!("{name}.wasm"));
    replace(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Built {
        name,
        path,
        digest: digest(&bytes),
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
