//! The ONNX project's own tests of the `ai.onnx.ml` operators, from copies of their models, inputs and outputs
//! (package `onnx` 1.23.2, `onnx.backend.test.case.node`).

mod common;

use std::path::Path;

use prost::Message;
use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::TensorProto;
use tract_onnx::prelude::*;
use tract_onnx::tensor::load_tensor;
use tract_onnx::tract_hir::internal::*;

fn tensors(dir: &Path, kind: &str) -> Vec<Tensor> {
    let paths = (0..)
        .map(|i| dir.join(format!("{kind}_{i}.pb")))
        .take_while(|p| p.exists());
    paths
        .map(|path| {
            let proto = TensorProto::decode(&*std::fs::read(path).unwrap()).unwrap();
            load_tensor(&MmapDataResolver, &proto, None).unwrap()
        })
        .collect()
}

#[test]
fn every_node_test_of_the_onnx_project_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let mut ran = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.is_dir() {
            continue;
        }
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let model = tidemill_onnx_ml::onnx()
            .model_for_path(dir.join("model.onnx"))
            .unwrap();
        let plan = model.into_optimized().unwrap().into_runnable().unwrap();
        let data = dir.join("test_data_set_0");
        let got = common::run(&plan, &tensors(&data, "input"))
            .unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let expected = tensors(&data, "output");
        assert_eq!(got.len(), expected.len(), "{name}");
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.datum_type(), expected.datum_type(), "{name}");
            got.close_enough(expected, Approximation::Exact)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        ran += 1;
    }
    assert_eq!(ran, 8);
}
