//! Jobs, counted.

use prometheus::{IntCounterVec, IntGauge, Opts};

use super::State;
use crate::error::{Error, Result};
use crate::metrics::Metrics;

pub struct JobMetrics {
    pub queued: IntGauge,
    pub running: IntGauge,
    jobs: IntCounterVec,
    callbacks: IntCounterVec,
}

impl JobMetrics {
    pub fn new(metrics: &Metrics) -> Result<JobMetrics> {
        let build = || -> prometheus::Result<JobMetrics> {
            let new = JobMetrics {
                queued: IntGauge::new("tidemill_jobs_queued", "Jobs that wait")?,
                running: IntGauge::new("tidemill_jobs_running", "Jobs that run")?,
                jobs: IntCounterVec::new(
                    Opts::new(
                        "tidemill_jobs_total",
                        "Jobs by outcome (done, failed, cancelled, turned_away) since the start",
                    ),
                    &["outcome"],
                )?,
                callbacks: IntCounterVec::new(
                    Opts::new(
                        "tidemill_job_callbacks_total",
                        "Tries to send an answer, by outcome (delivered, to_repeat, given_up)",
                    ),
                    &["outcome"],
                )?,
            };
            metrics.register(Box::new(new.queued.clone()))?;
            metrics.register(Box::new(new.running.clone()))?;
            metrics.register(Box::new(new.jobs.clone()))?;
            metrics.register(Box::new(new.callbacks.clone()))?;
            Ok(new)
        };
        build().map_err(|error| Error::Internal(error.to_string()))
    }

    pub fn finished(&self, state: State) {
        match state {
            State::Done => self.count("done"),
            State::Failed => self.count("failed"),
            State::Queued | State::Running => {}
        }
    }

    pub fn cancelled(&self) {
        self.count("cancelled");
    }

    pub fn turned_away(&self) {
        self.count("turned_away");
    }

    fn count(&self, outcome: &str) {
        self.jobs.with_label_values(&[outcome]).inc();
    }

    /// `delivered`, `to_repeat` or `given_up`.
    pub fn callback(&self, outcome: &str) {
        self.callbacks.with_label_values(&[outcome]).inc();
    }
}
