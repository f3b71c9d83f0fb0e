//! A service with all that its requests share made once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Plan, StepKind};
use crate::log::{Group, Shape};
use crate::metrics::{Metrics, ServiceMetrics};

/// What the names of a definition meant when it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pins {
    /// Of the look-ups, in the definition's order.
    pub views: Vec<Pin>,
    /// In the definition's order.
    pub transforms: Vec<Pin>,
    #[schema(required)]
    pub model: Option<Pin>,
}

/// `name@version` and the digest of the artifact; of a view, of its definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pin {
    pub id: String,
    pub digest: String,
}

/// A registered version of a service.
pub struct Service {
    pub plan: Plan,
    pub pins: Pins,
    pub registered_at: jiff::Timestamp,
    pub metrics: ServiceMetrics,
    /// How its answers lie in the feature log.
    pub shape: Arc<Shape>,
    /// The part of every answer that is the same: `"service":…,"model":…,"transforms":[…]`.
    pub preamble: String,
}

impl Service {
    pub fn new(
        plan: Plan,
        pins: Pins,
        registered_at: jiff::Timestamp,
        metrics: &Metrics,
    ) -> Service {
        let metrics = metrics.service(&plan);
        let shape = Arc::new(shape(&plan, &pins));
        let preamble = preamble(&plan, &pins);
        Service {
            plan,
            pins,
            registered_at,
            metrics,
            shape,
            preamble,
        }
    }

    pub fn name(&self) -> &str {
        &self.plan.definition.name
    }
}

fn shape(plan: &Plan, pins: &Pins) -> Shape {
    let request = Group {
        name: "request".to_owned(),
        schema: plan.request.clone(),
        lookup: false,
    };
    // What the model gives is in the score.
    let logged = plan.steps.iter().filter(|step| step.is_logged());
    let steps = logged.map(|step| Group {
        name: step.alias.clone(),
        schema: step.columns.clone(),
        lookup: matches!(step.kind, StepKind::LookUp(_)),
    });
    Shape {
        service: plan.definition.name.clone(),
        service_version: plan.number,
        model: pins.model.as_ref().map(|pin| pin.id.clone()),
        transforms: pins
            .transforms
            .iter()
            .map(|pin| format!("{} sha256:{}", pin.id, pin.digest))
            .collect(),
        groups: std::iter::once(request).chain(steps).collect(),
        vector: plan.vector.schema.names(),
    }
}

fn preamble(plan: &Plan, pins: &Pins) -> String {
    let transforms: Vec<serde_json::Value> = plan
        .transforms()
        .map(|(step, transform)| {
            let name = transform.name();
            serde_json::json!({
                "as": step.alias,
                "name": name.name,
                "version": name.version.to_string(),
                "digest": format!("sha256:{}", name.digest),
            })
        })
        .collect();
    let versions = serde_json::json!({
        "service": plan.definition.name,
        "service_version": plan.number,
        "model": plan.model.as_ref().map(|planned| &planned.model.name),
        "model_version": plan.model.as_ref().map(|planned| planned.model.number),
        "model_digest": pins.model.as_ref().map(|pin| format!("sha256:{}", pin.digest)),
        "transforms": transforms,
    });
    let text = versions.to_string();
    // Without its braces, to stand within the answer's.
    text[1..text.len() - 1].to_owned()
}
