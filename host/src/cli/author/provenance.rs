//! What a component carries beside its code: where it came from, and its source if the author wants.
//!
//! Neither times nor folders of this machine: the same sources at the same commit give the same bytes anywhere.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value};

use super::cargo::{Compiled, Package};
use super::git::{self, Standing};
use crate::transform::contract;
use crate::transform::sections::{PROVENANCE, SOURCE, append};
use crate::transform::source::{File, pack};

/// Bytes that are read of a project before it is clear that it is too large.
const ENOUGH: u64 = 64 << 20;

/// Puts `tidemill.provenance` at the end of a component.
pub fn append_provenance(
    component: &mut Vec<u8>,
    package: &Package,
    compiled: &Compiled,
    standing: Option<&Standing>,
) {
    let tree = |standing: &Standing| if standing.clean { "clean" } else { "changed" };
    let pairs = [
        (
            "crate",
            Some(format!("{} {}", package.name, package.version)),
        ),
        ("sdk", compiled.sdk.clone()),
        ("contract", contract(component)),
        ("rustc", compiled.rustc.clone()),
        ("tidemill", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("commit", standing.map(|it| it.commit.clone())),
        ("tree", standing.map(|it| tree(it).to_owned())),
        ("remote", standing.and_then(|it| it.remote.clone())),
    ];
    let object: Map<String, Value> = pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::String(value?))))
        .collect();
    append(
        component,
        PROVENANCE,
        Value::Object(object).to_string().as_bytes(),
    );
}

/// Puts `tidemill.source` at the end of a component.
pub fn append_source(component: &mut Vec<u8>, archive: &[u8]) {
    append(component, SOURCE, archive);
}

/// An archive of a package's folder: what git tracks or would, never what it ignores, nothing below `target`. Links and
/// the like are left out, which `say` is told.
pub fn archive(package: &Package, target_dir: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<u8>> {
    let folder = package.folder();
    let listed = git::files(folder).context(
        "git says which files are yours, and does not run here: install git, or build without the source",
    )?;
    let target_dir = target_dir.canonicalize().ok();
    let (mut files, mut total) = (Vec::new(), 0);
    for path in listed {
        let file = folder.join(&path);
        let built = target_dir.as_ref().is_some_and(|dir| file.starts_with(dir));
        if built || path.starts_with("target/") {
            continue;
        }
        // What was deleted and not yet committed is gone.
        let Ok(metadata) = fs::symlink_metadata(&file) else {
            continue;
        };
        if !metadata.is_file() {
            say(&format!(
                "{path} is no plain file, and not in the source archive"
            ));
            continue;
        }
        total += metadata.len();
        if total > ENOUGH {
            return Err(anyhow!(
                "the source has over {ENOUGH} bytes; name what does not belong to it in .gitignore"
            ));
        }
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        files.push(File {
            path,
            bytes,
            executable: is_executable(&metadata),
        });
    }
    let root = format!("{}-{}", package.name, package.version);
    pack(&root, files).map_err(|reason| anyhow!("{}: {reason}", package.name))
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}
