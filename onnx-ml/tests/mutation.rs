//! Damaged model files: bytes changed, cut and repeated, a few thousand times, the same each run. Whatever comes out
//! of decoding is either refused in words or scored; nothing panics.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use prost::Message;
use tidemill_onnx_ml::{Scores, check, facts, fast_path, onnx, unsupported};
use tract_onnx::pb::ModelProto;
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
    let Ok(parsed) = onnx().parse(&proto, None) else {
        return "not parsed";
    };
    let Ok(typed) = parsed.model.into_typed() else {
        return "not typed";
    };
    let Ok(plan) = typed.into_runnable() else {
        return "not planned";
    };
    let facts: Option<Vec<TypedFact>> = plan.model().input_outlets().ok().and_then(|i| {
        i.iter()
            .map(|o| plan.model().outlet_fact(*o).cloned().ok())
            .collect()
    });
    let inputs = facts.into_iter().flatten().map(|fact| {
        let shape: TVec<usize> = fact
            .shape
            .iter()
            .map(|d| d.to_usize().unwrap_or(3).min(64))
            .collect();
        let volume = shape.iter().product::<usize>();
        (volume <= 1 << 16)
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

#[test]
fn no_damaged_model_file_panics() {
    let seeds = seeds();
    assert!(seeds.len() >= 8);
    let mut random = Random(20);
    let rounds = 4000 / seeds.len() + 1;
    let mut reached = std::collections::BTreeMap::<&str, usize>::new();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut panicked = vec![];
    for path in &seeds {
        let bytes = std::fs::read(path).unwrap();
        for round in 0..rounds {
            let damaged = damage(&bytes, &mut random);
            match catch_unwind(AssertUnwindSafe(|| load(&damaged))) {
                Ok(end) => *reached.entry(end).or_default() += 1,
                Err(cause) => {
                    let cause = cause
                        .downcast_ref::<String>()
                        .cloned()
                        .or_else(|| cause.downcast_ref::<&str>().map(|s| s.to_string()));
                    panicked.push(format!("{} round {round}: {cause:?}", path.display()));
                }
            }
        }
    }
    std::panic::set_hook(quiet);
    println!("{reached:?}");
    assert!(
        panicked.is_empty(),
        "{} panics:\n{}",
        panicked.len(),
        panicked.join("\n")
    );
}
