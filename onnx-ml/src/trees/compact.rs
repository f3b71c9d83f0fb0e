//! The fast layout: eight bytes a node (sixteen for doubles), the two children side by side, no branch on the data.
//!
//! A node is a key and a word. In a branch the key is the threshold and the word holds the feature (low `FB` bits),
//! whether a missing value is at most the threshold (one bit), and the index of the child taken when the value is at
//! most the threshold; the other child follows it. So a step is a load, a comparison, a shift and an addition.
//!
//! A leaf is a node that steps to itself: its feature is an extra column that holds minus infinity in every copied
//! row, which is at most any key, and its child is its own index. The key is then free to carry the leaf's weight,
//! and a walk of fixed depth needs no test for having arrived. Several walks run side by side, several trees of one
//! row or several rows of one tree, so that one's memory latency is hidden behind the others' arithmetic.
//!
//! The four orderings become one: `x < t` is `x <= below(t)`, and the other two swap the children. Equality does
//! not fit, nor do shared children and more than about eight thousand features: [`super::general`] takes those.

use super::number::Number;
use super::raw::{Checked, Raw, RawNode, Test};

/// How many walks run side by side.
pub(crate) const LANES: usize = 8;

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Node<T> {
    key: T,
    word: u32,
}

/// One tree: where it starts, the depth of its deepest and of its shallowest leaf.
#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    deepest: u32,
    shallowest: u32,
}

/// See the module. Invariant, established by [`Compact::new`] and relied upon by the unchecked loads: every word's
/// child and the node after it are in range (a leaf's child is itself and never passed), and every word's feature is
/// at most `features`.
#[derive(Debug)]
pub(crate) struct Compact<T> {
    nodes: Vec<Node<T>>,
    trees: Vec<Tree>,
    /// Columns of a row that are copied; the extra column follows them.
    features: usize,
    /// Bits of a word that hold the feature.
    bits: u32,
    /// Whether any node sends missing values to its at-most child.
    pub nan_true: bool,
}

/// Widths of the feature field that are compiled, smallest first.
const BITS: [u32; 2] = [8, 13];

/// A branch in the only form this layout knows: `at_most` is taken for `x <= threshold`.
struct Ordered<T> {
    threshold: T,
    nan_at_most: bool,
    at_most: u32,
    above: u32,
}

fn ordered<T: Number>(
    test: Test,
    threshold: T,
    nan_true: bool,
    yes: u32,
    no: u32,
) -> Option<Ordered<T>> {
    // No value is at most NaN, nor at least; with children swapped the latter cannot be said.
    if threshold.is_nan() {
        return None;
    }
    let (threshold, swap) = match test {
        Test::Le => (threshold, false),
        Test::Lt => (threshold.below(), false),
        Test::Gt => (threshold, true),
        Test::Ge => (threshold.below(), true),
        Test::Eq | Test::Ne => return None,
    };
    if !swap {
        return Some(Ordered {
            threshold,
            nan_at_most: nan_true,
            at_most: yes,
            above: no,
        });
    }
    // A missing value fails the test and takes the false child unless told otherwise; swapped, that is at-most.
    Some(Ordered {
        threshold,
        nan_at_most: !nan_true,
        at_most: no,
        above: yes,
    })
}

impl<T: Number> Compact<T> {
    /// Lays out `raw`, whose leaves carry `keys`; nothing where it does not fit this layout.
    pub fn new(raw: &Raw, checked: Checked, keys: &[T]) -> Option<Compact<T>> {
        if !checked.tree_shaped {
            return None;
        }
        let features = checked.features;
        let bits = BITS.into_iter().find(|b| features < (1 << b))?;
        // A slot is left empty before each root so that pairs of siblings start at even indices.
        let slots = raw.nodes.len() + 2 * raw.roots.len() + 8;
        if slots >= 1 << (31 - bits) {
            return None;
        }
        let mut compact = Compact {
            nodes: Vec::with_capacity(slots),
            trees: Vec::with_capacity(raw.roots.len()),
            features,
            bits,
            nan_true: false,
        };
        let mut queue = std::collections::VecDeque::new();
        for &root in &raw.roots {
            compact.push_tree(raw, keys, root, &mut queue)?;
        }
        Some(compact)
    }

