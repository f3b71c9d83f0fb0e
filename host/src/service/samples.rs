//! Services for tests: what their files name lies on a shelf rather than in a registry.

use std::sync::Arc;

use super::{Definition, Parts, Pins, Plan, Service, resolve};
use crate::error::Result;
use crate::ingest;
use crate::metrics::Metrics;
use crate::model::{InputBinding, Kind, LoadedModel, Manifest, Matrix, Model, Tensor, Values};
use crate::store::{MemoryStore, OnlineStore};
use crate::transform::guests::{Guest, field};
use crate::transform::{Engine, Limits, Transform};
use crate::view::View;

/// What service files may name.
pub(crate) struct Shelf {
    pub store: Arc<dyn OnlineStore>,
    pub views: Vec<Arc<View>>,
    pub transforms: Vec<Transform>,
    pub model: Option<Arc<LoadedModel>>,
}

impl Shelf {
    pub fn new() -> Shelf {
        Shelf::around(Arc::new(MemoryStore::new()))
    }

    pub fn around(store: Arc<dyn OnlineStore>) -> Shelf {
        Shelf {
            store,
            views: Vec::new(),
            transforms: Vec::new(),
            model: None,
        }
    }

    /// Adds a view with its rows.
    pub fn view(mut self, view: &str, ndjson: &str) -> Shelf {
        let view = View::from_toml(view).unwrap();
        view.check().unwrap();
        if !ndjson.is_empty() {
            ingest::load(self.store.as_ref(), &view, ndjson.as_bytes()).unwrap();
        }
        self.views.push(Arc::new(view));
        self
    }

    pub fn transform(mut self, transform: &Transform) -> Shelf {
        self.transforms.push(transform.clone());
        self
    }

    /// Adds a model of one output `y`, the sum of its features and of 1000; a missing feature makes it NaN.
    pub fn sum_of(mut self, features: &[&str]) -> Shelf {
        let tensor = |name: &str, columns| Tensor {
            name: name.to_owned(),
            kind: Kind::F64,
            columns,
        };
        self.model = Some(Arc::new(LoadedModel {
            name: "sum".to_owned(),
            number: 1,
            manifest: Manifest {
                name: "sum".to_owned(),
                description: String::new(),
                inputs: vec![InputBinding {
                    name: "x".to_owned(),
                    features: features.iter().map(|name| (*name).to_owned()).collect(),
                }],
                training_set: None,
                rest: serde_json::Map::new(),
            },
            engine: Box::new(Sum {
                inputs: [tensor("x", features.len())],
                outputs: [tensor("y", 1)],
            }),
        }));
        self
    }

    pub fn plan(&self, toml: &str) -> Result<Plan> {
        let definition = Definition::from_toml(toml)?;
        let views = definition.lookups.iter().map(|lookup| {
            let mut views = self.views.iter();
            let view = views.find(|view| view.name == lookup.view).unwrap();
            (view.clone(), self.store.view(&view.name).unwrap())
        });
        let transforms = definition.transforms.iter().map(|transform| {
            let mut all = self.transforms.iter();
            let named = all.find(|there| there.name().name == transform.uses);
            named.unwrap().clone()
        });
        let parts = Parts {
            views: views.collect(),
            transforms: transforms.collect(),
            model: definition.model.as_ref().and(self.model.clone()),
        };
        resolve(definition, 1, parts)
    }

    /// The reason why a service is refused, without its name.
    pub fn refusal(&self, toml: &str) -> String {
        match self.plan(toml) {
            Ok(_) => panic!("it is not refused: {toml}"),
            Err(error) => {
                let text = error.to_string();
                let (_, reason) = text.split_once(" is refused: ").unwrap();
                reason.to_owned()
            }
        }
    }

    pub fn service(&self, toml: &str) -> (Service, Metrics) {
        let metrics = Metrics::new().unwrap();
        let pins = Pins {
            views: Vec::new(),
            transforms: Vec::new(),
            model: None,
        };
        let plan = self.plan(toml).unwrap();
        let service = Service::new(plan, pins, jiff::Timestamp::now(), &metrics);
        (service, metrics)
    }
}

/// `echo`: hands back `x` and `label`. It traps on a row whose x is 13, and refuses one whose x is 14.
pub(crate) fn echo(nullable: bool) -> Transform {
    let fields = vec![
        field("x", "f64", nullable),
        field("label", "text", nullable),
    ];
    let guest = Guest {
        inputs: fields.clone(),
        outputs: fields,
        items: r#"(data (i32.const 40960) "unlucky")"#,
        transform: "(local $i i32) (local $n i32) (local $x f64)
            (block $done (loop $next
                (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
                (local.set $x (f64.load (i32.add (local.get $floats) (i32.mul (local.get $i) (i32.const 8)))))
                (if (f64.eq (local.get $x) (f64.const 13)) (then unreachable))
                (if (f64.eq (local.get $x) (f64.const 14)) (then
                    (i32.store (i32.add (i32.const 32768) (i32.mul (local.get $n) (i32.const 12))) (local.get $i))
                    (i32.store (i32.add (i32.const 32772) (i32.mul (local.get $n) (i32.const 12))) (i32.const 40960))
                    (i32.store (i32.add (i32.const 32776) (i32.mul (local.get $n) (i32.const 12))) (i32.const 7))
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $next)))",
        answer: "(i32.store (i32.const 576) (i32.const 32768)) (i32.store (i32.const 580) (local.get $n))",
        ..Guest::default()
    };
    let limits = Limits {
        instances: 16,
        ..Limits::default()
    };
    let engine = Engine::new(limits, None).unwrap();
    engine.load(&guest.module()).unwrap()
}

struct Sum {
    inputs: [Tensor; 1],
    outputs: [Tensor; 1],
}

impl Model for Sum {
    fn engine(&self) -> &'static str {
        "sum"
    }

    fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    fn run(&self, rows: usize, inputs: Vec<Matrix>) -> Result<Vec<Matrix>, String> {
        let Some(Matrix {
            columns,
            values: Values::F64(values),
        }) = inputs.first()
        else {
            return Err("no matrix of doubles".to_owned());
        };
        let sums = (0..rows).map(|row| {
            let row = &values[row * columns..(row + 1) * columns];
            1000.0 + row.iter().sum::<f64>()
        });
        Ok(vec![Matrix {
            columns: 1,
            values: Values::F64(sums.collect()),
        }])
    }
}
