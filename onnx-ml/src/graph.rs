//! Reading a model file's graph: its nodes, subgraphs included, and what tract or this crate cannot run.

use std::collections::{BTreeMap, HashMap};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use crate::labels::Labels;
use crate::{DOMAIN, OPERATORS};

/// What a model is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Domain (empty for the main one), operator, number of nodes; sorted by domain and operator.
    pub operators: Vec<(String, String, usize)>,
    /// Trees of all ensembles.
    pub trees: usize,
    /// Nodes of all trees, leaves included.
    pub tree_nodes: usize,
    /// Labels of the columns of score tensors, in the order of the nodes.
    pub class_labels: Vec<ClassLabels>,
}

/// The labels of one score tensor's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassLabels {
    /// The tensor's name: a classifier's scores, a `ZipMap`'s output, or what passes either on unchanged.
    pub output: String,
    /// One label a column.
    pub labels: Labels,
}

/// A node that neither tract nor this crate can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name, or its first output's where it has none.
    pub name: String,
    /// The operator.
    pub op_type: String,
    /// The operator's domain; empty for the main one.
    pub domain: String,
}

/// Every graph of the model: the main one and those in attributes (`If`, `Scan`).
pub(crate) fn graphs(proto: &ModelProto) -> Vec<&GraphProto> {
    let mut graphs: Vec<&GraphProto> = proto.graph.iter().collect();
    let mut next = 0;
    while let Some(graph) = graphs.get(next) {
        let inner = graph.node.iter().flat_map(|n| &n.attribute);
        let inner: Vec<_> = inner.flat_map(|a| a.g.iter().chain(&a.graphs)).collect();
        graphs.extend(inner);
        next += 1;
    }
    graphs
}

fn nodes(proto: &ModelProto) -> impl Iterator<Item = &NodeProto> {
    graphs(proto).into_iter().flat_map(|g| &g.node)
}

/// Counts operators, trees and classes. Nothing here fails: what does not parse counts as absent.
pub fn facts(proto: &ModelProto) -> ModelFacts {
    let mut facts = ModelFacts::default();
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    let mut labels = HashMap::<&str, Labels>::new();
    for node in nodes(proto) {
        let domain = if node.domain == "ai.onnx" {
            ""
        } else {
            &node.domain
        };
        *counts.entry((domain, &node.op_type)).or_default() += 1;
        let (trees, tree_nodes) = count_trees(node);
        facts.trees += trees;
        facts.tree_nodes += tree_nodes;
        let found = match node.op_type.as_str() {
            "TreeEnsembleClassifier" => Labels::parse(node, "classlabels_int64s")
                .ok()
                .zip(node.output.get(1)),
            "LinearClassifier" | "SVMClassifier" => Labels::parse(node, "classlabels_ints")
                .ok()
                .zip(node.output.get(1)),
            "ZipMap" => Labels::parse(node, "classlabels_int64s")
                .ok()
                .zip(node.output.first()),
            "Identity" | "Cast" | "Normalizer" | "Clip" => {
                let passed = node.input.first().and_then(|i| labels.get(i.as_str()));
                passed.cloned().zip(node.output.first())
            }
            _ => None,
        };
        if let Some((found, output)) = found {
            labels.insert(output, found.clone());
            facts.class_labels.push(ClassLabels {
                output: output.clone(),
                labels: found,
            });
        }
    }
    facts.operators = counts
        .into_iter()
        .map(|((d, o), n)| (d.to_string(), o.to_string(), n))
        .collect();
    facts
}

/// Trees and tree nodes of one node.
fn count_trees(node: &NodeProto) -> (usize, usize) {
    let ints = |name: &str| {
        node.attribute
            .iter()
            .find(|a| a.name == name)
            .map(|a| &a.ints[..])
            .unwrap_or_default()
    };
    match node.op_type.as_str() {
        "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => {
            let trees = ints("nodes_treeids");
            let changes = trees.windows(2).filter(|pair| pair[0] != pair[1]).count();
            (changes + !trees.is_empty() as usize, trees.len())
        }
        "TreeEnsemble" => {
            let leaves = ints("leaf_targetids").len();
            (
                ints("tree_roots").len(),
                ints("nodes_featureids").len() + leaves,
            )
        }
        _ => (0, 0),
    }
}

/// Every node of the model whose operator neither tract nor this crate supports.
pub fn unsupported(proto: &ModelProto) -> Vec<UnsupportedNode> {
    let tract = tract_onnx::onnx();
    let supported = |node: &NodeProto| match node.domain.as_str() {
        DOMAIN => OPERATORS.contains(&node.op_type.as_str()),
        // tract looks operators up by name alone, so an operator of this domain is not one of another.
        _ => {
            let name = node.op_type.as_str();
            tract.op_register.0.contains_key(name) && !OPERATORS.contains(&name)
        }
    };
    let missing = nodes(proto).filter(|n| !supported(n));
    missing
        .map(|node| UnsupportedNode {
            name: match node.name.as_str() {
                "" => node.output.first().cloned().unwrap_or_default(),
                name => name.to_string(),
            },
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
        })
        .collect()
}
