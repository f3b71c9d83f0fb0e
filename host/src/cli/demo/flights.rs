//! The flights and the weather of the demo, in the order they happened.

use std::path::Path;

use anyhow::{Context, Result};

use crate::block::Block;
use crate::offline::{self, json::write_row};
use crate::schema::{DataType, Field, Scalar, Schema};
use crate::service::Definition;

pub struct Flight {
    pub id: String,
    /// What the gate knows, as JSON.
    pub inputs: String,
    /// The body that is posted.
    pub body: String,
    /// µs
    pub departed: i64,
    /// What really happened, minutes; none where nobody wrote it down.
    pub arr_delay: Option<f64>,
}

pub enum Event<'a> {
    /// The rows of an hour, as NDJSON.
    Weather(Vec<u8>),
    Flight(&'a Flight),
}

/// The flights, in the order they left.
pub fn read(dir: &Path) -> Result<Vec<Flight>> {
    let service = std::fs::read_to_string(dir.join("flight-delay.toml"))?;
    let request = Definition::from_toml(&service)?.request;
    let arr_delay = Field::new("arr_delay", DataType::One(Scalar::Float), true);
    let all = Schema::new(
        request
            .fields()
            .iter()
            .cloned()
            .chain([arr_delay])
            .collect(),
    );
    let column = |name: &str| {
        all.position(name)
            .map(|at| all.slot(at))
            .with_context(|| format!("no column {name}"))
    };
    let (id, departed, arr_delay) = (
        column("flight_id")?,
        column("departed")?,
        column("arr_delay")?,
    );
    let mut flights = Vec::new();
    for block in offline::open(&dir.join("flights.parquet"), &all)? {
        let block = block?;
        for row in 0..block.rows() {
            // The request's columns are the first ones, so they lie where they would without the last.
            let mut inputs = Vec::new();
            write_row(&block, &request, row, &mut inputs);
            let inputs = String::from_utf8(inputs)?;
            flights.push(Flight {
                id: block.text(id, row).to_owned(),
                body: format!("{{\"inputs\":{inputs},\"features\":true}}"),
                inputs,
                departed: block.integer(departed, row),
                arr_delay: block
                    .is_valid(arr_delay, row)
                    .then(|| block.float(arr_delay, row)),
            });
        }
    }
    flights.sort_by_key(|flight| flight.departed);
    Ok(flights)
}

/// Weather and flights in the order of their time; weather first where both have the same.
pub fn in_order<'a>(dir: &Path, flights: &'a [Flight]) -> Result<Vec<Event<'a>>> {
    let view: crate::view::View =
        crate::view::View::from_toml(&std::fs::read_to_string(dir.join("weather.toml"))?)?;
    let time = view
        .event_time_position()
        .map(|at| view.columns.slot(at))
        .context("weather has an event time")?;
    let blocks: Vec<Block> = offline::open(&dir.join("weather.parquet"), &view.columns)?
        .collect::<crate::error::Result<_>>()?;
    let mut rows: Vec<(i64, &Block, usize)> = blocks
        .iter()
        .flat_map(|block| (0..block.rows()).map(move |row| (block.integer(time, row), block, row)))
        .collect();
    rows.sort_by_key(|(time, ..)| *time);

    let mut events = Vec::new();
    let mut flights = flights.iter().peekable();
    for hour in rows.chunk_by(|(a, ..), (b, ..)| a == b) {
        let time = hour[0].0;
        while let Some(flight) = flights.next_if(|flight| flight.departed < time) {
            events.push(Event::Flight(flight));
        }
        let mut lines = Vec::new();
        for (_, block, row) in hour {
            write_row(block, &view.columns, *row, &mut lines);
            lines.push(b'\n');
        }
        events.push(Event::Weather(lines));
    }
    events.extend(flights.map(Event::Flight));
    Ok(events)
}
