//! What a leaf adds to the sums, in the cheapest of four forms. A leaf's *key* is the number its node carries: the
//! weight itself where one weight says all, else an index into these tables.

use super::number::{INDICES, Number};
use super::raw::{Raw, RawNode};

/// See the module.
#[derive(Debug)]
pub(crate) enum Leaves<T> {
    /// One target; the key is the weight.
    One,
    /// Every leaf of a tree adds to the tree's one target (boosted multi-class models); the key is the weight.
    PerTree(Vec<u32>),
    /// Every leaf adds to every target (forests); the key is the index of the first of its `targets` weights.
    Dense(Vec<T>),
    /// The key is an index into `starts`; a leaf adds `entries[starts[key]..starts[key + 1]]`, target and weight.
    Sparse {
        starts: Vec<u32>,
        entries: Vec<(u32, T)>,
    },
}

impl<T: Number> Leaves<T> {
    /// Chooses the form and gives the key of every leaf; nodes that are no leaf get a zero.
    ///
    /// With one target a leaf's first weight counts and further ones do not, as in ONNX Runtime.
    pub fn new(raw: &Raw) -> Option<(Leaves<T>, Vec<T>)> {
        let mut keys = vec![T::default(); raw.nodes.len()];
        let leaves = || {
            raw.nodes
                .iter()
                .enumerate()
                .filter_map(|(i, node)| match node {
                    RawNode::Leaf { first, count } => Some((i, raw.weights_of(*first, *count))),
                    RawNode::Branch { .. } => None,
                })
        };
        if raw.targets == 1 {
            for (i, weights) in leaves() {
                keys[i] = T::from_f64(weights.first()?.value);
            }
            return Some((Leaves::One, keys));
        }
        if let Some(targets) = Self::target_of_trees(raw) {
            for (i, weights) in leaves() {
                keys[i] = T::from_f64(weights.first()?.value);
            }
            return Some((Leaves::PerTree(targets), keys));
        }
        let dense = leaves().all(|(_, weights)| {
            weights.len() == raw.targets
                && weights
                    .iter()
                    .enumerate()
                    .all(|(t, w)| w.target as usize == t)
        });
        if dense && raw.weights.len() < INDICES {
            for (i, node) in raw.nodes.iter().enumerate() {
                if let RawNode::Leaf { first, .. } = node {
                    keys[i] = T::from_index(*first);
                }
            }
            let weights = raw.weights.iter().map(|w| T::from_f64(w.value)).collect();
            return Some((Leaves::Dense(weights), keys));
        }
        let (mut starts, mut entries) = (vec![0], vec![]);
        for (i, weights) in leaves() {
            if starts.len() >= INDICES {
                return None;
            }
            keys[i] = T::from_index(starts.len() as u32 - 1);
            entries.extend(weights.iter().map(|w| (w.target, T::from_f64(w.value))));
            starts.push(u32::try_from(entries.len()).ok()?);
        }
        Some((Leaves::Sparse { starts, entries }, keys))
    }

    /// The target of each tree, if all its leaves have one weight and agree.
    fn target_of_trees(raw: &Raw) -> Option<Vec<u32>> {
        let single = |node: &RawNode| !matches!(node, RawNode::Leaf { count, .. } if *count != 1);
        if !raw.nodes.iter().all(single) {
            return None;
        }
        // Binary classifiers give every weight to one class.
        let first = raw.weights.first()?.target;
        if raw.weights.iter().all(|w| w.target == first) {
            return Some(vec![first; raw.roots.len()]);
        }
        let mut targets = Vec::with_capacity(raw.roots.len());
        let mut stack = vec![];
        let mut visits = 0;
        for &root in &raw.roots {
            let mut target = None;
            stack.push(root);
            while let Some(at) = stack.pop() {
                // Shared children are visited once a parent; stop before a crafted file makes that exponential.
                visits += 1;
                if visits > 4 * raw.nodes.len() {
                    return None;
                }
                match raw.nodes[at as usize] {
                    RawNode::Branch { yes, no, .. } => stack.extend([no, yes]),
                    RawNode::Leaf { first, count } => {
                        let weight = raw.weights_of(first, count);
                        if count != 1 || *target.get_or_insert(weight[0].target) != weight[0].target
                        {
                            return None;
                        }
                    }
                }
            }
            targets.push(target?);
        }
        Some(targets)
    }

    /// The targets and weights behind a key, whatever the form.
    pub fn entries(&self, targets: usize, tree: usize, key: T) -> impl Iterator<Item = (usize, T)> {
        let index = key.to_index() as usize;
        let (single, dense, sparse) = match self {
            Leaves::One => (Some((0, key)), None, None),
            Leaves::PerTree(of) => (of.get(tree).map(|&t| (t as usize, key)), None, None),
            Leaves::Dense(weights) => (None, weights.get(index..index + targets), None),
            Leaves::Sparse { starts, entries } => {
                let range = starts.get(index).zip(starts.get(index + 1));
                (
                    None,
                    None,
                    range.and_then(|(&a, &b)| entries.get(a as usize..b as usize)),
                )
            }
        };
        let dense = dense.unwrap_or_default().iter().copied().enumerate();
        let sparse = sparse
            .unwrap_or_default()
            .iter()
            .map(|&(t, w)| (t as usize, w));
        single.into_iter().chain(dense).chain(sparse)
    }
}
