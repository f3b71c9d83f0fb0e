//! Bytes to a decoded model, checked, parsed, laid out and run on a few rows: nothing may panic, hang or ask for
//! more memory than the file is worth.
//!
//! `cargo +nightly fuzz run model`
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use tidemill_onnx_ml::{Scores, check, facts, fast_path, onnx, unsupported};
use tract_onnx::pb::ModelProto;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proto) = ModelProto::decode(bytes) else {
        return;
    };
    let _ = (facts(&proto), unsupported(&proto));
    if check(&proto).is_err() {
        return;
    }
    if let Some(predictor) = fast_path(&proto) {
        let columns = predictor.features().min(1 << 12);
        let rows = [0.5, f32::NAN, -1.0].map(|x| vec![x; columns]).concat();
        let mut scores = Scores::default();
        let _ = predictor.run(3, &rows, &mut scores);
    }
    let _ = onnx().parse(&proto, None);
});
