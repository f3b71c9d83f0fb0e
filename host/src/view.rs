//! What a feature view is. Where its rows are kept is the store's matter.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result, listed};
use crate::schema::{DataType, Field, Scalar, Schema, check_name, named};

/// A feature view: named, typed rows, one per entity key, each with an event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ViewDefinition)]
pub struct View {
    pub name: String,
    /// The columns that together name an entity. In a file: one name, or a list of them.
    #[serde(with = "crate::schema::names")]
    #[schema(value_type = crate::schema::names::Names)]
    pub key: Vec<String>,
    /// The timestamp column whose value is the row's event time; without one it is the time of arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    #[serde(with = "named")]
    #[schema(value_type = std::collections::BTreeMap<String, named::Written>)]
    pub columns: Schema,
}

impl View {
    /// Reads a view file.
    pub fn from_toml(text: &str) -> Result<View> {
        toml::from_str(text)
            .map_err(|error| Error::refused("the view file", error.to_string().trim_end()))
    }

    pub fn from_json(bytes: &[u8]) -> Result<View> {
        serde_json::from_slice(bytes).map_err(|error| Error::refused("the view", error.to_string()))
    }

    /// Refuses, in words, a view that could not be kept or looked up.
    pub fn check(&self) -> Result<()> {
        self.fault().map_or(Ok(()), |reason| {
            Err(Error::refused(format!("view \"{}\"", self.name), reason))
        })
    }

    fn fault(&self) -> Option<String> {
        if let Err(reason) = check_name(&self.name).and_then(|()| named::check(&self.columns)) {
            return Some(reason);
        }
        let mut fields = self.columns.fields().iter();
        if let Some(field) = fields.find(|field| field.default.is_some()) {
            return Some(format!(
                "column \"{}\" has a default, which only a request's fields have; what stands in for a row that is not \
                 there is said where it is looked up: [lookup.default]",
                field.name
            ));
        }
        if self.key.is_empty() {
            return Some("it has no key".to_owned());
        }
        for (at, name) in self.key.iter().enumerate() {
            let Some(field) = self.field(name) else {
                return Some(format!(
                    "its key \"{name}\" is no column; {}",
                    listed("column", &self.columns.names())
                ));
            };
            if self.key[..at].contains(name) {
                return Some(format!("its key names \"{name}\" twice"));
            }
            use Scalar::{Boolean, Integer, Text, Timestamp};
            if !matches!(
                field.data_type,
                DataType::One(Text | Integer | Boolean | Timestamp)
            ) || field.nullable
            {
                let found = described(field);
                return Some(format!(
                    "its key \"{name}\" is {found}; a key is text, i64, bool or timestamp, never null"
                ));
            }
        }
        let name = self.event_time.as_ref()?;
        match self.field(name) {
            None => Some(format!(
                "its event time \"{name}\" is no column; {}",
                listed("column", &self.columns.names())
            )),
            Some(field)
                if field.data_type != DataType::One(Scalar::Timestamp) || field.nullable =>
            {
                Some(format!(
                    "its event time \"{name}\" is {}; it must be a timestamp, never null",
                    described(field)
                ))
            }
            Some(_) => None,
        }
    }

    /// Refuses a definition that could not be the next version of this view after `older`, which goes by `id`: rows that
    /// lie there would not fit, or would lie under another key.
    pub fn follows(&self, older: &View, id: &str) -> Result<()> {
        self.unlike(older, id).map_or(Ok(()), |what| {
            let name = &self.name;
            Err(Error::Conflict(format!(
                "this cannot be the next version of view \"{name}\": {what}; a version may add nullable columns at the end, \
                 anything else needs another view name"
            )))
        })
    }

    fn unlike(&self, older: &View, id: &str) -> Option<String> {
        if self.key != older.key {
            let (here, there) = (self.key.join(", "), older.key.join(", "));
            return Some(format!("its key is ({here}), and that of {id} ({there})"));
        }
        if self.event_time != older.event_time {
            let said = |view: &View| match &view.event_time {
                Some(name) => format!("column \"{name}\""),
                None => "the time of arrival".to_owned(),
            };
            let (here, there) = (said(self), said(older));
            return Some(format!(
                "its event time is {here}, and that of {id} {there}"
            ));
        }
        let fields = self.columns.fields();
        for (at, was) in older.columns.fields().iter().enumerate() {
            let name = &was.name;
            match fields.get(at) {
                Some(is) if is.name == *name => {
                    let undocumented = |field: &Field| Field {
                        doc: String::new(),
                        ..field.clone()
                    };
                    let same = undocumented(is) == undocumented(was);
                    if !same {
                        let (here, there) = (described(is), described(was));
                        return Some(format!(
                            "its column \"{name}\" is {here}, and in {id} {there}"
                        ));
                    }
                }
                _ if self.field(name).is_some() => {
                    return Some(format!(
                        "its column \"{name}\" is not column {} any more, as in {id}",
                        at + 1
                    ));
                }
                _ => return Some(format!("column \"{name}\" of {id} is not in it")),
            }
        }
        let added = &fields[older.columns.len()..];
        let full = added.iter().find(|field| !field.nullable)?;
        Some(format!(
            "its new column \"{}\" is never null, and the rows of {id} have nothing there",
            full.name
        ))
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.columns
            .fields()
            .iter()
            .find(|field| field.name == name)
    }