    /// Appends one tree, breadth first: the levels every row passes share cache lines.
    fn push_tree(
        &mut self,
        raw: &Raw,
        keys: &[T],
        root: u32,
        queue: &mut std::collections::VecDeque<(u32, u32, u32)>,
    ) -> Option<()> {
        let empty = Node {
            key: T::default(),
            word: 0,
        };
        self.nodes.push(empty);
        if self.nodes.len().is_multiple_of(2) {
            self.nodes.push(empty);
        }
        let root_slot = self.nodes.len() as u32;
        self.nodes.push(empty);
        let mut tree = Tree {
            root: root_slot,
            deepest: 0,
            shallowest: u32::MAX,
        };
        queue.push_back((root, root_slot, 0));
        while let Some((at, slot, depth)) = queue.pop_front() {
            let node = match raw.nodes[at as usize] {
                RawNode::Leaf { .. } => {
                    tree.deepest = tree.deepest.max(depth);
                    tree.shallowest = tree.shallowest.min(depth);
                    // NaN would not compare as at most; such a weight is for the general layout.
                    let key = keys[at as usize];
                    if key.is_nan() {
                        return None;
                    }
                    Node {
                        key,
                        word: slot << (self.bits + 1) | self.features as u32,
                    }
                }
                RawNode::Branch {
                    feature,
                    test,
                    threshold,
                    nan_true,
                    yes,
                    no,
                } => {
                    let o = ordered(test, T::from_f64(threshold), nan_true, yes, no)?;
                    let child = self.nodes.len() as u32;
                    self.nodes.extend([empty, empty]);
                    queue.push_back((o.at_most, child, depth + 1));
                    queue.push_back((o.above, child + 1, depth + 1));
                    self.nan_true |= o.nan_at_most;
                    let nan = (o.nan_at_most as u32) << self.bits;
                    Node {
                        key: o.threshold,
                        word: child << (self.bits + 1) | nan | feature,
                    }
                }
            };
            self.nodes[slot as usize] = node;
        }
        self.trees.push(tree);
        Some(())
    }

    /// Numbers a copied row takes: its features and the extra column.
    pub fn row_len(&self) -> usize {
        self.features + 1
    }

