//! How registered things are named: a kind, a name, a version.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// What can be registered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Transform,
    View,
    Model,
    Service,
    TrainingSet,
}

/// One version of one thing. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    pub kind: Kind,
    pub name: String,
    /// A transform's is semver, the others' are numbers from 1.
    pub version: String,
}

impl Kind {
    pub const ALL: [Kind; 5] = [
        Kind::Transform,
        Kind::View,
        Kind::Model,
        Kind::Service,
        Kind::TrainingSet,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Transform => "transform",
            Kind::View => "view",
            Kind::Model => "model",
            Kind::Service => "service",
            Kind::TrainingSet => "training-set",
        }
    }

    /// `transform version`, as messages say it.
    pub(super) fn version(self) -> &'static str {
        match self {
            Kind::Transform => "transform version",
            Kind::View => "view version",
            Kind::Model => "model version",
            Kind::Service => "service version",
            Kind::TrainingSet => "training-set version",
        }
    }

    pub fn parse(name: &str) -> Result<Kind> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::NotFound {
            kind: "kind",
            name: name.to_owned(),
            known: Kind::ALL.map(|kind| kind.name().to_owned()).into(),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Item {
    pub fn new(kind: Kind, name: &str, version: impl fmt::Display) -> Item {
        Item {
            kind,
            name: name.to_owned(),
            version: version.to_string(),
        }
    }

    /// From an id that names one version and no other: `great-circle@1.0.0`, `flight-delay@3`.
    pub fn exact(kind: Kind, id: &str) -> Result<Item> {
        let exact = |version: &str| match kind {
            Kind::Transform => semver::Version::parse(version).is_ok(),
            _ => version
                .parse::<u32>()
                .is_ok_and(|number| number.to_string() == version),
        };
        match id.split_once('@') {
            Some((name, version)) if exact(version) => Ok(Item::new(kind, name, version)),
            _ => {
                let example = match kind {
                    Kind::Transform => "great-circle@1.0.0",
                    _ => "flight-delay@3",
                };
                let message = format!(
                    "\"{id}\" names no one version of a {kind}; say which, as in {example}"
                );
                Err(Error::invalid("id", message))
            }
        }
    }

    /// `name@version`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// The version of everything but a transform.
    pub fn number(&self) -> Option<u32> {
        self.version.parse().ok()
    }

    /// Under which its record is kept. Numbers are padded, so that records come in the order of their versions.
    pub(super) fn key(&self) -> String {
        match self.number() {
            Some(number) => format!("{}/{}/{number:010}", self.kind, self.name),
            None => format!("{}/{}/{}", self.kind, self.name, self.version),
        }
    }

    /// The other way round.
    pub(super) fn of_key(key: &str) -> Option<Item> {
        let mut parts = key.splitn(3, '/');
        let (kind, name, version) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = Kind::parse(kind).ok()?;
        match kind {
            Kind::Transform => Some(Item::new(kind, name, version)),
            _ => Some(Item::new(kind, name, version.parse::<u32>().ok()?)),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_there_and_back_in_the_order_of_versions() {
        let items = [
            Item::new(Kind::Model, "m", 9),
            Item::new(Kind::Model, "m", 10),
            Item::new(Kind::TrainingSet, "m", 1),
            Item::new(Kind::Transform, "t", "1.0.0-rc.1+a"),
        ];
        let keys: Vec<String> = items.iter().map(Item::key).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(
            items,
            [0, 1, 2, 3].map(|at| Item::of_key(&keys[at]).unwrap())
        );
        assert_eq!(Item::of_key("model/m/one"), None);
    }

    #[test]
    fn only_whole_versions_are_exact() {
        for (kind, id) in [
            (Kind::Transform, "t@1"),
            (Kind::Transform, "t"),
            (Kind::Service, "s@stable"),
            (Kind::Service, "s@03"),
            (Kind::View, "v"),
        ] {
            let message = Item::exact(kind, id).unwrap_err().to_string();
            assert!(message.contains("say which, as in"), "{message}");
        }
        assert_eq!(Item::exact(Kind::View, "v@3").unwrap().id(), "v@3");
    }
}
