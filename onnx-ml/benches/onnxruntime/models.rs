//! Random forests of complete trees as model files, the same ones each run.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

/// Columns of a row.
pub const FEATURES: usize = 30;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1 to 1.
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// `rows` random rows.
pub fn rows(rows: usize, random: &mut Random) -> Vec<f32> {
    (0..rows * FEATURES).map(|_| random.float()).collect()
}

#[derive(Default)]
struct Trees {
    feature: Vec<i64>,
    tree: Vec<i64>,
    node: Vec<i64>,
    yes: Vec<i64>,
    no: Vec<i64>,
    value: Vec<f32>,
    mode: Vec<Vec<u8>>,
    leaf_tree: Vec<i64>,
    leaf_node: Vec<i64>,
    weight: Vec<f32>,
}

/// `trees` trees with splits on random features; each node above `depth` is a branch, except that with `ragged` one
/// in five below the second level is a leaf already. A binary classifier with a logistic, or a regression.
pub fn forest(trees: usize, depth: u32, ragged: bool, classifier: bool) -> ModelProto {
    let mut random = Random(trees as u64 * 1000 + depth as u64);
    let mut t = Trees::default();
    for tree in 0..trees as i64 {
        // Preorder, as exporters number nodes.
        let mut next = 0;
        grow(&mut t, tree, &mut next, depth, depth, ragged, &mut random);
    }
    let n = t.weight.len();
    let prefix = if classifier { "class" } else { "target" };
    let mut attributes = vec![
        ints("nodes_featureids", t.feature),
        ints("nodes_treeids", t.tree),
        ints("nodes_nodeids", t.node),
        ints("nodes_truenodeids", t.yes),
        ints("nodes_falsenodeids", t.no),
        floats("nodes_values", t.value),
        AttributeProto {
            strings: t.mode,
            ..attribute("nodes_modes", AttributeType::Strings)
        },
        ints(&format!("{prefix}_treeids"), t.leaf_tree),
        ints(&format!("{prefix}_nodeids"), t.leaf_node),
        ints(&format!("{prefix}_ids"), vec![0; n]),
        floats(&format!("{prefix}_weights"), t.weight),
    ];
    let mut outputs = vec!["scores".to_string()];
    if classifier {
        attributes.push(ints("classlabels_int64s", vec![0, 1]));
        let logistic = AttributeProto {
            s: b"LOGISTIC".to_vec(),
            ..attribute("post_transform", AttributeType::String)
        };
        attributes.push(logistic);
        outputs.insert(0, "label".into());
    } else {
        attributes.push(AttributeProto {
            i: 1,
            ..attribute("n_targets", AttributeType::Int)
        });
    }
    let op = if classifier {
        "TreeEnsembleClassifier"
    } else {
        "TreeEnsembleRegressor"
    };
    let node = NodeProto {
        input: vec!["x".into()],
        output: outputs.clone(),
        name: "trees".into(),
        op_type: op.into(),
        domain: "ai.onnx.ml".into(),
        attribute: attributes,
        ..Default::default()
    };
    let columns = if classifier { 2 } else { 1 };
    let mut infos = vec![value("scores", DataType::Float, &[None, Some(columns)])];
    if classifier {
        infos.insert(0, value("label", DataType::Int64, &[None]));
    }
    let graph = GraphProto {
        node: vec![node],
        name: "forest".into(),
        input: vec![value("x", DataType::Float, &[None, Some(FEATURES as i64)])],
        output: infos,
        ..Default::default()
    };
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: domain.into(),
        version,
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![opset("", 17), opset("ai.onnx.ml", 3)],
        graph: Some(graph),
        ..Default::default()
    }
}

fn grow(
    t: &mut Trees,
    tree: i64,
    next: &mut i64,
    depth: u32,
    left: u32,
    ragged: bool,
    random: &mut Random,
) {
    let at = t.feature.len();
    let id = *next;
    *next += 1;
    let leaf = left == 0 || (ragged && depth - left > 2 && random.next().is_multiple_of(5));
    t.tree.push(tree);
    t.node.push(id);
    t.feature.push(if leaf {
        0
    } else {
        (random.next() % FEATURES as u64) as i64
    });
    t.value.push(if leaf { 0.0 } else { random.float() * 0.8 });
    t.mode.push(if leaf {
        b"LEAF".to_vec()
    } else {
        b"BRANCH_LEQ".to_vec()
    });
    t.yes.push(0);
    t.no.push(0);
    if leaf {
        t.leaf_tree.push(tree);
        t.leaf_node.push(id);
        t.weight.push(random.float() * 0.1);
        return;
    }
    t.yes[at] = *next;
    grow(t, tree, next, depth, left - 1, ragged, random);
    t.no[at] = *next;
    grow(t, tree, next, depth, left - 1, ragged, random);
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: kind as i32,
        ..Default::default()
    }
}

fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        ints,
        ..attribute(name, AttributeType::Ints)
    }
}

fn floats(name: &str, floats: Vec<f32>) -> AttributeProto {
    AttributeProto {
        floats,
        ..attribute(name, AttributeType::Floats)
    }
}

fn value(name: &str, kind: DataType, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = |d: &Option<i64>| Dimension {
        value: Some(match d {
            Some(d) => dimension::Value::DimValue(*d),
            None => dimension::Value::DimParam("N".into()),
        }),
        ..Default::default()
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(shape),
    };
    let kind = TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..Default::default()
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(kind),
        ..Default::default()
    }
}
