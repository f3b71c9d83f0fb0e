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
    if total > 1 || rows.len(total) == 0 {
        for place in places {
            if picks.iter().all(|(source, _)| *source != place.source)
                && let Some(pick) = rows.places_in(&sources[place.source].rows, total)
            {
                picks.push((place.source, pick));
            }
        }
    }
    let column = |at: usize| {
        let Place { source, slot } = places[at];
        let pick = picks.iter().find(|(picked, _)| *picked == source);
        Picked {
            column: Column {
                block: &sources[source].block,
                slot,
            },
            rows: pick.map(|(_, pick)| pick.as_slice()),
        }
    };
    pick(schema, column, rows.len(total))
}
