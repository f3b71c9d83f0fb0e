//! Counting while the server runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take_record_batch;
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::{GaugeVec, Opts};
use serde::{Deserialize, Serialize};

use super::{Counted, Reading, Reference, Report, report};
use crate::clock;
use crate::error::{Error, Result};
use crate::log::Shape;
use crate::metrics::Metrics;
use crate::registry::{Catalog, Registry, ServiceEntry};
use crate::span::Span;
use crate::statistics::Limits;

/// The window is forgotten in so many parts.
const PANES: u32 = 8;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether what is answered is compared with the training sets of the models. It is counted as the feature log is
    /// written, so without that there is nothing to compare.
    pub enabled: bool,
    /// How far back is looked, such as "24h"; the oldest eighth is forgotten at a time. A restart begins anew:
    /// `tidemill drift --log` looks further back.
    pub window: Span,
    /// Rows that are counted in a second, of all services together: of a batch that is larger every so many-th, and what comes
    /// after it in that second is not counted. A row takes some microseconds of the log's thread.
    pub rows_per_second: u32,
    /// Service versions that are watched at once, some MB each; for another one the one that was asked longest ago is
    /// forgotten.
    pub services: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            enabled: true,
            window: Span(Duration::from_secs(86_400)),
            rows_per_second: 2000,
            services: 16,
        }
    }
}

impl Settings {
    /// Says what cannot run.
    pub fn check(&self) -> Result<(), String> {
        for (key, zero) in [
            ("drift.window", self.window.0.is_zero()),
            ("drift.rows_per_second", self.rows_per_second == 0),
            ("drift.services", self.services == 0),
        ] {
            if zero && self.enabled {
                return Err(format!(
                    "{key} is 0: nothing could be compared; `enabled = false` under [drift] switches it off"
                ));
            }
        }
        Ok(())
    }
}

/// What is known of the answers of the last hours.
pub struct Watch {
    settings: Settings,
    registry: Arc<Registry>,
    state: Mutex<State>,
    psi: GaugeVec,
    missing_share: GaugeVec,
    mean: GaugeVec,
}

struct State {
    /// By service and version.
    watched: BTreeMap<(String, u32), Watched>,
    /// Rows that may be counted now, and since when.
    budget: f64,
    refilled: Instant,
}

struct Watched {
    schema: SchemaRef,
    reference: Result<Arc<Reference>, String>,
    /// The oldest first.
    panes: VecDeque<Pane>,
}

struct Pane {
    begun: Instant,
    since: Timestamp,
    last: Timestamp,
    answered: u64,
    counted: Counted,
}

impl Watch {
    pub fn new(settings: Settings, registry: Arc<Registry>, metrics: &Metrics) -> Result<Watch> {
        let gauges = |name: &str, help: &str| {
            let labels = ["service", "version", "column"];
            let gauges = GaugeVec::new(Opts::new(name, help), &labels)?;
            metrics.register(Box::new(gauges.clone()))?;
            prometheus::Result::Ok(gauges)
        };
        let failed = |error: prometheus::Error| Error::Internal(error.to_string());
        Ok(Watch {
            psi: gauges(
                "tidemill_drift_psi",
                "Population stability index of a column against the training set of the service's model, once there are 200 rows",
            )
            .map_err(failed)?,
            missing_share: gauges(
                "tidemill_drift_missing_share",
                "Share of rows without the column's value in the drift window",
            )
            .map_err(failed)?,
            mean: gauges(
                "tidemill_drift_mean",
                "Mean of a column in the drift window; of a boolean the share of true",
            )
            .map_err(failed)?,
            state: Mutex::new(State {
                watched: BTreeMap::new(),
                budget: f64::from(settings.rows_per_second),
                refilled: Instant::now(),
            }),
            settings,
            registry,
        })
    }

    /// Counts rows of the feature log, as many as the settings allow. Called by the log's thread.
    pub fn saw(&self, shape: &Shape, batch: &RecordBatch) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        let sample = state.sample(&self.settings, now, batch);
        let key = (shape.service.clone(), shape.service_version);
        if !state.watched.contains_key(&key) {
            state.make_room(self.settings.services);
            let catalog = self.registry.catalog();
            let id = format!("{}@{}", shape.service, shape.service_version);
            let entry = catalog.service_entry(&id);
            let reference = match entry {
                Ok(entry) => reference(&catalog, entry).map(Arc::new),
                Err(error) => Err(error.to_string()),
            };
            let watched = Watched {
                schema: batch.schema(),
                reference,
                panes: VecDeque::new(),
            };
            state.watched.insert(key.clone(), watched);
        }
        if let Some(watched) = state.watched.get_mut(&key) {
            let pane = watched.pane(self.settings.window.0, now);
            pane.answered += batch.num_rows() as u64;
            pane.last = clock::now();
            let reference = watched.reference.as_deref().ok();
            if let (Some(pane), Some(sample)) = (watched.panes.back_mut(), sample) {
                pane.counted.add(reference, &sample);
            }
        }
    }

    /// A service version as it looks now.
    pub fn report(&self, catalog: &Catalog, entry: &ServiceEntry) -> Report {
        let record = &entry.record;
        let (name, number) = (&record.definition.name, record.number);
        let model = record.pins.model.as_ref().map(|pin| pin.id.as_str());
        let of = (name.as_str(), number, model);
        let mut state = self.state.lock();
        let Some(watched) = state.watched.get_mut(&(name.clone(), number)) else {
            let known = reference(catalog, entry);
            let known = known.as_ref().map_err(String::as_str);
            return Report::of(of, known, None, report::Span::default());
        };
        watched.forget(self.settings.window.0, Instant::now());
        let (counted, span) = watched.whole();
        let known = watched.reference.as_deref().map_err(String::as_str);
        Report::of(of, known, counted.as_ref(), span)
    }

    /// Brings the metrics up to now.
    pub fn publish(&self) {
        let gauges = [&self.psi, &self.missing_share, &self.mean];
        let mut state = self.state.lock();
        gauges.iter().for_each(|gauges| gauges.reset());
        let now = Instant::now();
        for ((service, version), watched) in &mut state.watched {
            watched.forget(self.settings.window.0, now);
            let (Some(counted), _) = watched.whole() else {
                continue;
            };
            let version = version.to_string();
            for column in report::columns(watched.reference.as_deref().ok(), &counted) {
                let sure = |_: &f64| column.reading != Reading::FewRows;
                let missing_share = (column.live.rows > 0).then_some(column.live.missing_share);
                let values = [column.psi.filter(sure), missing_share, column.live.mean];
                for (gauges, value) in gauges.into_iter().zip(values) {
                    if let Some(value) = value {
                        let labels = [service.as_str(), &version, &column.column];
                        gauges.with_label_values(&labels).set(value);
                    }
                }
            }
        }
    }
}

