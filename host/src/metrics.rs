//! Counts and histograms, in Prometheus' text format. Handles are found once a service, not once a request.

mod histogram;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::error::{Error, Result};
use crate::service::{Plan, StepKind};
use crate::store::Status;
use crate::transform::Answer;
use histogram::{Bounds, Histogram, Histograms};

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rows: IntCounterVec,
    request_seconds: Histograms,
    transform_fuel: Histograms,
    refused_rows: IntCounterVec,
    failed_rows: IntCounterVec,
    lookups: IntCounterVec,
    gates: IntCounterVec,
    fallbacks: IntCounterVec,
    stage_seconds: Histograms,
    errors: IntCounterVec,
    audited_rows: IntCounterVec,
    skewed: IntCounterVec,
    audits_failed: IntCounter,
    turned_away: IntCounterVec,
    /// By service, version and outcome.
    pub shadows: IntCounterVec,
    overloaded: IntCounterVec,
    expected_wait: Gauge,
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
    seconds: Histogram,
    /// Decoding of the request; encoding of the answer.
    decode_seconds: Histogram,
    encode_seconds: Histogram,
    /// One a step of the plan.
    pub steps: Vec<StepMetrics>,
    gate_open: IntCounter,
    gate_closed: IntCounter,
    /// By the kind of error, in the order of [`FAILURES`].
    fallbacks: [IntCounter; FAILURES.len()],
}

/// Why an answer can be the fallback's.
const FAILURES: [&str; 5] = ["late", "store", "transform", "model", "other"];

pub struct StepMetrics {
    seconds: Histogram,
    kind: StepKindMetrics,
}

