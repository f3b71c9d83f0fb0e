//! Damaged model files: bytes changed, cut and repeated; numbers, lengths, names and types of decoded files changed;
//! thousands of each, the same each run. What comes out is refused in words or scored; nothing panics.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use prost::Message;
use tidemill_onnx_ml::{Scores, check, facts, fast_path, guard, unsupported};
use tract_onnx::pb::{AttributeProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
            3 => bytes.truncate(at),
            4 => {
                bytes.remove(at);
            }
            _ => {
                let end = (at + 1 + random.below(16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// What a host does with an uploaded file. Says how far it got.
fn load(bytes: &[u8]) -> &'static str {
    let Ok(proto) = ModelProto::decode(bytes) else {
        return "not decoded";
    };
    let _ = (facts(&proto), unsupported(&proto));
    if check(&proto).is_err() {
        return "refused";
    }
    if let Some(predictor) = fast_path(&proto) {
        let columns = predictor.features().min(1 << 12);
        let rows = [0.5, f32::NAN, -1.0].map(|x| vec![x; columns]).concat();
        let _ = predictor.run(3, &rows, &mut Scores::default());
    }
    guard(|| Ok(run(&proto))).unwrap_or("tract panicked")
}

fn run(proto: &ModelProto) -> &'static str {
    let Ok(plan) = common::plan(proto) else {
        return "not planned";
    };
    let inputs = plan.model().input_outlets().unwrap().to_vec();
    let facts = inputs
        .iter()
        .map(|i| plan.model().outlet_fact(*i).unwrap().clone());
    let inputs = facts.map(|fact| {
        let shape: TVec<usize> = fact
            .shape
            .iter()
            .map(|d| d.to_usize().unwrap_or(3).min(64))
            .collect();
        let small = shape.iter().product::<usize>() <= 1 << 16;
        small
            .then(|| Tensor::zero_dt(fact.datum_type, &shape).ok())
            .flatten()
            .map(|t| t.into_tvalue())
    });
    let Some(inputs) = inputs.collect::<Option<TVec<TValue>>>() else {
        return "no inputs";
    };
    match plan.run(inputs) {
        Ok(_) => "run",
        Err(_) => "not run",
    }
}

/// The smallest files of the node tests and of the zoo.
fn seeds() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut seeds: Vec<(u64, PathBuf)> = vec![];
    let mut folders = vec![root.join("node"), root.join("zoo")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "onnx") {
                seeds.push((path.metadata().unwrap().len(), path));
            }
        }
    }
    seeds.sort();
    seeds
        .into_iter()
        .filter(|(size, _)| *size < 8192)
        .map(|(_, path)| path)
        .collect()
}

/// Changes one number, text, length or name of one node, graph input or initializer.
fn distort(proto: &mut ModelProto, random: &mut Random) {
    let Some(graph) = proto.graph.as_mut() else {
        return;
    };
    let names: Vec<String> = graph
        .node
        .iter()
        .flat_map(|n| n.input.iter().chain(&n.output).cloned())
        .collect();
    let name = |random: &mut Random| {
        names
            .get(random.below(names.len()))
            .cloned()
            .unwrap_or_default()
    };
    match random.below(12) {
        0 => {
            let at = random.below(graph.output.len());
            graph.output[at].name = name(random);
        }
        1 => {
            let at = random.below(graph.input.len());
            graph.input[at].r#type = graph.output[0].r#type.clone();
        }
        2 if !graph.initializer.is_empty() => {
            let at = random.below(graph.initializer.len());
            let initializer = &mut graph.initializer[at];
            match random.below(3) {
                0 => initializer.dims = vec![whole(random)],
                1 => initializer.data_type = random.below(25) as i32,
                _ => initializer.raw_data.truncate(random.below(8)),
            }
        }
        3 => {
            let at = random.below(graph.node.len());
            let node = &mut graph.node[at];
            let list = if random.below(2) == 0 {
                &mut node.input
            } else {
                &mut node.output
            };
            let at = random.below(list.len());
            match random.below(3) {
                0 if !list.is_empty() => list[at] = name(random),
                1 => list.push(name(random)),
                _ => drop(list.pop()),
            }
        }
        _ => {
            let at = random.below(graph.node.len());
            let attributes = &mut graph.node[at].attribute;
            if attributes.is_empty() {
                return;
            }
            let at = random.below(attributes.len());
            if random.below(20) == 0 {
                attributes.remove(at);
                return;
            }
            distort_attribute(&mut attributes[at], random);
        }
    }
}

