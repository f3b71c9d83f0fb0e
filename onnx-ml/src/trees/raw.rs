//! A tree ensemble as the model file describes it, checked: the common ground of the two attribute schemes
//! (opsets 1 to 3, and 5) and the start of both layouts.

use tract_onnx::tract_hir::internal::*;

/// How a node compares its feature with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Le,
    Lt,
    Ge,
    Gt,
    Eq,
    Ne,
}

/// One node; children are indices into [`Raw::nodes`], weights indices into [`Raw::weights`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawNode {
    Branch {
        feature: u32,
        test: Test,
        threshold: f64,
        nan_true: bool,
        yes: u32,
        no: u32,
    },
    Leaf {
        first: u32,
        count: u32,
    },
}

/// What a leaf adds: a target (or class) and a weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    pub target: u32,
    pub value: f64,
}

/// Nodes, one root a tree in the order of the sum, and the leaves' weights. Numbers are doubles, which hold the
/// file's floats exactly.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub nodes: Vec<RawNode>,
    pub roots: Vec<u32>,
    pub weights: Vec<Weight>,
    pub targets: usize,
}

/// What the check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// One more than the highest feature any reachable node reads.
    pub features: usize,
    /// No node has two parents. (Set membership is exported as a chain of equalities that share a child.)
    pub tree_shaped: bool,
}

impl Raw {
    /// Refuses children and weights out of range and cycles; every walk over the nodes ends after this.
    /// The depth is not limited: nothing here recurses.
    pub fn check(&self) -> TractResult<Checked> {
        ensure!(!self.roots.is_empty(), "the ensemble has no tree");
        ensure!(self.targets > 0, "the ensemble has no target");
        // A target without any weight is legal and pointless; a number alone must not ask for gigabytes of output.
        ensure!(
            self.targets <= self.weights.len().max(4096),
            "the ensemble has {} targets and {} weights",
            self.targets,
            self.weights.len()
        );
        ensure!(
            self.nodes.len() < (1 << 31),
            "the ensemble has more than 2^31 nodes"
        );
        for weight in &self.weights {
            ensure!(
                (weight.target as usize) < self.targets,
                "a leaf adds to target {}, the ensemble has {}",
                weight.target,
                self.targets
            );
        }
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            Open,
            Done,
        }
        let mut seen = vec![Seen::Not; self.nodes.len()];
        let mut found = Checked {
            features: 0,
            tree_shaped: true,
        };
        // Entering a node and leaving it are two entries of the stack; a node met again while open closes a cycle.
        let mut stack: Vec<(u32, bool)> = vec![];
        for &root in &self.roots {
            stack.push((root, false));
            while let Some((at, leaving)) = stack.pop() {
                let index = at as usize;
                ensure!(
                    index < self.nodes.len(),
                    "a child points to node {at}, there are {}",
                    self.nodes.len()
                );
                if leaving {
                    seen[index] = Seen::Done;
                    continue;
                }
                match seen[index] {
                    Seen::Open => bail!("the tree has a cycle through node {at}"),
                    Seen::Done => {
                        found.tree_shaped = false;
                        continue;
                    }
                    Seen::Not => {}
                }
                match self.nodes[index] {
                    RawNode::Branch {
                        feature, yes, no, ..
                    } => {
                        found.features = found.features.max(feature as usize + 1);
                        seen[index] = Seen::Open;
                        stack.push((at, true));
                        stack.push((no, false));
                        stack.push((yes, false));
                    }
                    RawNode::Leaf { first, count } => {
                        seen[index] = Seen::Done;
                        let end = first as usize + count as usize;
                        ensure!(
                            count > 0 && end <= self.weights.len(),
                            "leaf {at} has no weight"
                        );
                    }
                }
            }
        }
        Ok(found)
    }

    /// The weights of a leaf.
    pub fn weights_of(&self, first: u32, count: u32) -> &[Weight] {
        &self.weights[first as usize..(first + count) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(yes: u32, no: u32) -> RawNode {
        RawNode::Branch {
            feature: 3,
            test: Test::Le,
            threshold: 0.5,
            nan_true: false,
            yes,
            no,
        }
    }
    const LEAF: RawNode = RawNode::Leaf { first: 0, count: 1 };

    fn raw(nodes: Vec<RawNode>) -> Raw {
        let weights = vec![Weight {
            target: 0,
            value: 1.0,
        }];
        Raw {
            nodes,
            roots: vec![0],
            weights,
            targets: 1,
        }
    }

    #[test]
    fn a_tree_is_a_tree() {
        let checked = raw(vec![branch(1, 2), LEAF, LEAF]).check().unwrap();
        assert_eq!(
            checked,
            Checked {
                features: 4,
                tree_shaped: true
            }
        );
    }

    #[test]
    fn a_shared_child_is_told() {
        let checked = raw(vec![branch(1, 2), LEAF, branch(1, 3), LEAF])
            .check()
            .unwrap();
        assert!(!checked.tree_shaped);
    }

    #[test]
    fn cycles_are_refused() {
        let err = raw(vec![branch(1, 2), LEAF, branch(0, 1)])
            .check()
            .unwrap_err();
        assert!(err.to_string().contains("cycle"), "{err}");
        let err = raw(vec![branch(0, 0)]).check().unwrap_err();
        assert!(err.to_string().contains("cycle"), "{err}");
    }

    #[test]
    fn children_and_targets_out_of_range_are_refused() {
        assert!(raw(vec![branch(1, 9), LEAF]).check().is_err());
        let mut wrong = raw(vec![LEAF]);
        wrong.weights[0].target = 1;
        assert!(wrong.check().is_err());
        wrong.weights.clear();
        assert!(wrong.check().is_err());
    }

    #[test]
    fn a_chain_a_million_deep_is_checked_without_recursion() {
        let n = 1_000_000u32;
        let mut nodes: Vec<RawNode> = (0..n).map(|i| branch(n, i + 1)).collect();
        nodes.push(LEAF);
        assert!(!raw(nodes).check().unwrap().tree_shaped);
    }
}
