//! The attributes of `TreeEnsembleClassifier` and `TreeEnsembleRegressor` (opsets 1 and 3): parallel lists of
//! nodes, and of leaf weights that refer to nodes by tree id and node id.
//!
//! Semantics after ONNX Runtime: trees are summed in the order of their first node; the first listed node of a run
//! with one tree id is the root; weights given to a branch are ignored (old exporters write them).

use std::cell::Cell;
use std::collections::HashMap;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::raw::{Raw, RawNode, Test, Weight};
use crate::attrs::{doubles, index, ints, ints_of};

/// Reads the ensemble; `prefix` is `"class"` or `"target"`, `targets` the number of sums.
pub(crate) fn parse(node: &NodeProto, prefix: &str, targets: usize) -> TractResult<Raw> {
    let feature_ids = ints(node, "nodes_featureids")?;
    let n = feature_ids.len();
    node.expect_attr(
        "nodes_featureids",
        n > 0 && n < (1 << 31),
        "1 to 2^31 nodes",
    )?;
    let tree_ids = ints_of(node, "nodes_treeids", n)?;
    let node_ids = ints_of(node, "nodes_nodeids", n)?;
    let yes_ids = ints_of(node, "nodes_truenodeids", n)?;
    let no_ids = ints_of(node, "nodes_falsenodeids", n)?;
    let modes = node.get_attr_slice::<Vec<u8>>("nodes_modes")?;
    node.expect_attr("nodes_modes", modes.len() == n, || {
        format!("{n} entries, got {}", modes.len())
    })?;
    let nan_true = ints(node, "nodes_missing_value_tracks_true")?;
    let found = nan_true.len();
    node.expect_attr(
        "nodes_missing_value_tracks_true",
        found == 0 || found == n,
        || format!("{n} entries or none, got {found}"),
    )?;
    let values = doubles(node, "nodes_values")?;
    let found = values.as_ref().map_or(0, |v| v.len());
    node.expect_attr("nodes_values", found == n, || {
        format!("{n} entries, got {found}")
    })?;
    let values = values.context("nodes_values")?;

    let ids = Ids::new(node, tree_ids, node_ids)?;
    let (weights, leaves) = parse_weights(node, prefix, &ids, modes)?;

    let mut nodes = Vec::with_capacity(n);
    let mut roots = vec![];
    for i in 0..n {
        if i == 0 || tree_ids[i] != tree_ids[i - 1] {
            roots.push(i as u32);
        }
        let test = match parse_mode(node, &modes[i])? {
            Some(test) => test,
            None => {
                let (first, count) = leaves[i];
                if count == 0 {
                    node.bail(&format!(
                        "leaf {} of tree {} has no weight",
                        node_ids[i], tree_ids[i]
                    ))?;
                }
                nodes.push(RawNode::Leaf { first, count });
                continue;
            }
        };
        let child = |name: &str, id: i64| match ids.find(tree_ids[i], id) {
            Some(found) => Ok(found),
            None => node.bail_attr(name, &format!("tree {} has no node {id}", tree_ids[i])),
        };
        nodes.push(RawNode::Branch {
            feature: index(node, "nodes_featureids", feature_ids[i])?,
            test,
            threshold: values.get(i).unwrap_or(f64::NAN),
            nan_true: nan_true.get(i) == Some(&1),
            yes: child("nodes_truenodeids", yes_ids[i])?,
            no: child("nodes_falsenodeids", no_ids[i])?,
        });
    }
    Ok(Raw {
        nodes,
        roots,
        weights,
        targets,
    })
}

/// `None` is a leaf.
fn parse_mode(node: &NodeProto, mode: &[u8]) -> TractResult<Option<Test>> {
    Ok(Some(match mode {
        b"BRANCH_LEQ" => Test::Le,
        b"LEAF" => return Ok(None),
        b"BRANCH_LT" => Test::Lt,
        b"BRANCH_GTE" => Test::Ge,
        b"BRANCH_GT" => Test::Gt,
        b"BRANCH_EQ" => Test::Eq,
        b"BRANCH_NEQ" => Test::Ne,
        other => {
            let other = String::from_utf8_lossy(other);
            return node.bail_attr("nodes_modes", &format!("unknown mode {other:?}"));
        }
    }))
}