enum StepKindMetrics {
    LookUp {
        /// One a status, in the order of `Status::ALL`.
        statuses: [IntCounter; Status::COUNT],
    },
    Transform {
        fuel: Histogram,
        refused: IntCounter,
        failed: IntCounter,
    },
    Model,
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
            let histograms = |name: &str, help: &str, bounds: Bounds, labels: &[&str]| {
                let histograms = Histograms::new(name, help, labels, bounds)?;
                registry.register(Box::new(histograms.clone()))?;
                prometheus::Result::Ok(histograms)
            };
            let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
                let gauge = IntGauge::new(name, help)?;
                registry.register(Box::new(gauge.clone()))?;
                Ok(gauge)
            };
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
                    Bounds {
                        first: 10_000,
                        step: 1,
                        count: 20,
                        per: 1e9,
                    },
                    &["service", "version"],
                )?,
                transform_fuel: histograms(
                    "tidemill_transform_fuel",
                    "Fuel of one call of a transform, about one unit an instruction",
                    Bounds {
                        first: 256,
                        step: 2,
                        count: 14,
                        per: 1.0,
                    },
                    &["transform", "version"],
                )?,
                refused_rows: counters(
                    "tidemill_refused_rows_total",
                    "Rows that a transform refused",
                    &["transform", "version"],
                )?,
                failed_rows: counters(
                    "tidemill_failed_rows_total",
                    "Rows for which a transform failed: trapped, met a limit, answered nonsense",
                    &["transform", "version"],
                )?,
                lookups: counters(
                    "tidemill_lookups_total",
                    "Look-ups by status",
                    &["service", "version", "lookup", "status"],
                )?,
                gates: counters(
                    "tidemill_gate_rows_total",
                    "Rows that met a service's gate, by what it was: open, closed",
                    &["service", "version", "gate"],
                )?,
                fallbacks: counters(
                    "tidemill_fallback_rows_total",
                    "Rows answered by the service's fallback, by what failed: late, store, transform, model, other",
                    &["service", "version", "reason"],
                )?,
                stage_seconds: histograms(
                    "tidemill_stage_seconds",
                    "Stages of a request: decode, each look-up, transform and model by its name in the service, encode",
                    Bounds {
                        first: 500,
                        step: 1,
                        count: 24,
                        per: 1e9,
                    },
                    &["service", "version", "stage"],
                )?,
                errors: counters(
                    "tidemill_errors_total",
                    "Answers that were a problem, by kind",
                    &["kind"],
                )?,
                audited_rows: counters(
                    "tidemill_skew_audited_rows_total",
                    "Answered rows that were computed again, on fresh instances and from view history",
                    &["service", "version"],
                )?,
                skewed: counters(
                    "tidemill_skew_total",
                    "Answers that had other bits when computed again, by column; should stay 0",
                    &["service", "version", "column"],
                )?,
                audits_failed: {
                    let failed = IntCounter::new(
                        "tidemill_skew_audits_failed_total",
                        "Answers that could not be computed again",
                    )?;
                    registry.register(Box::new(failed.clone()))?;
                    failed
                },
                turned_away: counters(
                    "tidemill_access_refused_total",
                    "Requests turned away for who sent them, by reason (missing, unknown, expired, revoked, role, foreign)",
                    &["reason"],
                )?,
                shadows: counters(
                    "tidemill_shadow_requests_total",
                    "Requests for a shadow by its version and what came of them: ok, failed (no row was answered), undecoded (the body is not what this version reads), dropped (no place in the queue)",
                    &["service", "version", "outcome"],
                )?,
                overloaded: counters(
                    "tidemill_overloaded_total",
                    "Requests answered with 503 because of the load, by the limit they met: in_flight, wait, bytes, batch, connections",
                    &["limit"],
                )?,
                expected_wait: {
                    let gauge = Gauge::new(
                        "tidemill_expected_wait_seconds",
                        "How long the requests in flight keep the workers busy, going by the last ones",
                    )?;
                    registry.register(Box::new(gauge.clone()))?;
                    gauge
                },
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
        let stage = |stage: &str| self.stage_seconds.with(&[service, &version, stage]);
        let steps = plan.steps.iter().map(|step| match &step.kind {
            StepKind::LookUp(_) => StepMetrics {
                seconds: stage(&step.alias),
                kind: StepKindMetrics::LookUp {
                    statuses: Status::ALL.map(|status| {
                        self.lookups.with_label_values(&[
                            service,
                            &version,
                            &step.alias,
                            status.as_str(),
                        ])
                    }),
                },
            },
            StepKind::Transform(transform) => {
                let (name, version) = (
                    transform.name().name.as_str(),
                    transform.name().version.to_string(),
                );
                StepMetrics {
                    seconds: stage(&step.alias),
                    kind: StepKindMetrics::Transform {
                        fuel: self.transform_fuel.with(&[name, &version]),
                        refused: self.refused_rows.with_label_values(&[name, &version]),
                        failed: self.failed_rows.with_label_values(&[name, &version]),
                    },
                }
            }
            StepKind::Model(_) => StepMetrics {
                seconds: stage(&step.alias),
                kind: StepKindMetrics::Model,
            },
        });
        let gate = |gate| self.gates.with_label_values(&[service, &version, gate]);
        ServiceMetrics {
            scored: requests("score", "ok"),
            computed: requests("features", "ok"),
            failed: requests("any", "error"),
            rows: self.rows.with_label_values(&[service, &version]),
            seconds: self.request_seconds.with(&[service, &version]),
            decode_seconds: stage("decode"),
            encode_seconds: stage("encode"),
            steps: steps.collect(),
            gate_open: gate("open"),
            gate_closed: gate("closed"),
            fallbacks: FAILURES.map(|reason| {
                self.fallbacks
                    .with_label_values(&[service, &version, reason])
            }),
        }
    }

    /// Shows what another room counts.
    pub fn register(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        self.registry.register(collector)
    }

    /// Counts an answer that was a problem.
    pub fn problem(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    /// Counts an answer computed again, and the columns in which it differed.
    pub fn audited(&self, service: &str, version: u32, rows: usize, columns: &BTreeSet<&str>) {
        let version = version.to_string();
        self.audited_rows
            .with_label_values(&[service, &version])
            .inc_by(rows as u64);
        for column in columns {
            self.skewed
                .with_label_values(&[service, &version, column])
                .inc();
        }
    }

    pub fn audit_failed(&self) {
        self.audits_failed.inc();
    }

    /// Counts a request that was turned away for who sent it.
    pub fn turned_away(&self, reason: &str) {
        self.turned_away.with_label_values(&[reason]).inc();
    }

    /// Counts requests that met a limit of the load.
    pub fn overloaded(&self, limit: &str) -> IntCounter {
        self.overloaded.with_label_values(&[limit])
    }

    pub fn expected_wait(&self, wait: Duration) {
        self.expected_wait.set(wait.as_secs_f64());
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

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl ServiceMetrics {
    /// How long an answer took: its decoding, its encoding, and the whole.
    pub fn took(&self, decode: Duration, encode: Duration, whole: Duration) {
        self.decode_seconds.observe(nanos(decode));
        self.encode_seconds.observe(nanos(encode));
        self.seconds.observe(nanos(whole));
    }

    /// Counts the rows that met the gate.
    pub fn gated(&self, open: usize, closed: usize) {
        self.gate_open.inc_by(open as u64);
        self.gate_closed.inc_by(closed as u64);
    }

    /// Counts a row whose answer is the fallback's because of `error`.
    pub fn fell_back(&self, error: &Error) {
        let reason = match error {
            Error::Late { .. } => 0,
            Error::Store(_) => 1,
            Error::Transform { .. } => 2,
            Error::Model { .. } => 3,
            _ => 4,
        };
        self.fallbacks[reason].inc();
    }
}

impl StepMetrics {
    pub fn took(&self, time: Duration) {
        self.seconds.observe(nanos(time));
    }

    pub fn looked(&self, found: &[Status]) {
        if let StepKindMetrics::LookUp { statuses } = &self.kind {
            for status in found {
                statuses[*status as usize].inc();
            }
        }
    }

    /// Counts a transform's call.
    pub fn called(&self, answer: &Answer) {
        if let StepKindMetrics::Transform { fuel, refused, .. } = &self.kind {
            fuel.observe(answer.fuel);
            if !answer.refusals.is_empty() {
                refused.inc_by(answer.refusals.len() as u64);
            }
        }
    }

    /// Counts rows for which a transform failed.
    pub fn failed(&self, rows: usize) {
        if let StepKindMetrics::Transform { failed, .. } = &self.kind {
            failed.inc_by(rows as u64);
        }
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
