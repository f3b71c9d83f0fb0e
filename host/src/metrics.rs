//! Counts and histograms, in Prometheus' text format. Handles are found once a service, not once a request.

use std::sync::Arc;
use std::time::Instant;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder, exponential_buckets,
};

use crate::error::{Error, Result};
use crate::service::{Plan, StepKind};
use crate::store::Status;
use crate::transform::Answer;

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rows: IntCounterVec,
    request_seconds: HistogramVec,
    transform_seconds: HistogramVec,
    transform_fuel: HistogramVec,
    refused_rows: IntCounterVec,
    lookups: IntCounterVec,
    errors: IntCounterVec,
    pub in_flight: IntGauge,
    log_dropped: IntGauge,
    log_written: IntGauge,
    log_failed: IntGauge,
}

/// The handles of one service version.
pub struct ServiceMetrics {
    pub scored: IntCounter,
    pub computed: IntCounter,
    pub failed: IntCounter,
    pub rows: IntCounter,
    pub seconds: Histogram,
    /// One a step of the plan.
    pub steps: Vec<StepMetrics>,
}

pub enum StepMetrics {
    LookUp {
        /// One a status, in the order of `Status::ALL`.
        statuses: [IntCounter; 4],
    },
    Transform {
        seconds: Histogram,
        fuel: Histogram,
        refused: IntCounter,
    },
}

impl Metrics {
    pub fn new() -> Result<Metrics> {
        let registry = Registry::new();
        let build = || -> prometheus::Result<Metrics> {
            let counters =
                |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
                    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
                    registry.register(Box::new(counters.clone()))?;
                    Ok(counters)
                };
            let histograms = |name: &str, help: &str, buckets: Vec<f64>, labels: &[&str]| {
                let histograms =
                    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?;
                registry.register(Box::new(histograms.clone()))?;
                prometheus::Result::Ok(histograms)
            };
            let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
                let gauge = IntGauge::new(name, help)?;
                registry.register(Box::new(gauge.clone()))?;
                Ok(gauge)
            };
            let seconds = exponential_buckets(1e-5, 2.0, 20)?;
            Ok(Metrics {
                requests: counters(
                    "tidemill_requests_total",
                    "Requests by service version, kind (score, features) and outcome (ok, error)",
                    &["service", "version", "kind", "outcome"],
                )?,
                rows: counters(
                    "tidemill_rows_total",
                    "Rows answered",
                    &["service", "version"],
                )?,
                request_seconds: histograms(
                    "tidemill_request_seconds",
                    "From the body to the answer, within the server",
                    seconds.clone(),
                    &["service", "version"],
                )?,
                transform_seconds: histograms(
                    "tidemill_transform_seconds",
                    "One call of a transform, of any number of rows",
                    exponential_buckets(5e-7, 2.0, 24)?,
                    &["transform", "version"],
                )?,
                transform_fuel: histograms(
                    "tidemill_transform_fuel",
                    "Fuel of one call of a transform, about one unit an instruction",
                    exponential_buckets(256.0, 4.0, 14)?,
                    &["transform", "version"],
                )?,
                refused_rows: counters(
                    "tidemill_refused_rows_total",
                    "Rows that a transform refused",
                    &["transform", "version"],
                )?,
                lookups: counters(
                    "tidemill_lookups_total",
                    "Look-ups by status",
                    &["service", "version", "lookup", "status"],
                )?,
                errors: counters(
                    "tidemill_errors_total",
                    "Answers that were a problem, by kind",
                    &["kind"],
                )?,
                in_flight: gauge("tidemill_requests_in_flight", "Requests being answered now")?,
                log_dropped: gauge(
                    "tidemill_log_dropped",
                    "Records the feature log dropped since the start",
                )?,
                log_written: gauge(
                    "tidemill_log_written",
                    "Records the feature log wrote since the start",
                )?,

                log_failed: gauge(
                    "tidemill_log_failed",
                    "Records the disk did not take since the start",
                )?,
                registry: registry.clone(),
            })
        };
        build().map_err(|error| Error::Internal(error.to_string()))
    }

    /// The handles of a service version.
    pub fn service(&self, plan: &Plan) -> ServiceMetrics {
        let (service, version) = (plan.definition.name.as_str(), plan.number.to_string());
        let requests = |kind, outcome| {
            self.requests
                .with_label_values(&[service, &version, kind, outcome])
        };
        let steps = plan.steps.iter().map(|step| match &step.kind {
            StepKind::LookUp(_) => StepMetrics::LookUp {
                statuses: Status::ALL.map(|status| {
                    self.lookups.with_label_values(&[
                        service,
                        &version,
                        &step.alias,
                        status.as_str(),
                    ])
                }),
            },
            StepKind::Transform(transform) => {
                let (name, version) = (
                    transform.name().name.as_str(),
                    transform.name().version.to_string(),
                );
                StepMetrics::Transform {
                    seconds: self.transform_seconds.with_label_values(&[name, &version]),
                    fuel: self.transform_fuel.with_label_values(&[name, &version]),
                    refused: self.refused_rows.with_label_values(&[name, &version]),
                }
            }
        });
        ServiceMetrics {
            scored: requests("score", "ok"),
            computed: requests("features", "ok"),
            failed: requests("any", "error"),
            rows: self.rows.with_label_values(&[service, &version]),
            seconds: self.request_seconds.with_label_values(&[service, &version]),
            steps: steps.collect(),
        }
    }

    /// Counts an answer that was a problem.
    pub fn problem(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    /// What became of the feature log's records since the start.
    pub fn log(&self, written: u64, dropped: u64, failed: u64) {
        for (gauge, count) in [
            (&self.log_written, written),
            (&self.log_dropped, dropped),
            (&self.log_failed, failed),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}

impl StepMetrics {
    pub fn looked(&self, found: &[Status]) {
        if let StepMetrics::LookUp { statuses } = self {
            for status in found {
                statuses[*status as usize].inc();
            }
        }
    }

    /// Counts a transform's call.
    pub fn timed(&self, call: impl FnOnce() -> Result<Answer>) -> Result<Answer> {
        let started = Instant::now();
        let answer = call();
        if let StepMetrics::Transform {
            seconds,
            fuel,
            refused,
        } = self
        {
            seconds.observe(started.elapsed().as_secs_f64());
            if let Ok(answer) = &answer {
                fuel.observe(answer.fuel as f64);
                refused.inc_by(answer.refusals.len() as u64);
            }
        }
        answer
    }
}

/// Counts a request for as long as it lives.
pub struct InFlight(Arc<Metrics>);

impl InFlight {
    pub fn new(metrics: &Arc<Metrics>) -> InFlight {
        metrics.in_flight.inc();
        InFlight(metrics.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
