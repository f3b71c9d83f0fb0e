//! A plan to look at: its stages, its longest chain, and a drawing.

use std::fmt::Write as _;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Place, Plan, Score, StepKind, Wanted};

/// The steps of a service version and what they wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct Graph {
    pub service: String,
    pub version: u32,
    pub steps: Vec<Node>,
    /// The names of the steps that can run at the same time, stage after stage.
    pub stages: Vec<Vec<String>>,
    /// The most steps that wait for one another in a row.
    pub longest_chain: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PlanStep)]
pub struct Node {
    pub name: String,
    pub kind: Kind,
    /// The view, transform or model it is.
    pub uses: String,
    /// The steps it waits for; none: the request is enough.
    pub waits_for: Vec<String>,
    /// From 1; none where no answer needs the step, so that it never runs.
    #[schema(required)]
    pub stage: Option<usize>,
    /// Whether it runs before the gate.
    pub before_gate: bool,
    /// What of it the answer holds.
    pub answers: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = StepKind)]
pub enum Kind {
    Lookup,
    Transform,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerPart)]
pub enum Part {
    Gate,
    Features,
    Score,
    Output,
}

impl Graph {
    pub fn of(plan: &Plan) -> Graph {
        let needed = plan.needed(Wanted::Score);
        let gate = plan.needed(Wanted::Gate);
        let mut stages: Vec<Option<usize>> = vec![None; plan.steps.len()];
        // The step before each on its longest chain.
        let mut before: Vec<Option<usize>> = vec![None; plan.steps.len()];
        for (at, step) in plan.steps.iter().enumerate().filter(|(at, _)| needed[*at]) {
            let last = step
                .waits_for()
                .map(|source| source - 1)
                .max_by_key(|&step| stages[step]);
            before[at] = last;
            stages[at] = Some(last.and_then(|last| stages[last]).unwrap_or(0) + 1);
        }
        let name = |at: usize| plan.steps[at].alias.clone();
        let count = stages.iter().flatten().max().copied().unwrap_or(0);
        let in_stage = |stage: usize| {
            let steps = (0..plan.steps.len()).filter(|&at| stages[at] == Some(stage));
            steps.map(name).collect()
        };
        let mut chain = Vec::new();
        let mut next = (0..plan.steps.len()).find(|&at| stages[at] == Some(count) && count > 0);
        while let Some(at) = next {
            chain.push(name(at));
            next = before[at];
        }
        chain.reverse();
        Graph {
            service: plan.definition.name.clone(),
            version: plan.number,
            steps: (0..plan.steps.len())
                .map(|at| Graph::node(plan, at, stages[at], gate[at]))
                .collect(),
            stages: (1..=count).map(in_stage).collect(),
            longest_chain: chain,
        }
    }

    fn node(plan: &Plan, at: usize, stage: Option<usize>, before_gate: bool) -> Node {
        let step = &plan.steps[at];
        let (kind, uses) = match &step.kind {
            StepKind::LookUp(lookup) => (Kind::Lookup, lookup.view.name.clone()),
            StepKind::Transform(transform) => (Kind::Transform, transform.name().to_string()),
            StepKind::Model(model) => (Kind::Model, model.to_string()),
        };
        let mut waits_for: Vec<String> = Vec::new();
        for source in step.waits_for() {
            let name = &plan.steps[source - 1].alias;
            if !waits_for.contains(name) {
                waits_for.push(name.clone());
            }
        }
        let reads = |places: &[Place]| places.iter().any(|place| place.source == at + 1);
        let mut answers = Vec::new();
        if plan.gate.as_ref().is_some_and(|gate| reads(&[gate.when])) {
            answers.push(Part::Gate);
        }
        if reads(&plan.vector.places) {
            answers.push(Part::Features);
        }
        let scores = match (&plan.score, &step.kind) {
            (Some(Score::Output(_)), StepKind::Model(_)) => true,
            (Some(Score::Column(place)), _) => place.source == at + 1,
            _ => false,
        };
        if scores {
            answers.push(Part::Score);
        }
        let output = plan.output.as_ref();
        if output.is_some_and(|output| reads(&output.places)) {
            answers.push(Part::Output);
        }
        Node {
            name: step.alias.clone(),
            kind,
            uses,
            waits_for,
            stage,
            before_gate,
            answers,
        }
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut out = format!("service {}, version {}\n", self.service, self.version);
        for (at, stage) in self.stages.iter().enumerate() {
            let _ = writeln!(out, "\nstage {}", at + 1);
            for node in self.steps.iter().filter(|node| stage.contains(&node.name)) {
                let _ = write!(out, "  {:<10} {}", node.kind.word(), node.name);
                if node.uses != node.name {
                    let _ = write!(out, " ({})", node.uses);
                }
                if !node.waits_for.is_empty() {
                    let _ = write!(out, "  after {}", node.waits_for.join(", "));
                }
                if node.before_gate {
                    let _ = write!(out, "  [before the gate]");
                }
                if !node.answers.is_empty() {
                    let words: Vec<&str> = node.answers.iter().map(|part| part.word()).collect();
                    let _ = write!(out, "  -> {}", words.join(", "));
                }
                out.push('\n');
            }
        }
        let idle: Vec<&str> = self
            .steps
            .iter()
            .filter(|node| node.stage.is_none())
            .map(|node| node.name.as_str())
            .collect();
        if !idle.is_empty() {
            let _ = writeln!(
                out,
                "\nnever run, since nothing that is answered needs them: {}",
                idle.join(", ")
            );
        }
        let chain = self.longest_chain.join(" -> ");
        let _ = writeln!(
            out,
            "\nlongest chain: {} ({chain})",
            self.longest_chain.len()
        );
        out
    }

    /// As a Mermaid graph.
    pub fn to_mermaid(&self) -> String {
        let mut out = "graph LR\n  request([request])\n".to_owned();
        let id = |name: &str| {
            let at = self.steps.iter().position(|node| node.name == name);
            at.map_or_else(|| "request".to_owned(), |at| format!("s{at}"))
        };
        for node in &self.steps {
            let label = match node.uses == node.name {
                true => node.name.clone(),
                false => format!("{}<br/>{}", node.name, node.uses),
            };
            let (open, close) = match node.kind {
                Kind::Lookup => ("[(", ")]"),
                Kind::Transform => ("[", "]"),
                Kind::Model => ("{{", "}}"),
            };
            let _ = writeln!(out, "  {}{open}\"{label}\"{close}", id(&node.name));
            if node.stage.is_none() {
                let _ = writeln!(out, "  style {} stroke-dasharray: 4", id(&node.name));
            }
            if node.waits_for.is_empty() {
                let _ = writeln!(out, "  request --> {}", id(&node.name));
            }
            for other in &node.waits_for {
                let _ = writeln!(out, "  {} --> {}", id(other), id(&node.name));
            }
        }
        out.push_str("  answer([answer])\n");
        for node in self.steps.iter().filter(|node| !node.answers.is_empty()) {
            let words: Vec<&str> = node.answers.iter().map(|part| part.word()).collect();
            let _ = writeln!(out, "  {} -->|{}| answer", id(&node.name), words.join(", "));
        }
        out
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Lookup => "look-up",
            Kind::Transform => "transform",
            Kind::Model => "model",
        }
    }
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Part::Gate => "gate",
            Part::Features => "features",
            Part::Score => "score",
            Part::Output => "output",
        }
    }
}
