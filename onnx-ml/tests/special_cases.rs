//! The special cases of tree ensembles, one a test, on models small enough to reckon by hand. The expected numbers
//! are what ONNX Runtime 1.31 answers to the same models.

mod common;

use tidemill_onnx_ml::{Scores, fast_path, onnx};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::*;
use tract_onnx::prelude::*;

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: kind as i32,
        ..Default::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: ints.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: floats.to_vec(),
        ..attribute(name, AttributeType::Floats)
    }
}

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        s: text.into(),
        ..attribute(name, AttributeType::String)
    }
}

fn texts(name: &str, texts: &[&str]) -> AttributeProto {
    let strings = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
    AttributeProto {
        strings,
        ..attribute(name, AttributeType::Strings)
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        i,
        ..attribute(name, AttributeType::Int)
    }
}

/// A model of one operator on `[N, 1]` numbers.
fn model(
    op: &str,
    outputs: &[&str],
    kind: DataType,
    attributes: Vec<AttributeProto>,
) -> ModelProto {
    let dims = [
        dimension::Value::DimParam("N".into()),
        dimension::Value::DimValue(1),
    ];
    let dim = dims
        .map(|d| Dimension {
            value: Some(d),
            ..Default::default()
        })
        .to_vec();
    let tensor = type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(TensorShapeProto { dim }),
    };
    let kind = TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..Default::default()
    };
    let node = NodeProto {
        name: "the-trees".into(),
        op_type: op.into(),
        domain: "ai.onnx.ml".into(),
        input: vec!["x".into()],
        output: outputs.iter().map(|o| o.to_string()).collect(),
        attribute: attributes,
        ..Default::default()
    };
    let output = |o: &&str| ValueInfoProto {
        name: o.to_string(),
        ..Default::default()
    };
    let graph = GraphProto {
        node: vec![node],
        input: vec![ValueInfoProto {
            name: "x".into(),
            r#type: Some(kind),
            ..Default::default()
        }],
        output: outputs.iter().map(output).collect(),
        ..Default::default()
    };
    ModelProto {
        graph: Some(graph),
        ..Default::default()
    }
}

/// Stumps, a tree each: `x MODE threshold`, and what the true and the false leaf add to `(class or target, weight)`.
struct Stump {
    mode: &'static str,
    threshold: f32,
    nan_true: bool,
    yes: (i64, f32),
    no: (i64, f32),
}

fn stump(yes: (i64, f32), no: (i64, f32)) -> Stump {
    Stump {
        mode: "BRANCH_LEQ",
        threshold: 0.0,
        nan_true: false,
        yes,
        no,
    }
}

fn stumps(prefix: &str, stumps: &[Stump]) -> Vec<AttributeProto> {
    let n = stumps.len() as i64;
    let every = |three: [i64; 3]| (0..n).flat_map(|_| three).collect::<Vec<_>>();
    let leaves: Vec<(i64, f32)> = stumps.iter().flat_map(|s| [s.yes, s.no]).collect();
    let modes: Vec<&str> = stumps
        .iter()
        .flat_map(|s| [s.mode, "LEAF", "LEAF"])
        .collect();
    let name = |s: &str| format!("{prefix}_{s}");
    vec![
        ints(
            "nodes_treeids",
            &(0..n).flat_map(|t| [t; 3]).collect::<Vec<_>>(),
        ),
        ints("nodes_nodeids", &every([0, 1, 2])),
        ints("nodes_featureids", &every([0, 0, 0])),
        ints("nodes_truenodeids", &every([1, 0, 0])),
        ints("nodes_falsenodeids", &every([2, 0, 0])),
        ints(
            "nodes_missing_value_tracks_true",
            &stumps
                .iter()
                .flat_map(|s| [s.nan_true as i64, 0, 0])
                .collect::<Vec<_>>(),
        ),
        floats(
            "nodes_values",
            &stumps
                .iter()
                .flat_map(|s| [s.threshold, 0.0, 0.0])
                .collect::<Vec<_>>(),
        ),
        texts("nodes_modes", &modes),
        ints(
            &name("treeids"),
            &(0..n).flat_map(|t| [t; 2]).collect::<Vec<_>>(),
        ),
        ints(
            &name("nodeids"),
            &(0..n).flat_map(|_| [1, 2]).collect::<Vec<_>>(),
        ),
        ints(
            &name("ids"),
            &leaves.iter().map(|l| l.0).collect::<Vec<_>>(),
        ),
        floats(
            &name("weights"),
            &leaves.iter().map(|l| l.1).collect::<Vec<_>>(),
        ),
    ]
}

