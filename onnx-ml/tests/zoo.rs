//! Every exported model in `tests/zoo` against what ONNX Runtime answered: floats to 1e-6, absolute and relative,
//! everything else exactly; and against itself: the same bits for each row alone, in sevens, all at once,
//! and among a thousand.
//!
//! `NAME.onnx` beside `NAME.json` with `inputs` and `outputs`, each `{name, type, shape, data}`, row-major; NaN and
//! the infinities are text. `ONNX_ZOO` names another folder of the same form.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidemill_onnx_ml::{Labels, Part, Scores, fast_path};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

fn folder() -> PathBuf {
    match std::env::var_os("ONNX_ZOO") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo"),
    }
}

/// Names of the models, sorted.
fn models() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder()) else {
        return vec![];
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx") && p.with_extension("json").exists())
        .collect();
    paths.sort();
    paths
}

fn number(v: &Value) -> f64 {
    match v {
        Value::String(s) => s.parse().unwrap(),
        v => v.as_f64().unwrap(),
    }
}

fn tensor(v: &Value) -> (String, Tensor) {
    let shape: Vec<usize> = v["shape"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d.as_u64().unwrap() as usize)
        .collect();
    let data = v["data"].as_array().unwrap();
    fn build<T: Datum>(shape: &[usize], data: Vec<T>) -> Tensor {
        tract_ndarray::ArrayD::from_shape_vec(shape, data)
            .unwrap()
            .into_tensor()
    }
    let tensor = match v["type"].as_str().unwrap() {
        "float" => build(&shape, data.iter().map(|d| number(d) as f32).collect()),
        "double" => build(&shape, data.iter().map(number).collect()),
        "int64" => build(&shape, data.iter().map(|d| d.as_i64().unwrap()).collect()),
        "int32" => build(
            &shape,
            data.iter().map(|d| d.as_i64().unwrap() as i32).collect(),
        ),
        "int16" => build(
            &shape,
            data.iter().map(|d| d.as_i64().unwrap() as i16).collect(),
        ),
        "bool" => build(
            &shape,
            data.iter()
                .map(|d| d.as_bool().unwrap_or_else(|| d.as_i64() == Some(1)))
                .collect(),
        ),
        "string" => build(
            &shape,
            data.iter()
                .map(|d| d.as_str().unwrap().to_string())
                .collect(),
        ),
        other => panic!("type {other}"),
    };
    (v["name"].as_str().unwrap().to_string(), tensor)
}

fn close(got: &Tensor, expected: &Tensor) -> Result<(), String> {
    if got.shape() != expected.shape() {
        return Err(format!(
            "shape {:?}, expected {:?}",
            got.shape(),
            expected.shape()
        ));
    }
    let floats = |t: &Tensor| t.datum_type() == DatumType::F32 || t.datum_type() == DatumType::F64;
    if floats(expected) && floats(got) {
        let (g, e) = (
            got.cast_to::<f64>().unwrap(),
            expected.cast_to::<f64>().unwrap(),
        );
        let (g, e) = (view::<f64>(&g), view::<f64>(&e));
        for (i, (g, e)) in g.iter().zip(e).enumerate() {
            let same =
                g == e || (g.is_nan() && e.is_nan()) || (g - e).abs() <= 1e-6 + 1e-6 * e.abs();
            if !same {
                return Err(format!("value {i} is {g}, expected {e}"));
            }
        }
        return Ok(());
    }
    if got.datum_type() != expected.datum_type() {
        return Err(format!(
            "{:?}, expected {:?}",
            got.datum_type(),
            expected.datum_type()
        ));
    }
    if got != expected {
        return Err(format!(
            "{}, expected {}",
            got.dump(true).unwrap(),
            expected.dump(true).unwrap()
        ));
    }
    Ok(())
}

fn view<T: Datum>(t: &Tensor) -> &[T] {
    t.try_as_plain_ram().unwrap().as_slice::<T>().unwrap()
}

/// Equal to the last bit, NaN included.
fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    if a.datum_type() == DatumType::String {
        return a == b;
    }
    a.datum_type() == b.datum_type() && a.shape() == b.shape() && a.as_bytes() == b.as_bytes()
}

struct Model {
    proto: ModelProto,
    inputs: Vec<Tensor>,
    expected: Vec<(String, Tensor)>,
}

