//! Request, stored and computed columns, put side by side in an order of somebody's choosing. Pure.

use crate::block::{Block, Column, Picked, Rows, Source, pick};
use crate::schema::Schema;
use crate::service::Place;

/// The columns at `places`, in their order, as a block of `schema` that holds `rows` of a request of `total`. Each source
/// holds those rows at least, or one that stands for all.
pub fn join(
    schema: &Schema,
    places: &[Place],
    sources: &[Source],
    rows: &Rows,
    total: usize,
) -> Block {
    // Sources of a request of one row, and of most others, hold just what is wanted.
    let mut picks: Vec<(usize, Vec<u32>)> = Vec::new();
    for place in places {
        if picks.iter().all(|(source, _)| *source != place.source)
            && let Some(pick) = rows.places_in(&sources[place.source].rows, total)
        {
            picks.push((place.source, pick));
        }
    }
    let columns: Vec<Picked<'_>> = places
        .iter()
        .map(|place| Picked {
            column: Column {
                block: &sources[place.source].block,
                slot: place.slot,
            },
            rows: picks
                .iter()
                .find(|(source, _)| *source == place.source)
                .map(|(_, pick)| pick.as_slice()),
        })
        .collect();
    pick(schema, &columns, rows.len(total))
}
