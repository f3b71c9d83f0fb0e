//! Request, stored and computed columns, put side by side in an order of somebody's choosing. Pure.

use crate::block::{Block, Column, gather};
use crate::schema::Schema;
use crate::service::Place;

/// The columns at `places`, in their order, as a block of `schema`.
pub fn join(schema: &Schema, places: &[Place], sources: &[Block]) -> Block {
    let columns: Vec<Column<'_>> = places.iter().map(|place| place.column(sources)).collect();
    gather(schema, &columns, sources[0].rows())
}