/// Small, large, negative, extreme.
fn whole(random: &mut Random) -> i64 {
    [
        random.below(8) as i64,
        random.below(1 << 20) as i64,
        -1,
        i64::MAX,
        i64::MIN,
        1 << 31,
        1 << 40,
    ][random.below(7)]
}

fn distort_attribute(attribute: &mut AttributeProto, random: &mut Random) {
    let float = [0.5, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e30][random.below(6)];
    let text = [
        &b""[..],
        b"LEAF",
        b"BRANCH_EQ",
        b"BRANCH_GT",
        b"SOFTMAX",
        b"PROBIT",
        b"\xff",
    ][random.below(7)]
    .to_vec();
    fn list<T: Clone>(list: &mut Vec<T>, value: T, random: &mut Random) {
        let at = random.below(list.len());
        match random.below(5) {
            0 => list.truncate(at),
            1 => list.push(value),
            2 if !list.is_empty() => drop(list.remove(at)),
            3 if !list.is_empty() => list[at] = list[random.below(list.len())].clone(),
            _ if !list.is_empty() => list[at] = value,
            _ => list.push(value),
        }
    }
    attribute.i = whole(random);
    attribute.f = float;
    attribute.s = text.clone();
    if !attribute.ints.is_empty() {
        list(&mut attribute.ints, whole(random), random);
    }
    if !attribute.floats.is_empty() {
        list(&mut attribute.floats, float, random);
    }
    if !attribute.strings.is_empty() {
        list(&mut attribute.strings, text, random);
    }
    if let Some(tensor) = &mut attribute.t {
        match random.below(4) {
            0 => tensor.dims = vec![whole(random), whole(random)],
            1 => tensor.data_type = random.below(25) as i32,
            2 => tensor
                .raw_data
                .truncate(random.below(tensor.raw_data.len())),
            _ => list(&mut tensor.raw_data, random.below(256) as u8, random),
        }
    }
    if random.below(30) == 0 {
        attribute.r#type = random.below(16) as i32;
    }
}

/// Runs `rounds` damaged copies of every seed, and returns the panics: those outside `guard`, and those inside it
/// whose place is in this crate.
fn panics(rounds: usize, mut damaged: impl FnMut(&[u8]) -> Vec<u8>) -> Vec<String> {
    static PLACES: Mutex<Vec<String>> = Mutex::new(vec![]);
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|l| l.to_string()).unwrap_or_default();
        PLACES.lock().unwrap().push(format!("{place}: {panic}"));
    }));
    let mut reached = std::collections::BTreeMap::<&str, usize>::new();
    let mut panicked = vec![];
    for path in seeds() {
        let bytes = std::fs::read(&path).unwrap();
        for round in 0..rounds {
            let damaged = damaged(&bytes);
            let end = catch_unwind(AssertUnwindSafe(|| load(&damaged)));
            *reached
                .entry(end.as_ref().copied().unwrap_or("panicked"))
                .or_default() += 1;
            let places = std::mem::take(&mut *PLACES.lock().unwrap());
            let ours = places.iter().any(|p| p.contains("onnx-ml/src"));
            if ours || end.is_err() {
                panicked.push(format!("{} round {round}: {places:?}", path.display()));
            }
        }
    }
    std::panic::set_hook(quiet);
    println!("{reached:?}");
    panicked
}

// One test: the panic hook is the process's, not the thread's.
#[test]
fn no_damaged_model_file_panics() {
    assert!(seeds().len() >= 8);
    let mut random = Random(20);
    let mut panicked = panics(30, |bytes| damage(bytes, &mut random));
    panicked.extend(panics(40, |bytes| {
        let mut proto = ModelProto::decode(bytes).unwrap();
        for _ in 0..1 + random.below(3) {
            distort(&mut proto, &mut random);
        }
        proto.encode_to_vec()
    }));
    assert!(
        panicked.is_empty(),
        "{} panics:\n{}",
        panicked.len(),
        panicked.join("\n")
    );
}
