//! Does the model score here as it did where it was trained? Test vectors say: inputs, and what came out there.
//!
//! An exported pipeline can differ from its own framework: one scales in float32, the other in float64. Better to see it
//! at registration than in production.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Kind, Matrix, Model, Values};

/// Inputs, and the outputs of the framework that trained the model; `vectors` beside `model` and `manifest`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ModelVectors)]
pub struct Vectors {
    /// How far a number may be from the expected one, absolutely below 1 and relatively above it.
    #[serde(default = "default_tolerance")]
    pub tolerance: f64,
    pub inputs: Vec<Array>,
    /// Any of the model's outputs.
    pub outputs: Vec<Array>,
}

/// A named array, row-major.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NamedArray)]
pub struct Array {
    pub name: String,
    /// `float`, `double`, `int64`, `bool` or `string`, as ONNX calls them; informative, the model's own type counts.
    #[serde(default, rename = "type")]
    pub element_type: Option<String>,
    /// `[rows]` or `[rows, columns]`.
    pub shape: Vec<usize>,
    pub data: Vec<Datum>,
}

/// A number, a truth or a text. What JSON cannot say stands as the text `NaN`, `Infinity` or `-Infinity`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Datum {
    Integer(i64),
    Number(f64),
    Bool(bool),
    Text(String),
}

/// What the comparison showed; kept with the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ParityReport)]
pub struct Report {
    pub rows: usize,
    pub values: usize,
    pub tolerance: f64,
    /// The largest difference of all numbers, scaled as the tolerance is.
    pub worst: f64,
}

fn default_tolerance() -> f64 {
    1e-6
}

impl Vectors {
    pub fn from_json(bytes: &[u8]) -> Result<Vectors, String> {
        serde_json::from_slice(bytes).map_err(|error| {
            let form = r#"{"tolerance": 1e-6, "inputs": [{"name", "shape": [rows, columns], "data": […]}], "outputs": […]}"#;
            format!("the test vectors cannot be read: {error}; their form is {form}")
        })
    }

    /// Scores the inputs and compares; a sentence that shows the worst row where they differ by more than the tolerance.
    pub fn compare(&self, model: &dyn Model) -> Result<Report, String> {
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(format!("the tolerance is {}", self.tolerance));
        }
        let rows = self
            .inputs
            .first()
            .and_then(|input| input.shape.first())
            .copied()
            .unwrap_or(0);
        if rows == 0 || self.outputs.is_empty() {
            return Err("the test vectors hold no rows, or no outputs".to_owned());
        }
        let mut inputs = Vec::new();
        for tensor in model.inputs() {
            let array = find(&self.inputs, &tensor.name)?;
            array.check(rows, tensor.columns)?;
            inputs.push(array.matrix(tensor.kind, tensor.columns)?);
        }
        let found = model.run(rows, inputs)?;
        let mut report = Report {
            rows,
            values: 0,
            tolerance: self.tolerance,
            worst: 0.0,
        };
        let mut worst = None;
        for array in &self.outputs {
            let names = || {
                model
                    .outputs()
                    .iter()
                    .map(|output| output.name.clone())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let at = model
                .outputs()
                .iter()
                .position(|output| output.name == array.name)
                .ok_or_else(|| {
                    format!(
                        "the test vectors name an output \"{}\"; there are {}",
                        array.name,
                        names()
                    )
                })?;
            let matrix = &found[at];
            array.check(rows, matrix.columns)?;
            for (index, expected) in array.data.iter().enumerate() {
                let difference = difference(matrix, index, expected);
                report.values += 1;
                if difference > report.worst {
                    report.worst = difference;
                    worst = Some((array, index, expected, shown(matrix, index)));
                }
            }
        }
        match worst {
            Some((array, index, expected, found)) if report.worst > self.tolerance => {
                let (row, column) = (index / found_columns(array), index % found_columns(array));
                Err(format!(
                    "its test vectors differ by up to {:e}, more than the tolerance of {:e}; the worst is row {row} of \
                     \"{}\", column {column}: {found} here, {} where it was trained, of the inputs {}",
                    report.worst,
                    self.tolerance,
                    array.name,
                    text(expected),
                    self.row(row)
                ))
            }
            _ => Ok(report),
        }
    }

