//! What is given bytes from elsewhere, one function each: whatever they are, nothing panics, hangs or takes memory
//! without bound, and what is believed is what it says it is.
//!
//! Two drive them: `cargo test` (`tests/fuzz.rs`), with seeded damage to the corpus beside this file, and libFuzzer
//! (`fuzz_targets/`).

use std::sync::OnceLock;

use tidemill::block::{Block, Parts};
use tidemill::model::{self, InputBinding, Manifest};
use tidemill::offline::json::write_row;
use tidemill::request::{self, Limits};
use tidemill::schema::{DataType, Field, Schema};
use tidemill::service::Definition;
use tidemill::transform::{self, Engine};
use tidemill::view::View;
use tract_onnx::prelude::Framework as _;

/// Rows of a request.
const ROWS: usize = 100;
/// Columns of a model that is run.
const FEATURES: usize = 256;

/// Each type, and lists of it, nullable and not; a range on some.
fn every_type() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut fields = Vec::new();
        for scalar in ["f64", "i64", "bool", "text", "timestamp", "json"] {
            for text in [scalar.to_owned(), format!("list<{scalar}>")] {
                for nullable in [false, true] {
                    let mut field = field(&format!("c{}", fields.len()), &text, nullable);
                    if text == "f64" {
                        (field.minimum, field.maximum) = (Some(-1.0), Some(1e300));
                    }
                    fields.push(field);
                }
            }
        }
        Schema::new(fields)
    })
}

fn field(name: &str, data_type: &str, nullable: bool) -> Field {
    Field::new(name, DataType::parse(data_type).expect("a type"), nullable)
}

/// All that can be read of a block, read.
fn read(block: &Block, schema: &Schema) {
    let mut out = Vec::new();
    for row in 0..block.rows() {
        out.clear();
        write_row(block, schema, row, &mut out);
        assert!(std::str::from_utf8(&out).is_ok(), "a row is no text");
    }
    let _ = block.out_of_range(schema);
    let halves = [0..block.rows() / 2, block.rows() / 2..block.rows()];
    let halves = halves.map(|range| block.slice(schema, range));
    let again = Block::concat(schema, &halves);
    assert!(
        again.same_bits(block, schema),
        "two halves are not the whole"
    );
}

/// A request's body: refused in words, or rows that are well formed.
pub fn request(bytes: &[u8]) {
    let schema = every_type();
    for ignore_unknown in [false, true] {
        let limits = Limits {
            rows: ROWS,
            ignore_unknown,
            defaults: None,
        };
        match request::decode(schema, bytes, limits) {
            Ok(request) => {
                assert!(request.rows.rows() <= ROWS, "more rows than may be");
                let rows = request.rows.rows();
                let parts = Parts::from(request.rows);
                let block = Block::check(parts, schema, rows).expect("well formed");
                read(&block, schema);
            }
            Err(error) => assert!(error.to_string().len() < 10_000, "{error:.200}"),
        }
    }
    let lines = bytes.split(|&byte| byte == b'\n');
    let limits = Limits {
        rows: usize::MAX,
        ignore_unknown: false,
        defaults: None,
    };
    let (block, _) = request::decode_lines(schema, lines, 0, limits);
    read(&block, schema);
}

/// Numbers out of bytes, as a block's parts want them: small where they are lengths, any where they are values.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// Mostly what it should be.
    fn length(&mut self, right: usize) -> usize {
        match self.byte() {
            255 => right + 1,
            254 => right.saturating_sub(1),
            253 => 0,
            252 => right + usize::from(self.byte()),
            _ => right,
        }
    }

    /// Mostly small and rising.
    fn offsets(&mut self, right: usize) -> Vec<u32> {
        let mut last = 0_u32;
        let length = self.length(right);
        (0..length)
            .map(|_| {
                last = match self.byte() {
                    255 => u32::MAX,
                    254 => 0,
                    step => last.saturating_add(u32::from(step % 4)),
                };
                last
            })
            .collect()
    }
}

/// A guest's answer: not believed, with a reason, or well formed in every respect that its readers count on.
pub fn block(bytes: &[u8]) {
    let schema = every_type();
    let layout = schema.layout();
    let mut bytes = Bytes(bytes);
    let rows = usize::from(bytes.byte() % 20);
    let parts = Parts {
        rows: bytes.length(rows),
        floats: vec![0; bytes.length(layout.floats * rows)]
            .iter()
            .map(|_: &u8| f64::from_bits(bytes.word()))
            .collect(),
        integers: vec![0; bytes.length(layout.integers * rows)]
            .iter()
            .map(|_: &u8| bytes.word() as i64)
            .collect(),
        booleans: vec![0; bytes.length(layout.booleans * rows)]
            .iter()
            .map(|_: &u8| bytes.byte() % 8 / 6)
            .collect(),
        text_ends: bytes.offsets(layout.texts * rows),
        list_offsets: lists(&mut bytes, schema, rows),
        validity: vec![0; bytes.length(layout.nullables * rows.div_ceil(8))]
            .iter()
            .map(|_: &u8| bytes.byte())
            .collect(),
        text: match bytes.byte() {
            255 => bytes.0.to_vec(),
            _ => String::from_utf8_lossy(bytes.0).into_owned().into_bytes(),
        },
    };
    if let Ok(block) = Block::check(parts, schema, rows) {
        read(&block, schema);
    }
}