fn load(path: &Path) -> Result<Model, String> {
    let proto = common::read(path);
    let json: Value =
        serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
    let mut given: HashMap<String, Tensor> = json["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(tensor)
        .collect();
    let graph = proto.graph.as_ref().unwrap();
    let mut inputs = vec![];
    for input in &graph.input {
        if graph.initializer.iter().all(|i| i.name != input.name) {
            inputs.push(
                given
                    .remove(&input.name)
                    .ok_or(format!("no input {}", input.name))?,
            );
        }
    }
    let expected = json["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(tensor)
        .collect();
    Ok(Model {
        proto,
        inputs,
        expected,
    })
}

fn check(path: &Path) -> Result<(), String> {
    let Model {
        proto,
        inputs,
        expected,
    } = load(path)?;
    let unsupported = tidemill_onnx_ml::unsupported(&proto);
    if !unsupported.is_empty() {
        return Err(format!("unsupported: {unsupported:?}"));
    }
    let plan = common::plan(&proto).map_err(|e| format!("{e:?}"))?;
    let whole = common::run(&plan, &inputs).map_err(|e| format!("{e:?}"))?;
    let names: Vec<&str> = proto
        .graph
        .as_ref()
        .unwrap()
        .output
        .iter()
        .map(|o| o.name.as_str())
        .collect();
    for (name, expected) in &expected {
        let at = names
            .iter()
            .position(|n| n == name)
            .ok_or(format!("no output {name}"))?;
        close(&whole[at], expected).map_err(|e| format!("{name}: {e}"))?;
    }
    let rows = inputs[0].shape()[0];
    for size in [1, 7] {
        let mut start = 0;
        while start < rows {
            let end = (start + size).min(rows);
            let part: Vec<Tensor> = inputs.iter().map(|t| common::rows(t, start, end)).collect();
            let part =
                common::run(&plan, &part).map_err(|e| format!("rows {start}..{end}: {e:?}"))?;
            for (output, (part, whole)) in part.iter().zip(&whole).enumerate() {
                if !same_bits(part, &common::rows(whole, start, end)) {
                    return Err(format!(
                        "output {output}: rows {start}..{end} differ from the same rows among {rows}"
                    ));
                }
            }
            start = end;
        }
    }
    thousand(&plan, &inputs, &whole)?;
    direct(&proto, &inputs, &names, &whole)
}

/// The same rows over and over, a thousand at once, starting with the second: each answers as it did among the few.
fn thousand(plan: &common::Plan, inputs: &[Tensor], whole: &[Tensor]) -> Result<(), String> {
    let rows = inputs[0].shape()[0];
    let repeat = |t: &Tensor| {
        let copies = vec![t.clone(); 1002 / rows + 1];
        common::rows(&Tensor::stack_tensors(0, &copies).unwrap(), 1, 1001)
    };
    let many: Vec<Tensor> = inputs.iter().map(repeat).collect();
    let many = common::run(plan, &many).map_err(|e| format!("a thousand rows: {e:?}"))?;
    for (output, (many, whole)) in many.iter().zip(whole).enumerate() {
        if !same_bits(many, &repeat(whole)) {
            return Err(format!(
                "output {output}: a row among a thousand differs from the same row among {rows}"
            ));
        }
    }
    Ok(())
}

/// The direct path, where there is one, gives the bits of tract's plan.
fn direct(
    proto: &ModelProto,
    inputs: &[Tensor],
    names: &[&str],
    whole: &[Tensor],
) -> Result<(), String> {
    let Some(predictor) = fast_path(proto) else {
        return Ok(());
    };
    let (rows, data) = (inputs[0].shape()[0], view::<f32>(&inputs[0]));
    let columns = data.len() / rows.max(1);
    for size in [rows, 1, 7] {
        for start in (0..rows).step_by(size) {
            let end = (start + size).min(rows);
            let mut scores = Scores::default();
            predictor
                .run(
                    end - start,
                    &data[start * columns..end * columns],
                    &mut scores,
                )
                .map_err(|e| e.to_string())?;
            for (name, part) in predictor.outputs() {
                let at = names
                    .iter()
                    .position(|n| n == name)
                    .ok_or(format!("no output {name}"))?;
                let expected = common::rows(&whole[at], start, end);
                let got = match (part, predictor.labels()) {
                    (Part::Values, _) => {
                        let got =
                            Tensor::from_shape(&[end - start, scores.columns], &scores.values)
                                .unwrap();
                        same_bits(&got, &expected)
                    }
                    (Part::Labels, Some(Labels::Ints(table))) => {
                        let got = scores
                            .labels
                            .iter()
                            .map(|&i| table[i as usize])
                            .collect::<Vec<_>>();
                        got == view::<i64>(&expected)
                    }
                    (Part::Labels, Some(Labels::Strings(table))) => {
                        let got = scores
                            .labels
                            .iter()
                            .map(|&i| table[i as usize].clone())
                            .collect::<Vec<_>>();
                        got == view::<String>(&expected)
                    }
                    (Part::Labels, None) => false,
                };
                if !got {
                    return Err(format!(
                        "the direct path differs in {name}, rows {start}..{end}"
                    ));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_model_of_the_zoo_answers_as_onnx_runtime_does_and_alike_in_every_batch() {
    let models = models();
    let mut failures = vec![];
    for path in &models {
        if let Err(reason) = check(path) {
            let reason: String = reason.chars().take(600).collect();
            failures.push(format!(
                "{}: {reason}",
                path.file_stem().unwrap().to_string_lossy()
            ));
        }
    }
    println!("{} models, {} failed", models.len(), failures.len());
    assert!(
        failures.is_empty(),
        "{} of {} models:\n{}",
        failures.len(),
        models.len(),
        failures.join("\n")
    );
}
