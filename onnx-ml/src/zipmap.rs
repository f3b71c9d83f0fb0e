//! `ZipMap` and `DictVectorizer`: the operators that make and take maps. tract has tensors only, so a map is carried
//! as one: a row with a column for each key.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attrs::ints;
use crate::kernel::{Built, Kernel, Typed, built, exactly};
use crate::labels::Labels;
use crate::numbers::known_columns;

/// `ZipMap`: scores `[N, C]` stay `[N, C]`; the C keys of the map are told by [`crate::facts()`].
#[derive(Debug)]
struct ZipMap {
    keys: usize,
}

pub(crate) fn build_zipmap(_: &ParsingContext, node: &NodeProto) -> Built {
    built(
        node,
        1,
        ZipMap {
            keys: Labels::parse(node, "classlabels_int64s")?.len(),
        },
    )
}

impl Kernel for ZipMap {
    fn name(&self) -> &'static str {
        "ZipMap"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        check_columns(self.keys, &shape)?;
        Ok(tvec!((dt, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        Ok(tvec!(input.clone()))
    }
}

/// `DictVectorizer`: its map input is carried as `[N, V]` (or `[V]`) values, one column a word of the vocabulary in
/// the vocabulary's order, zero (or empty text) where the map has no such key; so it comes out as it went in. A model
/// whose *graph input* is a map names no tensor type and is refused by tract ("has no type").
#[derive(Debug)]
struct DictVectorizer {
    words: usize,
}

/// The size of a `DictVectorizer`'s vocabulary.
pub(crate) fn vocabulary(node: &NodeProto) -> TractResult<usize> {
    let text = node
        .get_attr_opt_slice::<Vec<u8>>("string_vocabulary")?
        .unwrap_or_default();
    let whole = ints(node, "int64_vocabulary")?;
    match (text.len(), whole.len()) {
        (0, n) | (n, 0) if n > 0 => Ok(n),
        _ => node.bail("needs string_vocabulary or int64_vocabulary, and not both"),
    }
}

pub(crate) fn build_dict_vectorizer(_: &ParsingContext, node: &NodeProto) -> Built {
    built(
        node,
        1,
        DictVectorizer {
            words: vocabulary(node)?,
        },
    )
}

impl Kernel for DictVectorizer {
    fn name(&self) -> &'static str {
        "DictVectorizer"
    }

    fn infer(&self, inputs: &[Typed]) -> TractResult<TVec<Typed>> {
        let [(dt, shape)] = exactly(inputs)?;
        check_columns(self.words, &shape)?;
        let shape = if shape.len() == 1 {
            tvec!(1.to_dim(), shape[0].clone())
        } else {
            shape
        };
        Ok(tvec!((dt, shape)))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let [input] = exactly(inputs)?;
        let mut output = input.clone();
        if output.rank() == 1 {
            output.insert_axis(0)?;
        }
        Ok(tvec!(output))
    }
}

fn check_columns(keys: usize, shape: &[TDim]) -> TractResult<()> {
    ensure!(
        matches!(shape.len(), 1 | 2),
        "a map is carried as rows, got {} dimensions",
        shape.len()
    );
    if let Some(columns) = known_columns(shape) {
        ensure!(columns == keys, "{keys} keys for {columns} columns");
    }
    Ok(())
}