/// Offsets of lists, which begin behind the columns that have one value a row.
fn lists(bytes: &mut Bytes<'_>, schema: &Schema, rows: usize) -> Vec<u32> {
    let empty = Block::nulls(schema, rows);
    let mut offsets = Parts::from(empty).list_offsets;
    match bytes.byte() {
        255 => bytes.offsets(offsets.len()),
        _ => {
            for offset in &mut offsets {
                if bytes.byte() == 255 {
                    *offset = bytes.word() as u32;
                }
            }
            offsets
        }
    }
}

/// An uploaded component: refused, or called with rows of nothing, which it answers or fails on.
pub fn component(bytes: &[u8]) {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let limits = transform::Limits {
            fuel: 1_000_000,
            fuel_per_row: 10_000,
            memory_bytes: 4 << 20,
            instances: 4,
            ..transform::Limits::default()
        };
        Engine::new(limits, None).expect("an engine")
    });
    if let Ok(transform) = engine.load(bytes) {
        let description = transform.description();
        let rows = Block::nulls(&description.inputs, 3);
        for _ in 0..2 {
            if let Ok(answer) = transform.call(&rows) {
                read(&answer.rows, &description.outputs);
            }
        }
    }
}

/// A service file or a view: refused in words, or the same again when it is written and read.
pub fn service(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let _ = (Definition::from_json(bytes), View::from_json(bytes));
        return;
    };
    let definitions = [Definition::from_toml(text), Definition::from_json(bytes)];
    for definition in definitions.into_iter().flatten() {
        // A score that is no number is null in JSON; registration refuses it.
        let written = serde_json::to_vec(&definition).expect("it is written");
        let Ok(read) = Definition::from_json(&written) else {
            continue;
        };
        let written = serde_json::to_vec(&read).expect("it is written");
        let again = Definition::from_json(&written).expect("it was read before");
        assert_eq!(written, serde_json::to_vec(&again).expect("it is written"));
    }
    for view in [View::from_toml(text), View::from_json(bytes)]
        .into_iter()
        .flatten()
    {
        let _ = view.check();
    }
}

/// An uploaded ONNX file: refused, or run on rows of zeros. What its inputs are called, it says itself.
pub fn model(bytes: &[u8]) {
    let _ = model::embedded_manifest(bytes);
    let Ok(proto) = tidemill_onnx_ml::onnx().proto_model_for_read(&mut &*bytes) else {
        return;
    };
    let Some(graph) = &proto.graph else { return };
    let weights = &graph.initializer;
    let inputs = graph
        .input
        .iter()
        .filter(|input| !weights.iter().any(|weight| weight.name == input.name));
    let inputs: Vec<InputBinding> = inputs
        .map(|input| InputBinding {
            name: input.name.clone(),
            features: (0..width(input).min(FEATURES))
                .map(|at| format!("f{at}"))
                .collect(),
        })
        .collect();
    let manifest = Manifest {
        name: "model".to_owned(),
        description: String::new(),
        inputs,
        training_set: None,
        rest: serde_json::Map::new(),
    };
    let Ok(model) = model::load("model", 1, bytes, manifest) else {
        return;
    };
    for kind in ["f64", "i64", "text"] {
        let features = model.features();
        let fields = features
            .iter()
            .map(|name| field(name, kind, false))
            .collect();
        let schema = Schema::new(fields);
        if model.check_features(&schema).is_ok() {
            let _ = model.run(&schema, &Block::nulls(&schema, 2));
        }
    }
}

/// The last dimension of an input that is a tensor; 1 where it is not said.
fn width(input: &tract_onnx::pb::ValueInfoProto) -> usize {
    use tract_onnx::pb::{tensor_shape_proto::dimension::Value, type_proto};
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|ty| ty.value.as_ref())
    else {
        return 1;
    };
    let dimensions = tensor.shape.iter().flat_map(|shape| &shape.dim);
    match dimensions
        .last()
        .and_then(|dimension| dimension.value.as_ref())
    {
        Some(Value::DimValue(width)) => usize::try_from(*width).unwrap_or(1),
        _ => 1,
    }
}
