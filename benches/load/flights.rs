//! Requests made of the demo's flights.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tidemill::block::{Block, RowsBuilder};
use tidemill::offline::{self, json::write_row};
use tidemill::service::Definition;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The demo's service for flights.
pub fn service() -> Result<Definition> {
    let text = std::fs::read_to_string(root().join("demo/flights/flight-delay.toml"))
        .context("the flights are in the checkout this program was built from")?;
    Ok(Definition::from_toml(&text)?)
}

/// A body for each group of so many flights; 0: one as `inputs`. All leave in the last minute of which the weather is known,
/// as flights do that are asked about when they leave: otherwise most look-ups of the weather would be of history.
pub fn bodies(rows: usize) -> Result<Vec<Vec<u8>>> {
    let request = service()?.request;
    let mut flights = Vec::new();
    let slot = |name: &str| {
        let at = request.position(name);
        at.map(|at| request.slot(at)).context(format!("no {name}"))
    };
    let (scheduled, departed) = (slot("scheduled")?, slot("departed")?);
    let blocks = offline::open(&root().join("demo/flights/flights.parquet"), &request)?;
    let blocks: Vec<Block> = blocks.collect::<Result<_, _>>()?;
    let departures = blocks
        .iter()
        .flat_map(|block| block.integer_column(departed));
    let last = departures.max().copied().context("no flights")?;
    for block in &blocks {
        let mut rows = RowsBuilder::new(&request);
        for row in 0..block.rows() {
            rows.begin_row();
            for slot in request.slots() {
                rows.copy(*slot, block, *slot, row);
            }
            let later = last - block.integer(departed, row);
            rows.set_integer(scheduled, block.integer(scheduled, row) + later);
            rows.set_integer(departed, last);
        }
        let block = rows.finish();
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
