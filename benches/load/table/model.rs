//! A model of trees against the bare memory reads of its walks: as many words, from as large an array, at places known
//! beforehand.

use std::hint::black_box;

use anyhow::{Context, Result};
use tidemill::block::{Block, Rows};

use super::Lines;
use super::demo::{Demo, bodies, in_turn};
use crate::timing::Subject;

#[path = "../../../onnx-ml/benches/onnxruntime/reads.rs"]
mod reads;

pub fn measure(demo: &Demo, lines: &Lines) -> Result<()> {
    let service = demo.service("flight-delay")?;
    let planned = service.plan.model.as_ref().context("no model")?;
    let (model, schema) = (&planned.model, &service.plan.vector.schema);
    let catalog = demo.app.registry.catalog();
    let facts = &catalog.model_by_id(&model.to_string())?.record.facts;
    lines.group(&format!(
        "the model, a row: {} trees of {} nodes in all",
        facts.trees, facts.tree_nodes
    ));
    let nodes = facts.tree_nodes;
    let reads = reads::Reads::new(nodes, facts.trees, nodes / facts.trees);
    for count in [1, 100, 1_000] {
        let mut vectors: Vec<Block> = Vec::new();
        for body in bodies(count)?.iter().take(64) {
            let scored = demo.scored(&service, body)?;
            anyhow::ensure!(scored.vector.rows == Rows::All, "a flight was not scored");
            vectors.push(scored.vector.block);
        }
        let (mut vector, mut first) = (in_turn(&vectors), 0);
        lines.compare(
            Subject::new("reads", || {
                first += 1;
                black_box(reads.rows(first, count));
            })
            .of(count),
            vec![
                Subject::new(format!("rows {count}"), || {
                    black_box(model.run(schema, vector()).expect("a score"));
                })
                .of(count),
            ],
        );
    }
    Ok(())
}
