//! Class labels: whole numbers or text, one a class.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::numbers::tensor;

/// The labels of a classifier, in the order of its score columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// Whole numbers (`classlabels_int64s`).
    Ints(Vec<i64>),
    /// Text (`classlabels_strings`).
    Strings(Vec<String>),
}

impl Labels {
    /// Reads whichever of the two attributes the node has; `ints` is the name of the integer one, which the
    /// domain spells in two ways.
    pub(crate) fn parse(node: &NodeProto, ints: &str) -> TractResult<Labels> {
        let text = node
            .get_attr_opt_vec::<String>("classlabels_strings")?
            .unwrap_or_default();
        let whole = node.get_attr_opt_slice::<i64>(ints)?.unwrap_or_default();
        match (text.is_empty(), whole.is_empty()) {
            (false, true) => Ok(Labels::Strings(text)),
            (true, false) => Ok(Labels::Ints(whole.to_vec())),
            (true, true) => node.bail(&format!("needs classlabels_strings or {ints}")),
            (false, false) => node.bail(&format!("has both classlabels_strings and {ints}")),
        }
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        match self {
            Labels::Ints(v) => v.len(),
            Labels::Strings(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of a label tensor.
    pub(crate) fn datum_type(&self) -> DatumType {
        match self {
            Labels::Ints(_) => DatumType::I64,
            Labels::Strings(_) => DatumType::String,
        }
    }

    /// A label tensor `[rows]` from indices into these labels.
    pub(crate) fn pick(&self, indices: &[u32]) -> TractResult<Tensor> {
        let wrong = || format_err!("a label index is out of range");
        let shape = [indices.len()];
        match self {
            Labels::Ints(v) => {
                let picked = indices.iter().map(|&i| v.get(i as usize).copied());
                tensor(
                    &shape,
                    picked.collect::<Option<Vec<_>>>().ok_or_else(wrong)?,
                )
            }
            Labels::Strings(v) => {
                let picked = indices.iter().map(|&i| v.get(i as usize).cloned());
                tensor(
                    &shape,
                    picked.collect::<Option<Vec<_>>>().ok_or_else(wrong)?,
                )
            }
        }
    }

    /// Adds the labels 0 and 1 (or `"0"` and `"1"`) after the class labels and returns the index of the first:
    /// ONNX Runtime answers with them where a binary classifier does not say which class its weights belong to.
    pub(crate) fn push_zero_one(&mut self) -> u32 {
        let first = self.len() as u32;
        match self {
            Labels::Ints(v) => v.extend([0, 1]),
            Labels::Strings(v) => v.extend(["0".to_string(), "1".to_string()]),
        }
        first
    }
}
