//! `tidemill training-set register`

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::build::FILE;
use crate::cli::client::Client;
use crate::cli::service::text_of;
use crate::digest;
use crate::training_set::Manifest;

/// Registers a set whose manifest is known.
pub fn register(client: &Client, manifest: &Manifest) -> Result<()> {
    let body = serde_json::to_vec(manifest)?;
    let shown = client.post("/v1/training-sets", "application/json", &body)?;
    println!(
        "{}@{} registered",
        text_of(&shown["name"]),
        shown["version"]
    );
    Ok(())
}

/// The manifest of a set: a folder, or the manifest itself.
pub fn read(path: &Path) -> Result<Manifest> {
    let file = match path.is_dir() {
        true => path.join(FILE),
        false => path.to_owned(),
    };
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest = Manifest::from_json(&bytes)?;
    manifest
        .check()
        .map_err(|reason| anyhow::anyhow!("{}: {reason}", file.display()))?;
    Ok(manifest)
}

/// Registers a set that lies in a folder, if its files are still those that its manifest names.
pub fn from_folder(client: &Client, folder: &Path) -> Result<()> {
    let manifest = read(folder)?;
    for file in &manifest.files {
        let path = folder.join(&file.path);
        let (found, _) =
            digest::of_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let said = file.hex();
        if found != said {
            bail!(
                "{} has sha256:{found}, and its manifest says sha256:{said}: it is not the file that was built",
                path.display()
            );
        }
    }
    register(client, &manifest)
}
