//! The attributes of `TreeEnsemble` (opset 5): branches and leaves in separate lists, numbers in tensors, and tests
//! of set membership.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::raw::{Raw, RawNode, Test, Weight};
use crate::attrs::{index, ints, ints_of, tensor, to_doubles};

/// Reads the ensemble.
///
/// A membership test of k values becomes a chain of k equalities that share the true child, so the values of a set
/// cost one comparison each, as in ONNX Runtime.
pub(crate) fn parse(node: &NodeProto) -> TractResult<Raw> {
    let needed = |name: &str| match tensor(node, name)? {
        Some(t) => Ok(t),
        None => node.bail_attr(name, "is missing"),
    };
    let feature_ids = ints(node, "nodes_featureids")?;
    let n = feature_ids.len();
    node.expect_attr(
        "nodes_featureids",
        n > 0 && n < (1 << 30),
        "1 to 2^30 nodes",
    )?;
    let yes_ids = ints_of(node, "nodes_truenodeids", n)?;
    let no_ids = ints_of(node, "nodes_falsenodeids", n)?;
    let yes_leaf = ints_of(node, "nodes_trueleafs", n)?;
    let no_leaf = ints_of(node, "nodes_falseleafs", n)?;
    let nan_true = ints(node, "nodes_missing_value_tracks_true")?;
    let found = nan_true.len();
    node.expect_attr(
        "nodes_missing_value_tracks_true",
        found == 0 || found == n,
        || format!("{n} entries or none, got {found}"),
    )?;
    let modes = needed("nodes_modes")?;
    node.expect_attr(
        "nodes_modes",
        modes.datum_type() == DatumType::U8,
        "a uint8 tensor",
    )?;
    let modes = modes.try_as_plain_ram()?.as_slice::<u8>()?;
    let splits = to_doubles(node, "nodes_splits", &needed("nodes_splits")?)?;
    node.expect_attr("nodes_modes", modes.len() == n, || {
        format!("{n} entries, got {}", modes.len())
    })?;
    node.expect_attr("nodes_splits", splits.len() == n, || {
        format!("{n} entries, got {}", splits.len())
    })?;

    let leaf_targets = ints(node, "leaf_targetids")?;
    let leaf_weights = to_doubles(node, "leaf_weights", &needed("leaf_weights")?)?;
    let leaves = leaf_weights.len();
    node.expect_attr(
        "leaf_targetids",
        leaf_targets.len() == leaves && leaves < (1 << 30),
        || format!("{leaves} entries, got {}", leaf_targets.len()),
    )?;
    let mut weights = Vec::with_capacity(leaves);
    for (&target, &value) in leaf_targets.iter().zip(&leaf_weights) {
        weights.push(Weight {
            target: index(node, "leaf_targetids", target)?,
            value,
        });
    }
    let targets = node.get_attr_opt::<i64>("n_targets")?.unwrap_or(1);
    let targets = index(node, "n_targets", targets)? as usize;
    let sets = Sets::parse(node)?;
    let mut sets = sets.0.into_iter();

    // Branch i of the file is node i here; leaves and the rest of membership chains are appended.
    let mut nodes = vec![RawNode::Leaf { first: 0, count: 0 }; n];
    let mut chains: Vec<(usize, Vec<f64>)> = vec![];
    let child = |nodes: &mut Vec<RawNode>, name: &str, id: i64, leaf: bool| {
        let id = index(node, name, id)?;
        if !leaf {
            node.expect_attr(name, (id as usize) < n, || {
                format!("node ids below {n}, got {id}")
            })?;
            return Ok(id);
        }
        node.expect_attr(name, (id as usize) < leaves, || {
            format!("leaf ids below {leaves}, got {id}")
        })?;
        nodes.push(RawNode::Leaf {
            first: id,
            count: 1,
        });
        TractResult::Ok(nodes.len() as u32 - 1)
    };
    for i in 0..n {
        let yes = child(
            &mut nodes,
            "nodes_truenodeids",
            yes_ids[i],
            yes_leaf[i] != 0,
        )?;
        let no = child(&mut nodes, "nodes_falsenodeids", no_ids[i], no_leaf[i] != 0)?;
        let mut threshold = splits[i];
        let test = match modes[i] {
            0 => Test::Le,
            1 => Test::Lt,
            2 => Test::Ge,
            3 => Test::Gt,
            4 => Test::Eq,
            5 => Test::Ne,
            6 => {
                let set = sets.next().unwrap_or_default();
                // Nothing equals NaN: an empty set sends every value to the false child.
                threshold = set.first().copied().unwrap_or(f64::NAN);
                if set.len() > 1 {
                    chains.push((i, set));
                }
                Test::Eq
            }
            other => return node.bail_attr("nodes_modes", &format!("unknown mode {other}")),
        };
        let feature = index(node, "nodes_featureids", feature_ids[i])?;
        let nan_true = nan_true.get(i) == Some(&1);
        nodes[i] = RawNode::Branch {
            feature,
            test,
            threshold,
            nan_true,
            yes,
            no,
        };
    }
    for (at, set) in chains {
        let mut at = at;
        for &value in &set[1..] {
            let next = nodes.len() as u32;
            let RawNode::Branch {
                feature,
                test,
                nan_true,
                yes,
                no,
                ..
            } = nodes[at]
            else {
                continue;
            };
            nodes.push(RawNode::Branch {
                feature,
                test,
                threshold: value,
                nan_true,
                yes,
                no,
            });
            if let RawNode::Branch { no, .. } = &mut nodes[at] {
                *no = next;
            }
            at = next as usize;
        }
    }
    let mut roots = vec![];
    for &root in ints(node, "tree_roots")? {
        let root = index(node, "tree_roots", root)?;
        node.expect_attr("tree_roots", (root as usize) < n, || {
            format!("ids below {n}, got {root}")
        })?;
        roots.push(root);
    }
    Ok(Raw {
        nodes,
        roots,
        weights,
        targets,
    })
}

/// The sets of the membership nodes, in the order of the nodes. The file separates them by NaN.
struct Sets(Vec<Vec<f64>>);

impl Sets {
    fn parse(node: &NodeProto) -> TractResult<Sets> {
        let Some(values) = tensor(node, "membership_values")? else {
            return Ok(Sets(vec![]));
        };
        let values = to_doubles(node, "membership_values", &values)?;
        Ok(Sets(
            values.split(|v| v.is_nan()).map(<[f64]>::to_vec).collect(),
        ))
    }
}
