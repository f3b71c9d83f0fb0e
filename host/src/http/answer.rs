//! The answer as JSON, written straight out.

use std::io::Write;

use serde_json::Value;
use uuid::Uuid;

use super::problem::named;
use crate::model::{Matrix, Values};
use crate::offline::json::write_row;
use crate::score::Scored;
use crate::service::Service;

/// One result a row, in order. A number that JSON cannot say (NaN, infinity) is null.
pub fn encode(service: &Service, request_id: Uuid, scored: &Scored, features: bool) -> Vec<u8> {
    let plan = &service.plan;
    let rows = scored.vector.rows();
    let mut out = Vec::with_capacity(service.preamble.len() + 128 + rows * 256);
    let _ = write!(
        out,
        "{{\"request_id\":\"{request_id}\",{},\"results\":[",
        service.preamble
    );
    for row in 0..rows {
        if row > 0 {
            out.push(b',');
        }
        out.push(b'{');
        if let Some(refusal) = &scored.refusals[row] {
            let error = serde_json::json!({
                "type": "urn:tidemill:problem:row-refused",
                "title": "A transform refused the row",
                "detail": format!("{} refused the row: {}", refusal.transform, refusal.message),
                "transform": named(&refusal.transform),
                "message": refusal.message,
            });
            let _ = write!(out, "\"error\":{error},");
        }
        if let Some(planned) = &plan.model
            && !scored.outputs.is_empty()
        {
            out.extend_from_slice(b"\"score\":");
            write_number(&mut out, scored.scores[row]);
            out.extend_from_slice(b",\"outputs\":");
            let tensors = planned.model.engine.outputs();
            match scored.refusals[row] {
                None => write_outputs(&mut out, tensors, &scored.outputs, row),
                Some(_) => out.extend_from_slice(b"null"),
            }
            out.push(b',');
        }
        if features {
            out.extend_from_slice(b"\"features\":");
            match scored.refusals[row] {
                None => write_row(&scored.vector, &plan.vector.schema, row, &mut out),
                Some(_) => out.extend_from_slice(b"null"),
            }
            out.push(b',');
        }
        out.extend_from_slice(b"\"lookups\":{");
        for (at, ((step, _), looked)) in plan.lookups().zip(&scored.lookups).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_text(&mut out, &step.alias);
            let _ = write!(out, ":\"{}\"", looked.statuses[row].as_str());
        }
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_outputs(
    out: &mut Vec<u8>,
    tensors: &[crate::model::Tensor],
    outputs: &[Matrix],
    row: usize,
) {
    out.push(b'{');
    for (at, (tensor, matrix)) in tensors.iter().zip(outputs).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, &tensor.name);
        out.push(b':');
        match matrix.columns {
            1 => write_value(out, matrix, row),
            columns => {
                out.push(b'[');
                for column in 0..columns {
                    if column > 0 {
                        out.push(b',');
                    }
                    write_value(out, matrix, row * columns + column);
                }
                out.push(b']');
            }
        }
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, matrix: &Matrix, at: usize) {
    match &matrix.values {
        Values::F32(values) => write_number(out, Some(f64::from(values[at]))),
        Values::F64(values) => write_number(out, Some(values[at])),
        Values::I64(values) => {
            let _ = write!(out, "{}", values[at]);
        }
        Values::Bool(values) => {
            let _ = write!(out, "{}", values[at]);
        }
        Values::Text(values) => write_text(out, &values[at]),
    }
}

fn write_number(out: &mut Vec<u8>, value: Option<f64>) {
    // serde_json writes the shortest text that reads back as the same double, and null for what is not finite.
    let _ = serde_json::to_writer(out, &value);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, &Value::from(text));
}
