//! What is refused before tract sees it, each in words: tract is not written for files from strangers, and some of
//! these would make it panic or ask for all the memory there is.

use std::collections::HashSet;

use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use crate::attrs::check_payload;
use crate::graph::{graphs, unsupported};
use crate::{DOMAIN, OPERATORS};

/// The most elements a model may ask for in one constant or in one fixed dimension of an input.
const ELEMENTS: i64 = 1 << 28;

/// Operators whose inputs are sizes of what they make.
const SIZED: &[&str] = &[
    "ConstantOfShape",
    "EyeLike",
    "Expand",
    "OneHot",
    "Pad",
    "Range",
    "Resize",
    "Tile",
    "Upsample",
];

/// Checks a decoded model file before it is given to tract.
///
/// # Errors
///
/// In words and with names: there is no graph; an operator is not supported (with the list of what is); a graph
/// input is no tensor; a name is used before it is made, or made twice; a graph output is never made; a tensor's data
/// are outside the file or shorter than its shape; a constant size asks for more than 2²⁸ elements.
pub fn check(proto: &ModelProto) -> TractResult<()> {
    let graph = proto.graph.as_ref().context("the file has no graph")?;
    let missing = unsupported(proto);
    if !missing.is_empty() {
        let list: Vec<String> = missing
            .iter()
            .take(10)
            .map(|m| match m.domain.as_str() {
                "" => format!("{} (node {:?})", m.op_type, m.name),
                domain => format!("{domain}.{} (node {:?})", m.op_type, m.name),
            })
            .collect();
        bail!(
            "{} node(s) with an operator that is not supported: {}; supported of {DOMAIN} are {}, of the main domain \
             those of tract",
            missing.len(),
            list.join(", "),
            OPERATORS.join(", ")
        );
    }
    for graph in graphs(proto) {
        graph.initializer.iter().try_for_each(check_tensor)?;
        for node in &graph.node {
            check_node(node).with_context(|| format!("node {:?} ({})", node.name, node.op_type))?;
        }
        ensure!(
            graph.sparse_initializer.is_empty(),
            "sparse initializers are not supported"
        );
    }
    check_inputs(graph)?;
    check_names(graph)?;
    check_sizes(graph)
}

/// Runs `work`, and turns a panic in it into an error that tells where it was. For what tract does with a model of a
/// stranger's: loading, optimising, and a first run, whose shapes and constants are as odd as whoever made the file
/// wished. ([`check()`] refuses what is known to go wrong; tract asserts more than it says.) The panic hook is called
/// as ever. Without effect where panics abort.
///
/// # Errors
///
/// Those of `work`, and "panicked" with the panic's message.
pub fn guard<T>(work: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    // What `work` was making is dropped or never returned, so nothing half-made is seen afterwards.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
            bail!("tract panicked: {}", text.unwrap_or("without a message"))
        }
    }
}

fn check_tensor(tensor: &TensorProto) -> TractResult<()> {
    check_payload(tensor).with_context(|| format!("tensor {:?}", tensor.name))
}

fn check_node(node: &NodeProto) -> TractResult<()> {
    for attribute in &node.attribute {
        attribute
            .t
            .iter()
            .chain(&attribute.tensors)
            .try_for_each(check_tensor)?;
        ensure!(
            attribute.sparse_tensor.is_none() && attribute.sparse_tensors.is_empty(),
            "sparse constants are not supported"
        );
        if attribute.name == "shape" || attribute.name == "value_ints" {
            check_size(&attribute.ints)?;
        }
        if attribute.name.starts_with("num_") {
            // Counts of inputs and outputs, for which tract makes room before it counts.
            let most = node.input.len().max(node.output.len()) as i64;
            ensure!(
                attribute.i <= most,
                "{} is {}, the node has {most}",
                attribute.name,
                attribute.i
            );
        }
        if node.op_type == "Transpose" && attribute.name == "perm" {
            // tract looks for the axis it wants until it finds it.
            let n = attribute.ints.len() as i64;
            let every = (0..n).all(|axis| attribute.ints.contains(&axis));
            ensure!(
                n <= 16 && every,
                "perm {:?} is no permutation",
                attribute.ints
            );
        }
    }
    Ok(())
}

fn check_inputs(graph: &GraphProto) -> TractResult<()> {
    for input in &graph.input {
        let kind = input.r#type.as_ref().and_then(|t| t.value.as_ref());
        let Some(Value::TensorType(kind)) = kind else {
            bail!(
                "the input {:?} is no tensor: maps and sequences are not taken",
                input.name
            );
        };
        let dims = kind
            .shape
            .iter()
            .flat_map(|s| &s.dim)
            .filter_map(|d| match d.value {
                Some(tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue(v)) => Some(v),
                _ => None,
            });
        check_size(&dims.collect::<Vec<_>>()).with_context(|| format!("input {:?}", input.name))?;
    }
    Ok(())
}

/// Names of the main graph; those of inner graphs may refer to outer ones and are left to tract.
fn check_names(graph: &GraphProto) -> TractResult<()> {
    let mut made: HashSet<&str> = HashSet::new();
    made.extend(graph.initializer.iter().map(|i| i.name.as_str()));
    for input in &graph.input {
        // An initializer of the same name is the input's default value.
        ensure!(
            made.insert(&input.name) || graph.initializer.iter().any(|i| i.name == input.name),
            "the name {:?} is given twice",
            input.name
        );
    }
    for node in &graph.node {
        for input in node.input.iter().filter(|i| !i.is_empty()) {
            ensure!(
                made.contains(input.as_str()),
                "node {:?} uses {input:?}, which nothing before it makes",
                node.name
            );
        }
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            ensure!(made.insert(output), "the name {output:?} is given twice");
        }
    }
    ensure!(!graph.output.is_empty(), "the graph has no output");
    for output in &graph.output {
        ensure!(
            made.contains(output.name.as_str()),
            "nothing makes the output {:?}",
            output.name
        );
    }
    Ok(())
}

