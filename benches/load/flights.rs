//! Requests made of the demo's flights.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tidemill::offline::{self, json::write_row};
use tidemill::service::Definition;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A body for each group of so many flights; 0: one as `inputs`.
pub fn bodies(rows: usize) -> Result<Vec<Vec<u8>>> {
    let dir = root().join("demo/flights");
    let service = std::fs::read_to_string(dir.join("flight-delay.toml"))
        .context("the flights are in the checkout this program was built from")?;
    let request = Definition::from_toml(&service)?.request;
    let mut flights = Vec::new();
    for block in offline::open(&dir.join("flights.parquet"), &request)? {
        let block = block?;
        for row in 0..block.rows() {
            let mut inputs = Vec::new();
            write_row(&block, &request, row, &mut inputs);
            flights.push(inputs);
        }
    }
    if rows == 0 {
        return Ok(flights
            .iter()
            .map(|inputs| [b"{\"inputs\":", inputs.as_slice(), b"}"].concat())
            .collect());
    }
    // The last group would be smaller than the others.
    let groups = flights.chunks_exact(rows);
    Ok(groups
        .map(|group| [b"{\"rows\":[".as_slice(), &group.join(&b','), b"]}"].concat())
        .collect())
}
