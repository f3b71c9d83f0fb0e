//! What is kept of a job, beside its body and its answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Asked;
use crate::clock;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(with = "id_text")]
    pub id: Uuid,
    pub kind: Kind,
    pub service: String,
    /// The version meant when the job was accepted: a newer one changes nothing.
    pub service_version: u32,
    /// Who asked.
    pub by: String,
    pub state: State,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// How often it was begun.
    pub attempts: u32,
    /// Why it failed: the problem that a request would have got.
    pub problem: Option<Value>,
    pub callback: Option<Callback>,
}

/// What is asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobKind)]
pub enum Kind {
    Score,
    Features,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub enum State {
    Queued,
    Running,
    Done,
    Failed,
}

/// Where the answer is sent, and how that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobCallback)]
pub struct Callback {
    pub url: String,
    pub state: Delivery,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; none before the job is finished, and after the last try.
    #[schema(required)]
    pub next_at: Option<Timestamp>,
    /// What went wrong at the last try.
    #[schema(required)]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    Pending,
    Delivered,
    Failed,
}

impl Record {
    pub(super) fn new(asked: &Asked) -> Record {
        Record {
            id: clock::id(),
            kind: asked.kind,
            service: asked.service.clone(),
            service_version: asked.service_version,
            by: asked.by.clone(),
            state: State::Queued,
            created_at: clock::now(),
            started_at: None,
            finished_at: None,
            attempts: 0,
            problem: None,
            callback: asked.callback.clone(),
        }
    }

    /// Whether `by` asked for it; true for whoever may see all.
    pub(super) fn is_of(&self, by: Option<&str>) -> bool {
        by.is_none_or(|by| self.by == by)
    }

    pub(super) fn begin(&mut self) {
        self.state = State::Running;
        self.started_at = Some(clock::now());
        self.attempts += 1;
    }

    pub(super) fn finish(&mut self) {
        self.end(State::Done);
    }

    pub(super) fn fail(&mut self, problem: Value) {
        self.problem = Some(problem);
        self.end(State::Failed);
    }

    fn end(&mut self, state: State) {
        let now = clock::now();
        self.state = state;
        self.finished_at = Some(now);
        if let Some(callback) = &mut self.callback {
            callback.next_at = Some(now);
        }
    }

    /// When (µs) its answer is to be sent next, if it is.
    pub(super) fn due(&self) -> Option<(i64, Uuid)> {
        let callback = self.callback.as_ref()?;
        let next = callback.next_at?;
        (callback.state == Delivery::Pending).then(|| (next.as_microsecond(), self.id))
    }
}

impl Callback {
    pub(super) fn to(url: &str) -> Callback {
        Callback {
            url: url.to_owned(),
            state: Delivery::Pending,
            attempts: 0,
            next_at: None,
            error: None,
        }
    }
}

mod id_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