/// Weights grouped by leaf, and for each node where its weights are: `(first, count)`.
type Leaves = (Vec<Weight>, Vec<(u32, u32)>);

fn parse_weights(
    node: &NodeProto,
    prefix: &str,
    ids: &Ids,
    modes: &[Vec<u8>],
) -> TractResult<Leaves> {
    let name = |s: &str| format!("{prefix}_{s}");
    let targets = ints(node, &name("ids"))?;
    let n = targets.len();
    let tree_ids = ints_of(node, &name("treeids"), n)?;
    let node_ids = ints_of(node, &name("nodeids"), n)?;
    let values = doubles(node, &name("weights"))?;
    let found = values.as_ref().map_or(0, |v| v.len());
    node.expect_attr(&name("weights"), found == n && n > 0, || {
        format!("{n} entries, got {found}")
    })?;
    let values = values.with_context(|| name("weights"))?;

    // The leaf of each weight; then a counting sort, which keeps the order of one leaf's weights.
    let mut owner = Vec::with_capacity(n);
    let mut leaves = vec![(0u32, 0u32); modes.len()];
    for i in 0..n {
        match ids.find(tree_ids[i], node_ids[i]) {
            Some(at) => {
                if modes[at as usize] == b"LEAF" {
                    leaves[at as usize].1 += 1;
                    owner.push(Some(at));
                } else {
                    owner.push(None);
                }
            }
            None => {
                let what = format!("tree {} has no node {}", tree_ids[i], node_ids[i]);
                node.bail_attr(&name("nodeids"), &what)?;
            }
        }
    }
    let mut first = 0;
    for leaf in &mut leaves {
        leaf.0 = first;
        first += leaf.1;
    }
    let mut filled = vec![0u32; modes.len()];
    let mut weights = vec![
        Weight {
            target: 0,
            value: 0.0
        };
        first as usize
    ];
    for i in 0..n {
        let Some(at) = owner[i] else { continue };
        let at = at as usize;
        weights[(leaves[at].0 + filled[at]) as usize] = Weight {
            target: index(node, &name("ids"), targets[i])?,
            value: values.get(i).unwrap_or(f64::NAN),
        };
        filled[at] += 1;
    }
    Ok((weights, leaves))
}

/// Finds a node by tree id and node id. Exporters number the nodes of a tree 0, 1, 2, … in order, so the first guess
/// is nearly always right; the map is for files that do not.
struct Ids<'a> {
    tree_ids: &'a [i64],
    node_ids: &'a [i64],
    starts: HashMap<i64, u32>,
    /// The tree asked for last and its start: nearly always the tree asked for next.
    last: Cell<(i64, u32)>,
    others: HashMap<(i64, i64), u32>,
}

impl<'a> Ids<'a> {
    fn new(node: &NodeProto, tree_ids: &'a [i64], node_ids: &'a [i64]) -> TractResult<Ids<'a>> {
        let mut ids = Ids {
            tree_ids,
            node_ids,
            starts: HashMap::new(),
            last: Cell::new((tree_ids.first().copied().unwrap_or(0), 0)),
            others: HashMap::new(),
        };
        for i in 0..tree_ids.len() {
            let tree = tree_ids[i];
            if i == 0 || tree_ids[i - 1] != tree {
                ids.starts.entry(tree).or_insert(i as u32);
            }
            if ids.guess(tree, node_ids[i]) != Some(i as u32)
                && ids.others.insert((tree, node_ids[i]), i as u32).is_some()
            {
                node.bail(&format!("tree {tree} has node {} twice", node_ids[i]))?;
            }
        }
        for &(tree, id) in ids.others.keys() {
            if ids.guess(tree, id).is_some() {
                node.bail(&format!("tree {tree} has node {id} twice"))?;
            }
        }
        Ok(ids)
    }

    fn guess(&self, tree: i64, id: i64) -> Option<u32> {
        if self.last.get().0 != tree {
            self.last.set((tree, *self.starts.get(&tree)?));
        }
        let at = self.last.get().1 as usize + usize::try_from(id).ok()?;
        let right = self.tree_ids.get(at) == Some(&tree) && self.node_ids.get(at) == Some(&id);
        right.then_some(at as u32)
    }

    fn find(&self, tree: i64, id: i64) -> Option<u32> {
        self.guess(tree, id)
            .or_else(|| self.others.get(&(tree, id)).copied())
    }
}
