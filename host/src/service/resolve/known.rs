//! What a name in a service file can mean.

use crate::error::listed;
use crate::schema::{Field, Schema};
use crate::service::Place;

/// The sources there are so far: the request, then each step, with its columns.
pub struct Known {
    /// The name its columns go by, empty for the request.
    pub sources: Vec<(String, Schema)>,
}

impl Known {
    /// The place of `field` or `alias.column`.
    pub fn find(&self, name: &str) -> Result<(Place, &Field), String> {
        let (alias, column) = name.split_once('.').unwrap_or(("", name));
        let Some(source) = self.sources.iter().position(|(known, _)| known == alias) else {
            let aliases: Vec<String> = self.sources[1..]
                .iter()
                .map(|(alias, _)| alias.clone())
                .collect();
            return Err(format!(
                "there is no look-up or transform \"{alias}\"; {}",
                listed("look-up or transform", &aliases)
            ));
        };
        let schema = &self.sources[source].1;
        match schema.position(column) {
            Some(index) => Ok((
                Place {
                    source,
                    slot: schema.slot(index),
                },
                schema.field(index),
            )),
            None if source == 0 => Err(format!(
                "there is no request field \"{column}\"; {}",
                listed("request field", &schema.names())
            )),
            None => Err(format!(
                "\"{alias}\" has no column \"{column}\"; {}",
                listed("column", &schema.names())
            )),
        }
    }

    /// The full name an unbound input is matched with: a request field of its name, else the one column of that name.
    pub fn by_name(&self, name: &str) -> Result<String, String> {
        if self.sources[0].1.position(name).is_some() {
            return Ok(name.to_owned());
        }
        let found: Vec<String> = self.sources[1..]
            .iter()
            .filter(|(_, schema)| schema.position(name).is_some())
            .map(|(alias, _)| format!("{alias}.{name}"))
            .collect();
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(format!(
                "nothing is bound to it and nothing has its name; bind it: {}",
                listed("column", &self.all_names())
            )),
            several => Err(format!(
                "nothing is bound to it and several have its name; bind one: {}",
                several.join(", ")
            )),
        }
    }

    fn all_names(&self) -> Vec<String> {
        self.sources
            .iter()
            .flat_map(|(alias, schema)| {
                schema.names().into_iter().map(move |name| {
                    if alias.is_empty() {
                        name
                    } else {
                        format!("{alias}.{name}")
                    }
                })
            })
            .collect()
    }
}