    /// Where the key's columns stand among the view's, in the order of the key. Of a checked view.
    pub fn key_positions(&self) -> Vec<usize> {
        self.key
            .iter()
            .filter_map(|name| self.columns.position(name))
            .collect()
    }

    /// The key's columns alone, in the order of the key.
    pub fn key_schema(&self) -> Schema {
        Schema::new(
            self.key_positions()
                .into_iter()
                .map(|at| self.columns.field(at).clone())
                .collect(),
        )
    }

    /// Where the event time stands among the columns.
    pub fn event_time_position(&self) -> Option<usize> {
        self.event_time
            .as_ref()
            .and_then(|name| self.columns.position(name))
    }

    /// The columns as a look-up gives them: each may be null, since the row may not be there.
    pub fn looked_up(&self) -> Schema {
        Schema::new(
            self.columns
                .fields()
                .iter()
                .map(|field| Field {
                    nullable: true,
                    ..field.clone()
                })
                .collect(),
        )
    }
}

fn described(field: &Field) -> String {
    let null = match field.nullable {
        true => " and may be null",
        false => "",
    };
    let bound =
        |bound: Option<f64>| bound.map_or_else(|| "…".to_owned(), |bound| bound.to_string());
    let range = match (field.minimum, field.maximum) {
        (None, None) => String::new(),
        (low, high) => format!(" from {} to {}", bound(low), bound(high)),
    };
    format!("of type {}{range}{null}", field.data_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEATHER: &str = r#"
        name = "weather"
        key = "origin"
        event_time = "time_hour"
        [columns]
        origin = "text"
        time_hour = "timestamp"
        temp = { type = "f64", nullable = true }
        station = "i64"
        gusts = "list<f64>"
    "#;

    #[test]
    fn a_view_there_and_back() {
        let view: View = toml::from_str(WEATHER).unwrap();
        view.check().unwrap();
        assert_eq!(view.key, ["origin"]);
        assert_eq!(
            view.columns.names(),
            ["origin", "time_hour", "temp", "station", "gusts"]
        );
        assert_eq!(view.event_time_position(), Some(1));
        assert!(view.looked_up().fields().iter().all(|field| field.nullable));
        assert_eq!(
            toml::from_str::<View>(&toml::to_string(&view).unwrap()).unwrap(),
            view
        );

        let pair: View =
            toml::from_str(&WEATHER.replace("\"origin\"", "[\"station\", \"origin\"]")).unwrap();
        pair.check().unwrap();
        assert_eq!(pair.key_schema().names(), ["station", "origin"]);
        let json = serde_json::to_string(&pair).unwrap();
        assert!(json.contains(r#""key":["station","origin"]"#), "{json}");
        assert_eq!(serde_json::from_str::<View>(&json).unwrap(), pair);
    }

    #[test]
    fn each_refusal() {
        for (change, to, expected) in [
            (
                "\"weather\"",
                "\"Weather\"",
                "is no name: up to 64 lower-case letters",
            ),
            ("\"weather\"", "\"9weather\"", "with a letter first"),
            (
                "key = \"origin\"",
                "key = \"dest\"",
                "its key \"dest\" is no column; there are origin, time_hour",
            ),
            (
                "key = \"origin\"",
                "key = \"temp\"",
                "its key \"temp\" is of type f64 and may be null",
            ),
            (
                "key = \"origin\"",
                "key = \"gusts\"",
                "its key \"gusts\" is of type list<f64>",
            ),
            (
                "key = \"origin\"",
                "key = [\"origin\", \"origin\"]",
                "names \"origin\" twice",
            ),
            ("key = \"origin\"", "key = []", "it has no key"),
            (
                "station = \"i64\"",
                "station = { type = \"i64\", default = 3 }",
                "column \"station\" has a default, which only a request's fields have",
            ),
            (
                "= \"time_hour\"",
                "= \"hour\"",
                "its event time \"hour\" is no column",
            ),
            (
                "= \"time_hour\"",
                "= \"temp\"",
                "its event time \"temp\" is of type f64 and may be null",
            ),
        ] {
            let view: View = toml::from_str(&WEATHER.replacen(change, to, 1)).unwrap();
            let message = view.check().unwrap_err().to_string();
            assert!(
                message.contains(expected) && message.starts_with("view \""),
                "{message}"
            );
        }
        let unknown = toml::from_str::<View>(&format!("ttl = 3\n{WEATHER}")).unwrap_err();
        assert!(
            unknown.message().contains("unknown field `ttl`"),
            "{unknown}"
        );
    }
}
