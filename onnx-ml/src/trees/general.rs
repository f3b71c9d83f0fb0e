//! The layout for what the fast one cannot hold: equality tests, shared children, thousands of features, weights
//! that are no numbers. Still a flat array without allocation a row, with every index checked.

use super::number::Number;
use super::raw::{Raw, RawNode, Test};

#[derive(Debug, Clone, Copy)]
struct Node<T> {
    key: T,
    feature: u32,
    yes: u32,
    no: u32,
    nan_true: bool,
    /// Nothing in a leaf.
    test: Option<Test>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct General<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<u32>,
}

impl<T: Number> General<T> {
    /// Lays out a checked `raw` whose leaves carry `keys`.
    pub fn new(raw: &Raw, keys: &[T]) -> General<T> {
        let node = |(i, node): (usize, &RawNode)| match *node {
            RawNode::Leaf { .. } => Node {
                key: keys[i],
                feature: 0,
                yes: 0,
                no: 0,
                nan_true: false,
                test: None,
            },
            RawNode::Branch {
                feature,
                test,
                threshold,
                nan_true,
                yes,
                no,
            } => Node {
                key: T::from_f64(threshold),
                feature,
                yes,
                no,
                nan_true,
                test: Some(test),
            },
        };
        General {
            nodes: raw.nodes.iter().enumerate().map(node).collect(),
            roots: raw.roots.clone(),
        }
    }

    /// Bytes of all nodes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.nodes[..])
    }

    /// Walks the `n` rows of a block tree by tree; `rows` is row-major with `columns` numbers a row.
    pub fn walk_block(
        &self,
        rows: &[T],
        n: usize,
        columns: usize,
        mut visit: impl FnMut(usize, usize, T),
    ) {
        for (tree, &root) in self.roots.iter().enumerate() {
            for r in 0..n {
                visit(
                    tree,
                    r,
                    self.leaf(root, &rows[r * columns..(r + 1) * columns]),
                );
            }
        }
    }

    /// The key of the leaf a row comes to. The check at load has excluded cycles, so this ends.
    fn leaf(&self, root: u32, row: &[T]) -> T {
        let mut node = &self.nodes[root as usize];
        while let Some(test) = node.test {
            let (x, t) = (row[node.feature as usize], node.key);
            let yes = match test {
                Test::Le => x <= t,
                Test::Lt => x < t,
                Test::Ge => x >= t,
                Test::Gt => x > t,
                Test::Eq => x == t,
                Test::Ne => x != t,
            };
            let yes = yes || (node.nan_true && x.is_nan());
            node = &self.nodes[if yes { node.yes } else { node.no } as usize];
        }
        node.key
    }
}