fn regressor(trees: &[Stump], more: Vec<AttributeProto>) -> ModelProto {
    let mut attributes = stumps("target", trees);
    attributes.extend(more);
    model("TreeEnsembleRegressor", &["y"], DataType::Float, attributes)
}

fn classifier(trees: &[Stump], more: Vec<AttributeProto>) -> ModelProto {
    let mut attributes = stumps("class", trees);
    attributes.extend(more);
    model(
        "TreeEnsembleClassifier",
        &["label", "y"],
        DataType::Float,
        attributes,
    )
}

/// The scores of `[x]`, by tract's plan and, checked to be the same, by the direct path.
fn scores(proto: &ModelProto, x: f32) -> Vec<f32> {
    let plan = common::plan(proto).unwrap();
    let outputs = common::run(&plan, &[Tensor::from_shape(&[1, 1], &[x]).unwrap()]).unwrap();
    let scores = outputs
        .last()
        .unwrap()
        .try_as_plain_ram()
        .unwrap()
        .as_slice::<f32>()
        .unwrap()
        .to_vec();
    let mut direct = Scores::default();
    fast_path(proto).unwrap().run(1, &[x], &mut direct).unwrap();
    assert_eq!(direct.values, scores);
    scores
}

fn label(proto: &ModelProto, x: f32) -> Tensor {
    let plan = common::plan(proto).unwrap();
    common::run(&plan, &[Tensor::from_shape(&[1, 1], &[x]).unwrap()])
        .unwrap()
        .remove(0)
}

fn refusal(proto: &ModelProto) -> String {
    format!("{:#}", onnx().parse(proto, None).unwrap_err())
}

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

#[test]
fn every_mode_at_below_and_above_the_threshold_and_for_a_missing_value() {
    for (mode, below, at, above, missing) in [
        ("BRANCH_LEQ", 1.0, 1.0, 0.0, 0.0),
        ("BRANCH_LT", 1.0, 0.0, 0.0, 0.0),
        ("BRANCH_GTE", 0.0, 1.0, 1.0, 0.0),
        ("BRANCH_GT", 0.0, 0.0, 1.0, 0.0),
        ("BRANCH_EQ", 0.0, 1.0, 0.0, 0.0),
        ("BRANCH_NEQ", 1.0, 0.0, 1.0, 1.0),
    ] {
        for nan_true in [false, true] {
            let tree = Stump {
                mode,
                threshold: 2.0,
                nan_true,
                yes: (0, 1.0),
                no: (0, 0.0),
            };
            let proto = regressor(&[tree], vec![int("n_targets", 1)]);
            for (x, expected) in [
                (1.999_999_9, below),
                (2.0, at),
                (2.000_000_2, above),
                (NAN, if nan_true { 1.0 } else { missing }),
            ] {
                assert_eq!(
                    scores(&proto, x),
                    [expected],
                    "{mode} {x} nan_true {nan_true}"
                );
            }
        }
    }
}

#[test]
fn infinite_and_undefined_thresholds() {
    for (mode, threshold, x, expected) in [
        ("BRANCH_LT", -INF, -INF, 0.0),
        ("BRANCH_GTE", -INF, -INF, 1.0),
        ("BRANCH_LEQ", INF, INF, 1.0),
        ("BRANCH_GT", INF, INF, 0.0),
        ("BRANCH_LEQ", NAN, 0.0, 0.0),
        ("BRANCH_GTE", NAN, 0.0, 0.0),
        ("BRANCH_GT", NAN, NAN, 0.0),
        ("BRANCH_LT", 0.0, -0.0, 0.0),
    ] {
        let tree = Stump {
            mode,
            threshold,
            nan_true: false,
            yes: (0, 1.0),
            no: (0, 0.0),
        };
        let got = scores(&regressor(&[tree], vec![int("n_targets", 1)]), x);
        assert_eq!(got, [expected], "{x} {mode} {threshold}");
    }
}

