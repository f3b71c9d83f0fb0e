//! What a service says of its labels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::report::{REQUEST_ID, ROW, TIME};
use crate::error::listed;
use crate::schema::{DataType, Field, Scalar, Schema, named};

/// `[labels]` of a service file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelsDefinition {
    /// Fields of the request by which a label may name a row. Absent: by the answer's request id alone, unless an earlier
    /// version has a key: labels are of all versions, so that one stays theirs.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "crate::schema::names"
    )]
    #[schema(value_type = crate::schema::names::Names)]
    pub key: Vec<String>,
    /// Their names and types, as those of request fields.
    #[serde(with = "crate::schema::named")]
    #[schema(value_type = std::collections::BTreeMap<String, named::Written>)]
    pub fields: Schema,
}

/// The labels of a service as its newest version that has any declares them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LabelsDeclared)]
pub struct Declared {
    pub service: String,
    /// The version that declares them; they are of all versions.
    pub version: u32,
    /// The fields of the request by which a label may name a row, of the newest version that has any; without any, its
    /// answer's request id must.
    #[schema(value_type = Vec<Field>)]
    pub key: Schema,
    #[schema(value_type = Vec<Field>)]
    pub fields: Schema,
}

/// What a label's columns are called in training sets, before the dot.
const GROUP: &str = "label";

/// What the column of a label is called in training sets.
pub fn column(label: &str) -> String {
    format!("{GROUP}.{label}")
}

impl LabelsDefinition {
    /// Whether they can be those of a service with this request, whose look-ups and transforms go by `aliases`.
    pub fn check<'a>(
        &self,
        request: &Schema,
        mut aliases: impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        if self.fields.is_empty() {
            return Err("[labels.fields] names none; write late = \"bool\"".to_owned());
        }
        named::check(&self.fields).map_err(|reason| format!("in [labels.fields], {reason}"))?;
        for name in &self.key {
            let Some(at) = request.position(name) else {
                return Err(format!(
                    "[labels] key: \"{name}\" is no request field; {}",
                    listed("request field", &request.names())
                ));
            };
            let found = request.field(at).data_type;
            if !is_key(found) {
                return Err(format!(
                    "[labels] key: {name} is {found}; a key is text, i64, bool or timestamp"
                ));
            }
            if self.key.iter().filter(|other| *other == name).count() > 1 {
                return Err(format!("[labels] key: {name} is there twice"));
            }
        }
        for field in self.fields.fields() {
            let name = &field.name;
            if self.key.contains(name) {
                return Err(format!(
                    "[labels.fields] {name}: that is its key; give the label another name"
                ));
            }
            if field.default.is_some() {
                return Err(format!(
                    "[labels.fields] {name}: a label has no default; write nullable = true where it may be left out"
                ));
            }
        }
        let names = self.fields.names();
        if let Some(taken) = names
            .iter()
            .chain(&self.key)
            .find(|name| [REQUEST_ID, ROW, TIME].contains(&name.as_str()))
        {
            return Err(format!(
                "[labels]: {taken} cannot be a label or its key: with {REQUEST_ID} and {ROW} a label names its answer, and \
                 with {TIME} says when it was learnt"
            ));
        }
        match aliases.any(|alias| alias == GROUP) {
            true => Err(format!(
                "a look-up or transform is named \"{GROUP}\", which is what its labels are called in training sets; give it \
                 another name with `as`"
            )),
            false => Ok(()),
        }
    }
}

/// Whether a key may have a column of that type.
fn is_key(data_type: DataType) -> bool {
    match data_type {
        DataType::One(scalar) => !matches!(scalar, Scalar::Float | Scalar::Json),
        DataType::Many(_) => false,
    }
}

impl Declared {
    /// Of a service version's definition. The key's fields are there: [`LabelsDefinition::check`] has seen to that.
    pub fn of(
        service: &str,
        version: u32,
        request: &Schema,
        definition: &LabelsDefinition,
    ) -> Declared {
        let key = definition.key.iter();
        let key = key.filter_map(|name| Some(request.field(request.position(name)?).clone()));
        Declared {
            service: service.to_owned(),
            version,
            key: Schema::new(key.map(plain).collect()),
            fields: definition.fields.clone(),
        }
    }

    /// Whether another version may declare its labels beside these: they are kept for all versions.
    pub fn check(&self, other: &Declared) -> Result<(), String> {
        let id = format!("{}@{}", self.service, self.version);
        let words = |key: &Schema| {
            let parts = key.fields().iter();
            let parts: Vec<String> = parts
                .map(|field| format!("{} {}", field.name, field.data_type))
                .collect();
            parts.join(", ")
        };
        if !self.key.is_empty() && !other.key.is_empty() && words(&self.key) != words(&other.key) {
            return Err(format!(
                "[labels] key: it is ({}) here and ({}) in {id}; labels are kept for all versions of a service",
                words(&other.key),
                words(&self.key)
            ));
        }
        for field in other.fields.fields() {
            let there = self.fields.position(&field.name);
            let there = there.map(|at| self.fields.field(at).data_type);
            if let Some(there) = there.filter(|there| *there != field.data_type) {
                return Err(format!(
                    "[labels.fields] {}: it is {} here and {there} in {id}; labels are kept for all versions of a service: \
                     give it another name",
                    field.name, field.data_type
                ));
            }
        }
        Ok(())
    }

    /// What names a row: `request_id`, `row`, and the fields of the key. Any may be null.
    pub fn subject(&self) -> Schema {
        let own = [own(REQUEST_ID, Scalar::Text), own(ROW, Scalar::Integer)];
        let key = self.key.opened();
        Schema::new(
            own.into_iter()
                .chain(key.fields().iter().cloned())
                .collect(),
        )
    }

    /// A label as it is reported: what names its row, its time, and what it says.
    pub fn report(&self) -> Schema {
        let subject = self.subject();
        let time = own(TIME, Scalar::Timestamp);
        let fields = subject.fields().iter().cloned().chain([time]);
        Schema::new(fields.chain(self.fields.fields().iter().cloned()).collect())
    }
}

/// A field without what its request says of its values.
fn plain(field: Field) -> Field {
    Field {
        minimum: None,
        maximum: None,
        default: None,
        ..field
    }
}

fn own(name: &str, scalar: Scalar) -> Field {
    Field::new(name, DataType::One(scalar), true)
}
