//! What is measured of jobs, under names of its own: the JVM's worker has no jobs.
//!
//! The label is `job_name`, because Prometheus gives every sample a `job`: that of the scrape.

use std::sync::{Arc, Weak};

use connect_cluster::jobs::{Engine, JobFigures};
use connect_metrics::{Group, Snapshot, Source};
use parking_lot::RwLock;

use crate::metrics::now_ms;
use crate::webhooks::Outbox;

const JOBS: Group = Group { domain: "tidegate", kind: "jobs" };

/// The jobs of this worker as a source of metrics.
pub(super) struct JobMetrics {
    engine: Weak<RwLock<Engine>>,
    outbox: Outbox,
}

impl JobMetrics {
    pub(super) fn new(engine: &Arc<RwLock<Engine>>, outbox: &Outbox) -> Self {
        Self { engine: Arc::downgrade(engine), outbox: outbox.clone() }
    }
}

impl Source for JobMetrics {
    fn read(&self, _now_ms: i64, out: &mut Snapshot) {
        let Some(engine) = self.engine.upgrade() else { return };
        let figures = engine.read().figures(now_ms());
        for of_job in &figures {
            tell_job(of_job, out);
        }
        tell_webhooks(self.outbox.taken(), self.outbox.dropped(), self.outbox.waiting(), out);
    }

    fn alive(&self) -> bool {
        self.engine.strong_count() > 0
    }
}

/// Tells what webhooks took, what they will not get, and what waits for them.
pub fn tell_webhooks(taken: u64, dropped: u64, waiting: usize, out: &mut Snapshot) {
    for (outcome, count) in [("taken", taken), ("dropped", dropped)] {
        out.group(JOBS, &[("outcome", outcome)]).count("tidegate_webhook_notices_total", count);
    }
    out.group(JOBS, &[]).gauge("tidegate_webhook_notices_waiting", waiting as f64);
}

/// Tells the figures of one job.
pub fn tell_job(figures: &JobFigures, out: &mut Snapshot) {
    let job = ("job_name", figures.job.as_str());
    out.group(JOBS, &[job, ("state", figures.state.name())]).gauge("tidegate_job_state", 1.0);
    for (sink, lag) in &figures.lag_records {
        out.group(JOBS, &[job, ("connector", sink)]).gauge("tidegate_job_lag_records", *lag as f64);
    }
    let group = out.group(JOBS, &[job]);
    group
        .gauge("tidegate_job_warnings", f64::from(figures.warnings))
        .gauge("tidegate_job_recovery_attempts", f64::from(figures.recovery_attempts));
    if let Some(bytes) = figures.lag_bytes {
        group.gauge("tidegate_job_lag_bytes", bytes as f64);
    }
    if let Some(bytes) = figures.retained_bytes {
        group.gauge("tidegate_job_retained_wal_bytes", bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use connect_cluster::jobs::JobState;
    use connect_metrics::{Dialects, Format, render};

    use super::*;

    #[test]
    fn figures_have_one_name_in_all_dialects_and_what_is_not_known_is_left_out() {
        let figures = JobFigures {
            job: "shop".into(),
            state: JobState::Running,
            lag_bytes: Some(512),
            lag_records: vec![("shop-sink".into(), 12)],
            retained_bytes: None,
            warnings: 1,
            recovery_attempts: 3,
        };
        let mut snapshot = Snapshot::default();
        tell_job(&figures, &mut snapshot);
        let text = render(&snapshot, Dialects::all(), Format::Text);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "tidegate_job_lag_bytes{job_name=\"shop\"} 512",
                "tidegate_job_lag_records{job_name=\"shop\",connector=\"shop-sink\"} 12",
                "tidegate_job_recovery_attempts{job_name=\"shop\"} 3",
                "tidegate_job_state{job_name=\"shop\",state=\"running\"} 1",
                "tidegate_job_warnings{job_name=\"shop\"} 1",
            ]
        );
        assert!(text.contains("# HELP tidegate_job_state The state of the job, as a label."), "{text}");
    }
}
