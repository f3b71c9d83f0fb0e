//! What was made from what: which versions a version uses, and which use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Catalog, Forced, Item, Kind};
use crate::error::Result;

/// Versions, and which of them uses which.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Lineage)]
pub struct Graph {
    /// The key of the version that was asked for; none where the whole registry was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = LineageNode)]
pub struct Node {
    /// `service/flight-delay@2`: the end of its address under `/v1/lineage/`.
    pub key: String,
    pub kind: Kind,
    pub id: String,
    /// None where its record cannot be read.
    #[schema(required)]
    pub digest: Option<String>,
    pub retired: bool,
    /// Of a service: the aliases that point at it.
    pub aliases: Vec<String>,
    /// Of a service that was registered although its model was trained on something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
}

/// `from` uses `to`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = LineageEdge)]
pub struct Edge {
    pub from: String,
    pub to: String,
}

/// All edges, by either end.
#[derive(Default)]
struct Links {
    uses: BTreeMap<Item, BTreeSet<Item>>,
    users: BTreeMap<Item, BTreeSet<Item>>,
}

impl Catalog {
    /// What a version uses and what uses it, both to the end.
    pub fn lineage(&self, kind: Kind, id: &str) -> Result<Graph> {
        let item = self.find(kind, id)?;
        let links = Links::of(self);
        let mut all = BTreeSet::from([item.clone()]);
        for side in [&links.uses, &links.users] {
            let mut reached = BTreeSet::new();
            reach(side, &item, &mut reached);
            all.append(&mut reached);
        }
        Ok(self.graph(&links, all, Some(&item)))
    }

    /// All that is registered.
    pub fn whole_lineage(&self) -> Graph {
        let links = Links::of(self);
        let all = links
            .uses
            .keys()
            .chain(links.users.keys())
            .cloned()
            .collect();
        self.graph(&links, all, None)
    }

    fn graph(&self, links: &Links, items: BTreeSet<Item>, subject: Option<&Item>) -> Graph {
        let edges = items.iter().flat_map(|from| {
            let to = links.uses.get(from).into_iter().flatten();
            let to = to.filter(|to| items.contains(to));
            to.map(|to| Edge {
                from: key(from),
                to: key(to),
            })
        });
        Graph {
            subject: subject.map(key),
            edges: edges.collect(),
            nodes: items.iter().map(|item| self.node(item)).collect(),
        }
    }

    fn node(&self, item: &Item) -> Node {
        let id = item.id();
        let digest = match item.kind {
            Kind::Transform => self.transform(&id).map(|entry| &entry.record.digest),
            Kind::View => self.view(&id).map(|entry| &entry.record.digest),
            Kind::Model => self.model_by_id(&id).map(|entry| &entry.record.digest),
            Kind::Service => self.service_entry(&id).map(|entry| &entry.digest),
            Kind::TrainingSet => self.training_set(&id).map(|record| &record.digest),
        };
        let aliases = match (item.kind, item.number()) {
            (Kind::Service, Some(number)) => self.aliases_of(&item.name, number),
            _ => Vec::new(),
        };
        let forced = match item.kind {
            Kind::Service => self.service_entry(&id).ok(),
            _ => None,
        };
        Node {
            forced: forced.and_then(|entry| entry.record.forced.clone()),
            key: key(item),
            kind: item.kind,
            id,
            digest: digest.ok().map(|digest| format!("sha256:{digest}")),
            retired: self.retired.contains_key(item),
            aliases,
        }
    }
}

impl Links {
    fn of(catalog: &Catalog) -> Links {
        let mut links = Links::default();
        for entry in catalog.transforms.values().flat_map(|all| all.values()) {
            links.add(Kind::Transform, &entry.id(), []);
        }
        for entry in catalog.views.values().flat_map(|all| all.values()) {
            links.add(Kind::View, &entry.id(), []);
        }
        for entry in catalog.models.values().flat_map(|all| all.values()) {
            let set = entry.record.manifest.training_set.as_ref();
            let set = set.map(|id| (Kind::TrainingSet, id));
            links.add(Kind::Model, &entry.id(), set);
        }
        for entry in catalog.services.values().flat_map(|all| all.values()) {
            let pins = &entry.record.pins;
            let views = pins.views.iter().map(|pin| (Kind::View, &pin.id));
            let transforms = pins.transforms.iter().map(|pin| (Kind::Transform, &pin.id));
            let model = pins.model.iter().map(|pin| (Kind::Model, &pin.id));
            let used = views.chain(transforms).chain(model);
            links.add(Kind::Service, &entry.id(), used);
        }
        for record in catalog.training_sets.values().flat_map(|all| all.values()) {
            let manifest = &record.manifest;
            let service = [(Kind::Service, &manifest.service)];
            let views = manifest.views.iter().map(|span| (Kind::View, &span.view));
            let transforms = manifest
                .transforms
                .iter()
                .map(|used| (Kind::Transform, &used.id));
            let model = manifest.model.iter().map(|used| (Kind::Model, &used.id));
            let used = service
                .into_iter()
                .chain(views)
                .chain(transforms)
                .chain(model);
            links.add(Kind::TrainingSet, &record.id(), used);
        }
        links
    }