#[test]
fn aggregates_of_one_target() {
    let trees = || {
        [
            stump((0, 1.0), (0, 9.0)),
            stump((0, 2.5), (0, 9.0)),
            stump((0, -4.0), (0, 9.0)),
        ]
    };
    for (aggregate, expected) in [
        ("SUM", 0.5),
        ("AVERAGE", 0.833_333_3),
        ("MIN", -3.0),
        ("MAX", 3.5),
    ] {
        let proto = regressor(
            &trees(),
            vec![
                int("n_targets", 1),
                text("aggregate_function", aggregate),
                floats("base_values", &[1.0]),
            ],
        );
        assert_eq!(scores(&proto, -1.0), [expected], "{aggregate}");
    }
}

#[test]
fn a_target_no_leaf_reaches_is_zero_whatever_its_base() {
    let proto = regressor(
        &[stump((0, 1.0), (2, 2.0))],
        vec![
            int("n_targets", 3),
            floats("base_values", &[10.0, 20.0, 30.0]),
        ],
    );
    assert_eq!(scores(&proto, -1.0), [11.0, 0.0, 0.0]);
    assert_eq!(scores(&proto, 1.0), [0.0, 0.0, 32.0]);
}

#[test]
fn one_target_passes_every_post_transform_but_probit_through() {
    for (post, expected) in [
        ("NONE", 0.75),
        ("LOGISTIC", 0.75),
        ("SOFTMAX", 0.75),
        ("PROBIT", 0.674_2),
    ] {
        let proto = regressor(
            &[stump((0, 0.75), (0, 0.0))],
            vec![int("n_targets", 1), text("post_transform", post)],
        );
        assert!((scores(&proto, -1.0)[0] - expected).abs() < 1e-3, "{post}");
    }
}

#[test]
fn binary_with_one_weighted_class_and_positive_weights() {
    let trees = [stump((0, 0.25), (0, 0.75))];
    let proto = classifier(&trees, vec![ints("classlabels_int64s", &[7, 9])]);
    assert_eq!(scores(&proto, -1.0), [0.75, 0.25]);
    assert_eq!(label(&proto, -1.0), tensor1(&[7i64]));
    assert_eq!(label(&proto, 1.0), tensor1(&[9i64]));
}

#[test]
fn binary_with_one_weighted_class_and_margins() {
    let trees = || [stump((0, -0.5), (0, 0.5))];
    let plain = classifier(&trees(), vec![ints("classlabels_int64s", &[7, 9])]);
    assert_eq!(scores(&plain, -1.0), [0.5, -0.5]);
    assert_eq!(label(&plain, -1.0), tensor1(&[7i64]));
    let logistic = classifier(
        &trees(),
        vec![
            texts("classlabels_strings", &["no", "yes"]),
            text("post_transform", "LOGISTIC"),
        ],
    );
    let got = scores(&logistic, 1.0);
    assert!((got[1] - 0.622_459_35).abs() < 1e-6 && (got[0] + got[1] - 1.0).abs() < 1e-6);
    assert_eq!(label(&logistic, 1.0), tensor1(&["yes".to_string()]));
}

#[test]
fn binary_with_two_base_values_and_no_leaf_of_the_second_class() {
    let proto = classifier(
        &[stump((0, -0.5), (0, 0.5))],
        vec![
            ints("classlabels_int64s", &[0, 1]),
            floats("base_values", &[0.125, 0.25]),
        ],
    );
    assert_eq!(scores(&proto, 1.0), [0.625, 0.0]);
    assert_eq!(label(&proto, 1.0), tensor1(&[1i64]));
}

#[test]
fn binary_with_both_classes_weighted_answers_zero_or_one() {
    let proto = classifier(
        &[stump((0, 0.5), (1, 0.5))],
        vec![ints("classlabels_int64s", &[7, 9])],
    );
    assert_eq!(label(&proto, 1.0), tensor1(&[1i64]));
    assert_eq!(scores(&proto, 1.0), [0.0, 0.5]);
}

