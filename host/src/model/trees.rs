//! One tree ensemble and nothing else, without tract's plan and tensors between. The same code scores as in the tract
//! operator, so the bits are the same.

use std::cell::RefCell;

use tidemill_onnx_ml::{Labels, Part, Predictor, Scores, fast_path};

use super::file::File;
use super::{Kind, Matrix, Model, Tensor, Values};

pub struct TreeModel {
    predictor: Predictor,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl TreeModel {
    /// None where the graph holds more than one ensemble: tract runs it.
    pub fn load(file: &File) -> Option<TreeModel> {
        let predictor = fast_path(&file.proto)?;
        let [input] = file.inputs.as_slice() else {
            return None;
        };
        if input.columns < predictor.features() {
            return None;
        }
        let output = |(name, part): &(String, Part)| {
            let (kind, columns) = match (part, predictor.labels()) {
                (Part::Values, _) => (Kind::F32, predictor.columns()),
                (Part::Labels, Some(Labels::Ints(_))) => (Kind::I64, 1),
                (Part::Labels, Some(Labels::Strings(_))) => (Kind::Text, 1),
                (Part::Labels, None) => return None,
            };
            Some(Tensor {
                name: name.clone(),
                kind,
                columns,
            })
        };
        let outputs = predictor
            .outputs()
            .iter()
            .map(output)
            .collect::<Option<Vec<_>>>()?;
        Some(TreeModel {
            predictor,
            inputs: vec![input.clone()],
            outputs,
        })
    }

    fn output(&self, part: Part, scores: &Scores) -> Matrix {
        match (part, self.predictor.labels()) {
            (Part::Labels, Some(Labels::Ints(labels))) => {
                let values = scores
                    .labels
                    .iter()
                    .map(|&at| labels[at as usize])
                    .collect();
                Matrix {
                    columns: 1,
                    values: Values::I64(values),
                }
            }
            (Part::Labels, Some(Labels::Strings(labels))) => {
                let values = scores
                    .labels
                    .iter()
                    .map(|&at| labels[at as usize].clone())
                    .collect();
                Matrix {
                    columns: 1,
                    values: Values::Text(values),
                }
            }
            _ => Matrix {
                columns: scores.columns,
                values: Values::F32(scores.values.clone()),
            },
        }
    }
}

impl Model for TreeModel {
    fn engine(&self) -> &'static str {
        "trees"
    }

    fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    fn run(&self, rows: usize, inputs: Vec<Matrix>) -> Result<Vec<Matrix>, String> {
        // Grown once a thread, then reused.
        thread_local! { static SCORES: RefCell<Scores> = RefCell::default(); }
        let [
            Matrix {
                values: Values::F32(values),
                ..
            },
        ] = inputs.as_slice()
        else {
            return Err("it takes one matrix of f32".to_owned());
        };
        SCORES.with_borrow_mut(|scores| {
            self.predictor
                .run(rows, values, scores)
                .map_err(|error| format!("{error:#}"))?;
            Ok(self
                .predictor
                .outputs()
                .iter()
                .map(|(_, part)| self.output(*part, scores))
                .collect())
        })
    }
}