    /// The inputs of a row, for a person.
    fn row(&self, row: usize) -> String {
        let input = |array: &Array| {
            let columns = found_columns(array);
            let values: Vec<String> = array.data[row * columns..(row + 1) * columns]
                .iter()
                .map(text)
                .collect();
            format!("{} = [{}]", array.name, values.join(", "))
        };
        self.inputs.iter().map(input).collect::<Vec<_>>().join("; ")
    }
}

impl Array {
    fn check(&self, rows: usize, columns: usize) -> Result<(), String> {
        let size: Option<usize> = self
            .shape
            .iter()
            .try_fold(1_usize, |size, &dim| size.checked_mul(dim));
        if self.shape.first() == Some(&rows)
            && size == Some(rows * columns)
            && self.data.len() == rows * columns
        {
            return Ok(());
        }
        Err(format!(
            "the test vectors' \"{}\" has shape {:?} and {} values; [{rows}, {columns}] is wanted",
            self.name,
            self.shape,
            self.data.len()
        ))
    }

    fn matrix(&self, kind: Kind, columns: usize) -> Result<Matrix, String> {
        let wrong = |datum: &Datum| {
            format!(
                "the test vectors' \"{}\" holds {} for {kind:?}",
                self.name,
                text(datum)
            )
        };
        fn all<T>(
            data: &[Datum],
            of: impl Fn(&Datum) -> Option<T>,
            wrong: impl Fn(&Datum) -> String,
        ) -> Result<Vec<T>, String> {
            data.iter()
                .map(|datum| of(datum).ok_or_else(|| wrong(datum)))
                .collect()
        }
        let values = match kind {
            Kind::F32 => Values::F32(all(
                &self.data,
                |datum| number(datum).map(|value| value as f32),
                wrong,
            )?),
            Kind::F64 => Values::F64(all(&self.data, number, wrong)?),
            Kind::I64 => Values::I64(all(&self.data, integer, wrong)?),
            Kind::Bool => Values::Bool(all(
                &self.data,
                |datum| integer(datum).map(|value| value != 0),
                wrong,
            )?),
            Kind::Text => Values::Text(self.data.iter().map(text).collect()),
        };
        Ok(Matrix { columns, values })
    }
}

fn find<'a>(arrays: &'a [Array], name: &str) -> Result<&'a Array, String> {
    arrays
        .iter()
        .find(|array| array.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
            format!(
                "the test vectors have no input \"{name}\"; there are {}",
                names.join(", ")
            )
        })
}

fn found_columns(array: &Array) -> usize {
    array.shape[1..].iter().product()
}

/// 0 where they are the same, infinity where they cannot be compared.
fn difference(matrix: &Matrix, index: usize, expected: &Datum) -> f64 {
    let equal = |same: bool| if same { 0.0 } else { f64::INFINITY };
    let close = |found: f64| match number(expected) {
        Some(expected) if found == expected || (found.is_nan() && expected.is_nan()) => 0.0,
        Some(expected) => match (found - expected).abs() / expected.abs().max(1.0) {
            difference if difference.is_nan() => f64::INFINITY,
            difference => difference,
        },
        None => f64::INFINITY,
    };
    match &matrix.values {
        Values::F32(values) => close(f64::from(values[index])),
        Values::F64(values) => close(values[index]),
        Values::I64(values) => equal(integer(expected) == Some(values[index])),
        Values::Bool(values) => equal(integer(expected) == Some(i64::from(values[index]))),
        Values::Text(values) => {
            equal(matches!(expected, Datum::Text(text) if *text == values[index]))
        }
    }
}

fn shown(matrix: &Matrix, index: usize) -> String {
    match &matrix.values {
        Values::F32(values) => values[index].to_string(),
        Values::F64(values) => values[index].to_string(),
        Values::I64(values) => values[index].to_string(),
        Values::Bool(values) => values[index].to_string(),
        Values::Text(values) => values[index].clone(),
    }
}

fn number(datum: &Datum) -> Option<f64> {
    match datum {
        Datum::Integer(value) => Some(*value as f64),
        Datum::Number(value) => Some(*value),
        Datum::Bool(value) => Some(f64::from(u8::from(*value))),
        Datum::Text(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
    }
}

fn integer(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Integer(value) => Some(*value),
        Datum::Bool(value) => Some(i64::from(*value)),
        Datum::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        _ => None,
    }
}

fn text(datum: &Datum) -> String {
    match datum {
        Datum::Integer(value) => value.to_string(),
        Datum::Number(value) => value.to_string(),
        Datum::Bool(value) => value.to_string(),
        Datum::Text(text) => text.clone(),
    }
}