/// Constants that say how large something is to be.
fn check_sizes(graph: &GraphProto) -> TractResult<()> {
    for node in graph
        .node
        .iter()
        .filter(|n| SIZED.contains(&n.op_type.as_str()))
    {
        for input in &node.input {
            let constant = graph.initializer.iter().find(|i| i.name == *input);
            let made = || {
                let maker = graph
                    .node
                    .iter()
                    .find(|n| n.op_type == "Constant" && n.output.contains(input))?;
                maker.attribute.iter().find_map(|a| a.t.as_ref())
            };
            let Some(constant) = constant.or_else(made) else {
                continue;
            };
            let mut sizes = constant.int64_data.clone();
            if constant.data_type == tract_onnx::pb::tensor_proto::DataType::Int64 as i32 {
                let raw = constant.raw_data.chunks_exact(8);
                sizes.extend(raw.filter_map(|b| Some(i64::from_le_bytes(b.try_into().ok()?))));
            }
            check_size(&sizes)
                .with_context(|| format!("node {:?} ({})", node.name, node.op_type))?;
        }
    }
    Ok(())
}

fn check_size(dims: &[i64]) -> TractResult<()> {
    let volume = dims
        .iter()
        .filter(|&&d| d > 1)
        .try_fold(1i64, |v, &d| v.checked_mul(d));
    ensure!(
        volume.is_some_and(|v| v <= ELEMENTS),
        "a size of {dims:?} is over the limit of {ELEMENTS} elements"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::ValueInfoProto;

    fn node(op: &str, domain: &str, input: &str, output: &str) -> NodeProto {
        NodeProto {
            name: "n".into(),
            op_type: op.into(),
            domain: domain.into(),
            input: vec![input.into()],
            output: vec![output.into()],
            ..Default::default()
        }
    }

    fn model(nodes: Vec<NodeProto>, input: &str, output: &str) -> ModelProto {
        let tensor = tract_onnx::pb::type_proto::Tensor {
            elem_type: 1,
            shape: None,
        };
        let kind = tract_onnx::pb::TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..Default::default()
        };
        let input = ValueInfoProto {
            name: input.into(),
            r#type: Some(kind),
            ..Default::default()
        };
        let output = ValueInfoProto {
            name: output.into(),
            ..Default::default()
        };
        let graph = GraphProto {
            node: nodes,
            input: vec![input],
            output: vec![output],
            ..Default::default()
        };
        ModelProto {
            graph: Some(graph),
            ..Default::default()
        }
    }

    fn refusal(proto: &ModelProto) -> String {
        format!("{:#}", check(proto).unwrap_err())
    }

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guard(|| Ok(1)).unwrap(), 1);
        let said = guard(|| -> TractResult<()> { panic!("index {}", 7) })
            .unwrap_err()
            .to_string();
        assert_eq!(said, "tract panicked: index 7");
    }

    #[test]
    fn a_plain_model_passes() {
        check(&model(vec![node("Relu", "", "x", "y")], "x", "y")).unwrap();
    }

    #[test]
    fn no_graph() {
        assert!(refusal(&ModelProto::default()).contains("no graph"));
    }

    #[test]
    fn an_unknown_operator_is_named_with_its_node_and_the_list() {
        let said = refusal(&model(
            vec![node("CastMap", "ai.onnx.ml", "x", "y")],
            "x",
            "y",
        ));
        for word in ["CastMap", "\"n\"", "TreeEnsembleClassifier", "ZipMap"] {
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn names_must_be_made_before_they_are_used_and_once() {
        assert!(
            refusal(&model(vec![node("Relu", "", "z", "y")], "x", "y"))
                .contains("nothing before it makes")
        );
        assert!(
            refusal(&model(vec![node("Relu", "", "x", "y")], "x", "z"))
                .contains("nothing makes the output")
        );
        let twice = vec![node("Relu", "", "x", "y"), node("Relu", "", "x", "y")];
        assert!(refusal(&model(twice, "x", "y")).contains("twice"));
    }

    #[test]
    fn external_data_and_short_data_are_refused() {
        let mut proto = model(vec![node("Relu", "", "x", "y")], "x", "y");
        let tensor = TensorProto {
            dims: vec![1 << 40],
            data_type: 1,
            name: "t".into(),
            ..Default::default()
        };
        proto.graph.as_mut().unwrap().initializer = vec![tensor.clone()];
        assert!(refusal(&proto).contains("shorter"));
        let outside = TensorProto {
            external_data: vec![Default::default()],
            dims: vec![],
            ..tensor
        };
        proto.graph.as_mut().unwrap().initializer = vec![outside];
        assert!(refusal(&proto).contains("external data"));
    }

    #[test]
    fn an_input_that_is_no_tensor_is_refused() {
        let mut proto = model(vec![node("Relu", "", "x", "y")], "x", "y");
        proto.graph.as_mut().unwrap().input[0].r#type = None;
        assert!(refusal(&proto).contains("no tensor"));
    }

    #[test]
    fn a_constant_size_over_the_limit_is_refused() {
        let mut proto = model(vec![node("ConstantOfShape", "", "s", "y")], "x", "y");
        let shape = TensorProto {
            dims: vec![2],
            data_type: 7,
            int64_data: vec![1 << 20, 1 << 20],
            name: "s".into(),
            ..Default::default()
        };
        proto.graph.as_mut().unwrap().initializer = vec![shape];
        assert!(refusal(&proto).contains("over the limit"));
    }
}
