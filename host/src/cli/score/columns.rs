//! The columns of a scored file: what goes in, what comes out, and their types.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::Tensor;
use crate::offline::write;
use crate::schema::{DataType, Field, Scalar, Schema};
use crate::service::Definition;

/// A column of the output: a field of one of the parts that its rows are made of.
pub struct Column {
    pub name: String,
    pub part: usize,
    pub field: usize,
}

/// The parts of a row of the output: what was sent, then these.
pub const SCORES: usize = 1;
/// The fields that the service declares for its answers.
pub const FIELDS: usize = 2;
pub const FEATURES: usize = 3;
/// Why a row's answer is another than its neighbours'.
pub const NOTES: usize = 4;
pub const PARTS: usize = 5;

/// What a file is scored into.
pub struct Columns {
    /// The schema of each part; every field may be null, for a row that is ill.
    pub parts: [Schema; PARTS],
    pub columns: Vec<Column>,
    /// Whether the first field of [`SCORES`] is the score.
    pub has_score: bool,
    /// Which of the model's outputs, and which of its values, each further field of [`SCORES`] is.
    pub outputs: Vec<(String, Option<usize>)>,
}

impl Columns {
    /// `service` is what the server shows of it, `inputs` what is sent to it.
    pub fn new(
        service: &Value,
        definition: &Definition,
        inputs: &Schema,
        wants_score: bool,
        wants_features: bool,
    ) -> Result<Columns> {
        let (mut scores, mut outputs, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        let mut notes = Vec::new();
        let has_score = wants_score
            && (definition.model.is_some()
                || definition
                    .output
                    .as_ref()
                    .is_some_and(|output| output.score.is_some()));
        if wants_score {
            if definition.model.is_none() && definition.output.is_none() {
                bail!(
                    "service {} has no model and no [output]; give --features-only",
                    definition.name
                );
            }
            if has_score {
                scores.push(one("score", Scalar::Float));
            }
            for tensor in member::<Option<Vec<Tensor>>>(service, "outputs")?.unwrap_or_default() {
                add_tensor(&tensor, &mut scores, &mut outputs);
            }
            let declared: Option<Schema> = member(service, "output")?;
            fields = declared.map_or_else(Vec::new, |declared| declared.opened().fields().to_vec());
            if definition.on_failure.is_some() {
                notes.push(one("fallback", Scalar::Text));
            }
        }
        if definition.gate.is_some() {
            notes.push(one("gate", Scalar::Text));
        }
        if definition
            .transforms
            .iter()
            .any(|transform| !transform.default.is_empty())
        {
            notes.push(one("defaulted", Scalar::Json));
        }
        notes.push(one("error", Scalar::Text));
        let features: Option<Schema> = match wants_features {
            true => Some(member(service, "features")?),
            false => None,
        };
        let features =
            features.map_or_else(Vec::new, |features| features.opened().fields().to_vec());
        let parts = [
            inputs.clone(),
            Schema::new(scores),
            Schema::new(fields),
            Schema::new(features),
            Schema::new(notes),
        ];
        Ok(Columns {
            columns: columns(&parts),
            parts,
            has_score,
            outputs,
        })
    }

    /// The columns of the file.
    pub fn written(&self) -> Vec<write::Column> {
        let columns = self.columns.iter().map(|column| {
            let field = self.parts[column.part].field(column.field);
            write::Column::Values(column.name.clone(), field.clone())
        });
        columns.collect()
    }
}

fn columns(parts: &[Schema; PARTS]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (part, schema) in parts.iter().enumerate() {
        for (at, field) in schema.fields().iter().enumerate() {
            let mut name = match part {
                FIELDS => format!("output.{}", field.name),
                FEATURES => format!("features.{}", field.name),
                _ => field.name.clone(),
            };
            // The caller's columns keep their names.
            while columns.iter().any(|column| column.name == name) {
                name.insert_str(0, "tidemill.");
            }
            columns.push(Column {
                name,
                part,
                field: at,
            });
        }
    }
    columns
}

/// A column for each value of one of the model's outputs.
fn add_tensor(
    tensor: &Tensor,
    scores: &mut Vec<Field>,
    outputs: &mut Vec<(String, Option<usize>)>,
) {
    let scalar = tensor.kind.scalar();
    let name = &tensor.name;
    if tensor.columns == 1 {
        scores.push(one(&format!("outputs.{name}"), scalar));
        outputs.push((name.clone(), None));
        return;
    }
    for at in 0..tensor.columns {
        scores.push(one(&format!("outputs.{name}[{at}]"), scalar));
        outputs.push((name.clone(), Some(at)));
    }
}

fn one(name: &str, scalar: Scalar) -> Field {
    Field::new(name, DataType::One(scalar), true)
}

/// A member of what the server shows.
pub fn member<T: DeserializeOwned>(shown: &Value, name: &str) -> Result<T> {
    serde_json::from_value(shown[name].clone())
        .with_context(|| format!("the server's answer cannot be read: \"{name}\""))
}
