//! What the first request on a thread would find undone, done before anybody asks: it takes as long as thirty others.

use std::collections::HashSet;

use super::App;
use crate::block::Block;
use crate::service::StepKind;
use crate::store::AsOf;

impl App {
    /// On this thread, one of `threads` that answer: an instance of each transform of the services that are ready, a run
    /// of their models, a read of their views. All threads together take half of the instances there may be at most.
    /// Nothing is counted or logged, and what fails here fails again where somebody asks.
    pub fn warm(&self, threads: usize) {
        let mut room = self.config.transforms.instances as usize / 2 / threads.max(1);
        let mut seen = HashSet::new();
        let catalog = self.registry.catalog();
        let entries = catalog.services.values().flat_map(|all| all.values());
        for service in entries.filter_map(|entry| entry.if_ready()) {
            let plan = &service.plan;
            for step in &plan.steps {
                match &step.kind {
                    StepKind::Transform(transform) => {
                        if room > 0 && seen.insert(transform.name().digest.clone()) {
                            room -= 1;
                            let inputs = &transform.description().inputs;
                            let _ = transform.call(&Block::nulls(inputs, 1));
                        }
                    }
                    StepKind::Model(model) => {
                        let schema = &plan.vector.schema;
                        let _ = model.run(schema, &Block::nulls(schema, 1));
                    }
                    StepKind::LookUp(lookup) if lookup.rows.waits() => {}
                    StepKind::LookUp(lookup) => {
                        let _ = lookup.rows.get(&[], AsOf::NEWEST, &mut |_| {});
                    }
                }
            }
        }
    }
}