    /// The number of input columns that are read.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Bytes of all nodes.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.nodes[..])
    }

    /// Walks one row through every tree, in order, several trees at a time. `row` is a copied row; `nan` says
    /// whether it has a missing value.
    pub fn walk_row(&self, row: &[T], nan: bool, visit: impl FnMut(usize, T)) {
        assert!(row.len() == self.row_len(), "a copied row");
        match (self.bits == BITS[0], nan && self.nan_true) {
            (true, false) => self.trees_of_row::<{ BITS[0] }, false>(row, visit),
            (true, true) => self.trees_of_row::<{ BITS[0] }, true>(row, visit),
            (false, false) => self.trees_of_row::<{ BITS[1] }, false>(row, visit),
            (false, true) => self.trees_of_row::<{ BITS[1] }, true>(row, visit),
        }
    }

    /// Walks `LANES` rows a chunk through every tree: tree by tree, so that a tree stays in the nearest cache for all
    /// rows of the block. `chunks` holds copied rows, transposed in groups of `LANES`: feature 0 of each row of the
    /// group, feature 1 of each, and so on. `visit` gets the tree, the row's number in the block, and the key.
    pub fn walk_block(&self, chunks: &[T], nan: bool, visit: impl FnMut(usize, usize, T)) {
        assert!(
            chunks.len().is_multiple_of(self.row_len() * LANES),
            "whole chunks"
        );
        match (self.bits == BITS[0], nan && self.nan_true) {
            (true, false) => self.rows_of_trees::<{ BITS[0] }, false>(chunks, visit),
            (true, true) => self.rows_of_trees::<{ BITS[0] }, true>(chunks, visit),
            (false, false) => self.rows_of_trees::<{ BITS[1] }, false>(chunks, visit),
            (false, true) => self.rows_of_trees::<{ BITS[1] }, true>(chunks, visit),
        }
    }

    fn trees_of_row<const FB: u32, const NAN: bool>(
        &self,
        row: &[T],
        mut visit: impl FnMut(usize, T),
    ) {
        let mut first = 0;
        let mut groups = self.trees.chunks_exact(LANES);
        for group in &mut groups {
            let mut at = [0u32; LANES];
            let (mut deepest, mut shallowest) = (0, u32::MAX);
            for (lane, tree) in group.iter().enumerate() {
                at[lane] = tree.root;
                deepest = deepest.max(tree.deepest);
                shallowest = shallowest.min(tree.shallowest);
            }
            self.descend::<FB, NAN, LANES, 1>(row, &mut at, shallowest, deepest);
            for (lane, &leaf) in at.iter().enumerate() {
                visit(first + lane, self.key(leaf));
            }
            first += LANES;
        }
        for tree in groups.remainder() {
            let mut at = [tree.root];
            self.descend::<FB, NAN, 1, 1>(row, &mut at, tree.shallowest, tree.deepest);
            visit(first, self.key(at[0]));
            first += 1;
        }
    }

    fn rows_of_trees<const FB: u32, const NAN: bool>(
        &self,
        chunks: &[T],
        mut visit: impl FnMut(usize, usize, T),
    ) {
        for (t, tree) in self.trees.iter().enumerate() {
            for (c, chunk) in chunks.chunks_exact(self.row_len() * LANES).enumerate() {
                let mut at = [tree.root; LANES];
                self.descend::<FB, NAN, LANES, LANES>(
                    chunk,
                    &mut at,
                    tree.shallowest,
                    tree.deepest,
                );
                for (lane, &leaf) in at.iter().enumerate() {
                    visit(t, c * LANES + lane, self.key(leaf));
                }
            }
        }
    }

    /// Takes every lane from where it is to its leaf. With `STRIDE` 1 all lanes read one row; with `STRIDE` `LANES`
    /// each reads its own row of a transposed chunk.
    #[inline(always)]
    fn descend<const FB: u32, const NAN: bool, const N: usize, const STRIDE: usize>(
        &self,
        rows: &[T],
        at: &mut [u32; N],
        shallowest: u32,
        deepest: u32,
    ) {
        for _ in 0..shallowest {
            self.step::<FB, NAN, N, STRIDE>(rows, at);
        }
        // Past the shallowest leaf some lanes may rest; when a step moves none, all have arrived.
        for _ in shallowest..deepest {
            let before = *at;
            self.step::<FB, NAN, N, STRIDE>(rows, at);
            if before == *at {
                break;
            }
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn step<const FB: u32, const NAN: bool, const N: usize, const STRIDE: usize>(
        &self,
        rows: &[T],
        at: &mut [u32; N],
    ) {
        for (lane, at) in at.iter_mut().enumerate() {
            let lane = if STRIDE == 1 { 0 } else { lane };
            // SAFETY: `at` starts at a root and moves only by words of this layout, so by the invariant of `Compact`
            // it is the index of a node, and the word's feature is at most `features`. Callers pass `row_len()`
            // numbers a row (asserted in `walk_row` and `walk_block`), so `feature * STRIDE + lane` is in range.
            let (node, x) = unsafe {
                let node = *self.nodes.get_unchecked(*at as usize);
                let feature = (node.word & ((1 << FB) - 1)) as usize;
                (node, *rows.get_unchecked(feature * STRIDE + lane))
            };
            let mut at_most = x <= node.key;
            if NAN {
                at_most |= x.is_nan() && (node.word >> FB) & 1 != 0;
            }
            *at = (node.word >> (FB + 1)) + !at_most as u32;
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn key(&self, at: u32) -> T {
        // SAFETY: `at` is the index of a node, as in `step`.
        unsafe { self.nodes.get_unchecked(at as usize).key }
    }
}
