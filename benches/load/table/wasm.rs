//! What the sandbox costs: each plugin natively, as Wasm on a warm instance, and on a fresh one.

use std::hint::black_box;

use anyhow::Result;
use tidemill::block::{Block, RowsBuilder};
use tidemill::request::decode_row;
use tidemill::transform::Transform;

use super::Lines;
use super::demo::Demo;
use crate::natives::NATIVES;
use crate::timing::Subject;

pub fn measure(demo: &Demo, lines: &Lines) -> Result<()> {
    lines.group("transforms, a row");
    for native in &NATIVES {
        let transform = demo.transform(native.name)?;
        for count in [1, 100, 10_000] {
            let block = block(&transform, native.row, count)?;
            transform.call(&block)?;
            let what = |way: &str| format!("{}, rows {count}, {way}", native.name);
            let call = |call: fn(&Transform, &Block) -> tidemill::error::Result<_>| {
                let (transform, block) = (&transform, &block);
                move || drop(black_box(call(transform, black_box(block))))
            };
            lines.compare(
                Subject::new("native", native.over(block.clone())).of(count),
                vec![
                    Subject::new(what("warm"), call(Transform::call)).of(count),
                    Subject::new(what("fresh"), call(Transform::call_fresh)).of(count),
                ],
            );
        }
    }
    Ok(())
}

fn block(transform: &Transform, row: &str, count: usize) -> Result<Block> {
    let schema = &transform.description().inputs;
    let mut builder = RowsBuilder::new(schema);
    for line in 1..=count {
        decode_row(schema, row.as_bytes(), line, &mut builder)?;
    }
    Ok(builder.finish())
}
