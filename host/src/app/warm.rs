//! What the first request on a thread would find undone, done before anybody asks.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::service::Definition;
    use crate::transform::guests::{Guest, field};

    const SERVICE: &str = "name = \"echoed\"\nfeatures = [\"echo.y\"]\n[request]\nx = \"f64\"\n\
                           [[transform]]\nuse = \"echo@1\"\n";

    #[test]
    fn each_thread_has_its_instances_before_anybody_asks() {
        let data = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: data.path().to_owned(),
            ..Config::default()
        };
        let app = App::open(config).unwrap();
        let guest = Guest {
            inputs: vec![field("x", "f64", false)],
            outputs: vec![field("y", "f64", false)],
            ..Guest::default()
        };
        app.registry.register_transform(&guest.module()).unwrap();
        let definition = Definition::from_toml(SERVICE).unwrap();
        app.registry.register_service(definition).unwrap();
        let service = app
            .registry
            .catalog()
            .service_by_id("echoed")
            .unwrap()
            .clone();
        let StepKind::Transform(transform) = &service.plan.steps[0].kind else {
            panic!("it is the only step");
        };
        let warmed_by = |threads: usize| {
            transform.idle();
            let all = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        app.warm(threads);
                        all.wait();
                    });
                }
            });
            transform.idle()
        };
        assert_eq!(warmed_by(2), 2);
        // So many threads that there is no room for the instances of all.
        assert_eq!(warmed_by(usize::MAX), 0);
    }
}