    fn add<'a>(
        &mut self,
        kind: Kind,
        id: &str,
        used: impl IntoIterator<Item = (Kind, &'a String)>,
    ) {
        let Ok(from) = Item::exact(kind, id) else {
            return;
        };
        let mine = self.uses.entry(from.clone()).or_default();
        for (kind, id) in used {
            if let Ok(to) = Item::exact(kind, id) {
                mine.insert(to.clone());
                self.users.entry(to).or_default().insert(from.clone());
            }
        }
    }
}

/// The versions that use this one themselves.
pub(super) fn users(catalog: &Catalog, item: &Item) -> Vec<Item> {
    let users = Links::of(catalog).users.remove(item);
    users.unwrap_or_default().into_iter().collect()
}

fn reach(links: &BTreeMap<Item, BTreeSet<Item>>, from: &Item, reached: &mut BTreeSet<Item>) {
    for to in links.get(from).into_iter().flatten() {
        if reached.insert(to.clone()) {
            reach(links, to, reached);
        }
    }
}

fn key(item: &Item) -> String {
    format!("{}/{}", item.kind, item.id())
}

impl Node {
    /// `service flight-delay@2 (stable, forced against flights-2013@1: a trial, retired)`.
    fn words(&self) -> String {
        let mut marks = self.aliases.clone();
        if let Some(forced) = &self.forced {
            let Forced {
                training_set,
                reason,
                ..
            } = forced;
            marks.push(format!("forced against {training_set}: {reason}"));
        }
        if self.retired {
            marks.push("retired".to_owned());
        }
        match marks.is_empty() {
            true => format!("{} {}", self.kind, self.id),
            false => format!("{} {} ({})", self.kind, self.id, marks.join(", ")),
        }
    }
}

impl Graph {
    /// As an indented tree: what it uses, and what uses it. What stands further up already is not said again.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let nodes: BTreeMap<&str, &Node> = self
            .nodes
            .iter()
            .map(|node| (node.key.as_str(), node))
            .collect();
        let side = |from: fn(&Edge) -> &str, to: fn(&Edge) -> &str| {
            let mut side: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for edge in &self.edges {
                side.entry(from(edge)).or_default().push(to(edge));
            }
            side
        };
        let uses = side(|edge| &edge.from, |edge| &edge.to);
        let users = side(|edge| &edge.to, |edge| &edge.from);
        let Some(subject) = self.subject.as_deref() else {
            // From what nothing uses down to what uses nothing.
            let mut seen = BTreeSet::new();
            for node in &self.nodes {
                if !users.contains_key(node.key.as_str()) {
                    branch(&nodes, &uses, &node.key, 0, &mut seen, &mut out);
                }
            }
            return out;
        };
        if let Some(node) = nodes.get(subject) {
            let digest = node.digest.as_deref().unwrap_or("cannot be read");
            let _ = writeln!(out, "{}  {digest}", node.words());
        }
        for (title, side) in [("uses", uses), ("is used by", users)] {
            let first = side.get(subject);
            let _ = match first {
                Some(_) => writeln!(out, "{title}"),
                None => writeln!(out, "{title} nothing"),
            };
            let mut seen = BTreeSet::new();
            for key in first.into_iter().flatten() {
                branch(&nodes, &side, key, 1, &mut seen, &mut out);
            }
        }
        out
    }

    /// As a Mermaid diagram, from what uses to what is used.
    pub fn mermaid(&self) -> String {
        let mut out = "graph LR\n".to_owned();
        let place: BTreeMap<&str, usize> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node.key.as_str(), at))
            .collect();
        for (at, node) in self.nodes.iter().enumerate() {
            let class = match (&self.subject, node.retired) {
                (Some(subject), _) if *subject == node.key => ":::subject",
                (_, true) => ":::retired",
                _ if node.forced.is_some() => ":::forced",
                _ => "",
            };
            let _ = writeln!(out, "  n{at}[\"{}\"]{class}", escaped(&node.words()));
        }
        for edge in &self.edges {
            if let (Some(from), Some(to)) =
                (place.get(edge.from.as_str()), place.get(edge.to.as_str()))
            {
                let _ = writeln!(out, "  n{from} --> n{to}");
            }
        }
        out += "  classDef subject stroke-width:3px\n  classDef retired stroke-dasharray:4 4\n  classDef forced stroke-width:2px,stroke-dasharray:1 3\n";
        out
    }
}

fn branch<'a>(
    nodes: &BTreeMap<&'a str, &'a Node>,
    side: &BTreeMap<&'a str, Vec<&'a str>>,
    key: &'a str,
    depth: usize,
    seen: &mut BTreeSet<&'a str>,
    out: &mut String,
) {
    let words = nodes
        .get(key)
        .map_or_else(|| key.to_owned(), |node| node.words());
    let next = side.get(key);
    let again = !seen.insert(key) && next.is_some();
    let mark = if again { ", as above" } else { "" };
    let _ = writeln!(out, "{:indent$}{words}{mark}", "", indent = depth * 2);
    if !again {
        for key in next.into_iter().flatten() {
            branch(nodes, side, key, depth + 1, seen, out);
        }
    }
}

/// Text that may stand within quotes in a diagram: Mermaid reads `#` and a code as a character.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'A'..='Z'
            | 'a'..='z'
            | '0'..='9'
            | ' '
            | '-'
            | '_'
            | '.'
            | '@'
            | '('
            | ')'
            | ','
            | '+' => c.to_string(),
            c => format!("#{};", u32::from(c)),
        })
        .collect()
}
