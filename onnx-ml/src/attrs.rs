//! Reading a node's attributes. Every refusal names the node and the attribute (see `tract_onnx::pb_helpers`).

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tensor::load_tensor;
use tract_onnx::tract_hir::internal::*;

/// A tensor attribute, or nothing where it is absent. Data outside the file is refused.
pub(crate) fn tensor(node: &NodeProto, name: &str) -> TractResult<Option<Tensor>> {
    match node.get_attr_opt::<&TensorProto>(name)? {
        // An attribute that is present and says nothing: some exporters write `default_tensor` so.
        Some(proto) if proto.data_type == 0 => Ok(None),
        Some(proto) => load_tensor_proto(proto).map(Some).with_context(|| {
            format!(
                "node {:?} ({}), attribute '{name}'",
                node.name, node.op_type
            )
        }),
        None => Ok(None),
    }
}

fn load_tensor_proto(proto: &TensorProto) -> TractResult<Tensor> {
    check_payload(proto)?;
    load_tensor(&MmapDataResolver, proto, None)
}

/// Refuses a tensor whose data are not in the file, or shorter than its shape says.
pub(crate) fn check_payload(proto: &TensorProto) -> TractResult<()> {
    let outside = !proto.external_data.is_empty() || proto.data_location.unwrap_or(0) != 0;
    ensure!(!outside, "external data is not read");
    let text = proto.data_type == DataType::String as i32;
    ensure!(
        !text || proto.raw_data.is_empty(),
        "text is given as raw bytes"
    );
    let mut volume = 1usize;
    for &dim in &proto.dims {
        let dim =
            usize::try_from(dim).map_err(|_| format_err!("the dimension {dim} is negative"))?;
        volume = volume.checked_mul(dim).context("the shape is too large")?;
    }
    let payload = proto.raw_data.len()
        + proto.float_data.len()
        + proto.double_data.len()
        + proto.int32_data.len()
        + proto.int64_data.len()
        + proto.string_data.len();
    // Every element takes at least one byte of the file; without this a short file could ask for terabytes.
    ensure!(
        volume <= payload,
        "the shape says {volume} values, the data are shorter"
    );
    Ok(())
}

/// Numbers given either as floats or, under `NAME_as_tensor`, as a tensor of floats or doubles.
pub(crate) fn doubles<'a>(node: &'a NodeProto, name: &str) -> TractResult<Option<Doubles<'a>>> {
    let floats = node
        .get_attr_opt_slice::<f32>(name)?
        .filter(|f| !f.is_empty());
    let wide = format!("{name}_as_tensor");
    let wide = tensor(node, &wide)?.filter(|t| t.len() > 0);
    match (floats, wide) {
        (Some(_), Some(_)) => node.bail_attr(name, "is given twice, as floats and as a tensor"),
        (Some(floats), None) => Ok(Some(Doubles::Floats(floats))),
        (None, Some(wide)) => Ok(Some(Doubles::Wide(to_doubles(node, name, &wide)?))),
        (None, None) => Ok(None),
    }
}

/// See [`doubles`].
#[derive(Debug)]
pub(crate) enum Doubles<'a> {
    Floats(&'a [f32]),
    Wide(Vec<f64>),
}

impl Doubles<'_> {
    pub fn len(&self) -> usize {
        match self {
            Doubles::Floats(v) => v.len(),
            Doubles::Wide(v) => v.len(),
        }
    }

    pub fn get(&self, index: usize) -> Option<f64> {
        match self {
            Doubles::Floats(v) => v.get(index).map(|&f| f as f64),
            Doubles::Wide(v) => v.get(index).copied(),
        }
    }

    pub fn to_vec(&self) -> Vec<f64> {
        (0..self.len()).filter_map(|i| self.get(i)).collect()
    }
}

/// A float or double tensor as doubles.
pub(crate) fn to_doubles(node: &NodeProto, name: &str, tensor: &Tensor) -> TractResult<Vec<f64>> {
    match tensor.datum_type() {
        DatumType::F32 | DatumType::F64 | DatumType::F16 => Ok(tensor
            .cast_to::<f64>()?
            .try_as_plain_ram()?
            .as_slice::<f64>()?
            .to_vec()),
        other => node.bail_attr(name, &format!("expected floats or doubles, got {other:?}")),
    }
}

/// A list of whole numbers, empty where absent.
pub(crate) fn ints<'a>(node: &'a NodeProto, name: &str) -> TractResult<&'a [i64]> {
    Ok(node.get_attr_opt_slice::<i64>(name)?.unwrap_or_default())
}

/// A list of floats, empty where absent.
pub(crate) fn floats<'a>(node: &'a NodeProto, name: &str) -> TractResult<&'a [f32]> {
    Ok(node.get_attr_opt_slice::<f32>(name)?.unwrap_or_default())
}

/// A list of whole numbers that must have `n` entries.
pub(crate) fn ints_of<'a>(node: &'a NodeProto, name: &str, n: usize) -> TractResult<&'a [i64]> {
    let found = ints(node, name)?;
    node.expect_attr(name, found.len() == n, || {
        format!("{n} entries, got {}", found.len())
    })?;
    Ok(found)
}

/// A whole number that indexes something.
pub(crate) fn index(node: &NodeProto, name: &str, value: i64) -> TractResult<u32> {
    // Half of the range is left for arithmetic on indices.
    match u32::try_from(value) {
        Ok(v) if v < (1 << 31) => Ok(v),
        _ => node.bail_attr(name, &format!("{value} is not an index")),
    }
}