impl State {
    /// The rows of a batch that may be counted; None if none may.
    fn sample(
        &mut self,
        settings: &Settings,
        now: Instant,
        batch: &RecordBatch,
    ) -> Option<RecordBatch> {
        let most = f64::from(settings.rows_per_second);
        let since = now.duration_since(self.refilled).as_secs_f64();
        self.budget = (self.budget + since * most).min(most);
        self.refilled = now;
        let rows = batch.num_rows();
        let step = match self.budget as usize {
            0 => return None,
            budget => rows.div_ceil(budget).max(1),
        };
        let sample = match step {
            1 => batch.clone(),
            step => {
                let places = (0..rows as u32).step_by(step);
                let places = UInt32Array::from_iter_values(places);
                // It fails for places that are not there alone.
                take_record_batch(batch, &places).ok()?
            }
        };
        self.budget -= sample.num_rows() as f64;
        Some(sample)
    }

    fn make_room(&mut self, services: usize) {
        while self.watched.len() >= services.max(1) {
            let last = |watched: &Watched| watched.panes.back().map(|pane| pane.last);
            let oldest = self.watched.iter().min_by_key(|(_, watched)| last(watched));
            let Some((key, _)) = oldest else { return };
            let key = key.clone();
            self.watched.remove(&key);
        }
    }
}

impl Watched {
    /// The pane that is being filled.
    fn pane(&mut self, window: Duration, now: Instant) -> &mut Pane {
        self.forget(window, now);
        let part = window / PANES;
        let is_full = |pane: &Pane| now.duration_since(pane.begun) >= part;
        if self.panes.back().is_none_or(is_full) {
            let reference = self.reference.as_deref().ok();
            let at = clock::now();
            self.panes.push_back(Pane {
                begun: now,
                since: at,
                last: at,
                answered: 0,
                counted: Counted::new(&self.schema, reference, Limits::LIVE),
            });
        }
        let last = self.panes.len() - 1;
        &mut self.panes[last]
    }

    fn forget(&mut self, window: Duration, now: Instant) {
        self.panes
            .retain(|pane| now.duration_since(pane.begun) < window);
    }

    /// All panes together.
    fn whole(&self) -> (Option<Counted>, report::Span) {
        let mut panes = self.panes.iter();
        let mut counted = panes.next().map(|pane| pane.counted.clone());
        if let Some(counted) = &mut counted {
            panes.for_each(|pane| counted.merge(&pane.counted));
        }
        let span = report::Span {
            rows: counted.as_ref().map_or(0, |counted| counted.rows),
            answered: self.panes.iter().map(|pane| pane.answered).sum(),
            from: self.panes.front().map(|pane| pane.since),
            to: self.panes.back().map(|pane| pane.last),
        };
        (counted, span)
    }
}

/// The training set of a service's model; or the reason why there is none, and what to do.
pub fn reference(catalog: &Catalog, entry: &ServiceEntry) -> Result<Reference, String> {
    let id = entry.id();
    let Some(pin) = &entry.record.pins.model else {
        return Err(format!(
            "{id} has no model, so nothing was trained on its rows; means and missing shares are those of its answers"
        ));
    };
    let model = catalog
        .model_by_id(&pin.id)
        .map_err(|error| error.to_string())?;
    let Some(set) = &model.record.manifest.training_set else {
        return Err(unknown(&id, &pin.id));
    };
    let set = catalog
        .training_set(set)
        .map_err(|error| error.to_string())?;
    Reference::of(set.id(), &set.manifest, Some(&pin.digest))
}

/// What to do for a model that does not say what it was trained on.
pub fn unknown(service: &str, model: &str) -> String {
    format!(
        "model {model} does not say what it was trained on, so there is nothing to compare with: build the set with `tidemill \
         training-set build --service {service} --spine EVENTS --out DIR --name NAME`, and register the model with \
         `--training-set NAME@1`, or \"training_set\" in its manifest"
    )
}
