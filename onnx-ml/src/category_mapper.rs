//! `CategoryMapper`: text to whole numbers or back, by a table.

use std::collections::HashMap;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::ints;
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::numbers::{tensor, values};

/// Any shape; the type of the input says which way it maps. What is not in the table becomes the default.
#[derive(Debug)]
struct CategoryMapper {
    to_int: HashMap<String, i64>,
    to_text: HashMap<i64, String>,
    default_int: i64,
    default_text: String,
}

pub(crate) fn build(_: &ParsingContext, node: &NodeProto) -> Built {
    let whole = ints(node, "cats_int64s")?;
    let text = node
        .get_attr_opt_vec::<String>("cats_strings")?
        .unwrap_or_default();
    node.expect_attr("cats_strings", text.len() == whole.len(), || {
        format!(
            "as many entries as cats_int64s has ({}), got {}",
            whole.len(),
            text.len()
        )
    })?;
    let pairs = || text.iter().cloned().zip(whole.iter().copied());
    built(
        node,
        1,
        CategoryMapper {
            to_int: pairs().collect(),
            to_text: pairs().map(|(t, i)| (i, t)).collect(),
            default_int: node.get_attr_opt("default_int64")?.unwrap_or(-1),
            default_text: node
                .get_attr_opt("default_string")?
                .unwrap_or_else(|| "_Unused".into()),
        },
    )
}

impl Kernel for CategoryMapper {
    fn name(&self) -> &'static str {
        "CategoryMapper"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        let to = match dt {
            DatumType::String => DatumType::I64,
            DatumType::I64 | DatumType::TDim => DatumType::String,
            other => bail!("maps text or int64, got {other:?}"),
        };
        Ok(tvec!((to, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(if input.datum_type() == DatumType::String {
            let data = input.try_as_plain_ram()?.as_slice::<String>()?;
            let map = |s| self.to_int.get(s).copied().unwrap_or(self.default_int);
            tensor(input.shape(), data.iter().map(map).collect())?
        } else {
            let data = values::<i64>(input)?;
            let map = |i| self.to_text.get(i).unwrap_or(&self.default_text).clone();
            tensor(input.shape(), data.iter().map(map).collect())?
        }))
    }
}