#[test]
fn several_classes_choose_among_those_reached() {
    let trees = || [stump((1, -2.0), (2, 3.0)), stump((1, -1.0), (0, 1.0))];
    let proto = classifier(&trees(), vec![ints("classlabels_int64s", &[10, 20, 30])]);
    // The only class with a vote wins, negative as it is.
    assert_eq!(label(&proto, -1.0), tensor1(&[20i64]));
    assert_eq!(scores(&proto, -1.0), [0.0, -3.0, 0.0]);
    assert_eq!(label(&proto, 1.0), tensor1(&[30i64]));
    let base = classifier(
        &trees(),
        vec![
            ints("classlabels_int64s", &[10, 20, 30]),
            floats("base_values", &[0.5, 0.0, -9.0]),
        ],
    );
    assert_eq!(label(&base, -1.0), tensor1(&[10i64]));
    assert_eq!(scores(&base, -1.0), [0.5, -3.0, -9.0]);
}

#[test]
fn doubles_are_compared_as_doubles() {
    let attributes = {
        let mut a = stumps("target", &[stump((0, 1.0), (0, 0.0))]);
        a.push(int("n_targets", 1));
        a
    };
    let proto = model(
        "TreeEnsembleRegressor",
        &["y"],
        DataType::Double,
        attributes,
    );
    assert!(fast_path(&proto).is_none());
    let plan = common::plan(&proto).unwrap();
    // Rounded to float32 this is zero, which is at most the threshold.
    let got = common::run(
        &plan,
        &[Tensor::from_shape(&[2, 1], &[1e-60f64, -1e-60]).unwrap()],
    )
    .unwrap();
    assert_eq!(got[0], Tensor::from_shape(&[2, 1], &[0f32, 1.0]).unwrap());
}

#[test]
fn what_is_wrong_is_refused_with_the_name_of_the_node() {
    let good = || regressor(&[stump((0, 1.0), (0, 0.0))], vec![int("n_targets", 1)]);
    onnx().parse(&good(), None).unwrap();
    let broken = |name: &str, ints: &[i64]| {
        let mut proto = good();
        let attributes = &mut proto.graph.as_mut().unwrap().node[0].attribute;
        attributes.iter_mut().find(|a| a.name == name).unwrap().ints = ints.to_vec();
        refusal(&proto)
    };
    for (name, values, word) in [
        ("nodes_truenodeids", &[5i64, 0, 0][..], "no node 5"),
        ("nodes_truenodeids", &[0, 0, 0], "cycle"),
        ("nodes_truenodeids", &[1, 0], "3 entries"),
        ("nodes_featureids", &[-1, 0, 0], "-1 is not an index"),
        ("nodes_featureids", &[i64::MAX, 0, 0], "is not an index"),
        ("nodes_nodeids", &[0, 1, 1], "twice"),
        ("target_nodeids", &[1, 1], "no weight"),
        ("target_nodeids", &[1, 9], "no node 9"),
        ("target_ids", &[0, 1], "target 1"),
        ("nodes_missing_value_tracks_true", &[1], "3 entries or none"),
    ] {
        let said = broken(name, values);
        assert!(
            said.contains(word) && said.contains("the-trees"),
            "{name} {values:?}: {said}"
        );
    }
    let mut proto = good();
    let attributes = &mut proto.graph.as_mut().unwrap().node[0].attribute;
    attributes
        .iter_mut()
        .find(|a| a.name == "n_targets")
        .unwrap()
        .i = 1 << 30;
    assert!(refusal(&proto).contains("targets"), "{}", refusal(&proto));
}

#[test]
fn a_row_too_short_is_refused() {
    let mut proto = regressor(&[stump((0, 1.0), (0, 0.0))], vec![int("n_targets", 1)]);
    let attributes = &mut proto.graph.as_mut().unwrap().node[0].attribute;
    attributes
        .iter_mut()
        .find(|a| a.name == "nodes_featureids")
        .unwrap()
        .ints = vec![4, 0, 0];
    let said = format!("{:#}", common::plan(&proto).unwrap_err());
    assert!(said.contains("5 features"), "{said}");
    let predictor = fast_path(&proto).unwrap();
    let said = predictor
        .run(2, &[0.0; 6], &mut Scores::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("5 features") && said.contains("3"), "{said}");
    assert!(
        predictor
            .run(2, &[0.0; 11], &mut Scores::default())
            .is_err()
    );
}
