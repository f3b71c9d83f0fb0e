//! The room as its users see it, with guests written as text.

mod calling;
mod compiled;
mod faults;
mod instances;
mod loading;

use super::guests::{Guest, field, rows};
use super::*;

fn engine() -> Engine {
    Engine::new(small(), None).unwrap()
}

/// Limits that are soon met, so that the tests are quick.
fn small() -> Limits {
    Limits {
        fuel: 200_000,
        fuel_per_row: 2_000,
        memory_bytes: 1 << 20,
        instances: 8,
        ..Limits::default()
    }
}

fn load(guest: Guest) -> Transform {
    engine().load(&guest.module()).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    match engine().load(bytes) {
        Ok(transform) => panic!("{} was loaded", transform.name()),
        Err(error) => error.to_string(),
    }
}

fn fault(transform: &Transform, block: &Block) -> Fault {
    match transform.call(block) {
        Err(Error::Transform { fault, .. }) => fault,
        other => panic!("no fault but {other:?}"),
    }
}
