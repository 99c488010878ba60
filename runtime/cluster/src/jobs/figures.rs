//! What is measured of jobs.

use super::engine::Engine;
use super::view::JobState;

/// The figures of one job; what is not known is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFigures {
    pub job: String,
    pub state: JobState,
    /// How far the source is behind the end of its system's log.
    pub lag_bytes: Option<u64>,
    /// The records that each sink has still to read.
    pub lag_records: Vec<(String, u64)>,
    /// What the source's system keeps for it.
    pub retained_bytes: Option<u64>,
    /// Things to worry about that last.
    pub warnings: u32,
    /// Restarts of the row of failures that lasts.
    pub recovery_attempts: u32,
}

impl Engine {
    /// The figures of all jobs, where this worker leads: every worker knows them, and sums over workers are to count each
    /// once.
    pub fn figures(&self, now_ms: i64) -> Vec<JobFigures> {
        if !self.leads() {
            return Vec::new();
        }
        let names: Vec<&str> = self.all_shown().map(|(job, _)| &**job).collect();
        names.into_iter().filter_map(|job| self.figures_of(job, now_ms)).collect()
    }

    fn figures_of(&self, job: &str, now_ms: i64) -> Option<JobFigures> {
        let late = self.log().entry(job).is_some_and(|entry| entry.recorded.late_told);
        let view = self.view_of(job, now_ms)?;
        let worrying = view.retention.as_ref().is_some_and(|retention| retention.warning.is_some());
        let streaming = view.streaming;
        let lag_bytes = streaming.as_ref().and_then(|streaming| streaming.lag_bytes);
        let sinks = streaming.into_iter().flat_map(|streaming| streaming.sinks);
        Some(JobFigures {
            job: view.name,
            state: view.state,
            lag_bytes,
            lag_records: sinks.filter_map(|sink| Some((sink.connector, sink.lag_records?))).collect(),
            retained_bytes: view.retention.and_then(|retention| retention.retained_bytes),
            warnings: u32::from(worrying) + u32::from(late),
            recovery_attempts: view.recovery.attempt,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::engine::JobsEvent;
    use super::super::keep::Alerts;
    use super::super::record::{JobRecord, RetentionReport, StreamReport, TaskReport};
    use super::super::rig::{cluster, running};
    use super::*;
    use crate::herd::{ClusterView, TaskId};

    #[test]
    fn only_the_leader_tells_figures_and_none_that_is_not_known() {
        let mut engine = Engine::new(Alerts::default(), 10);
        let step = |engine: &mut Engine, event| engine.step(1_000, event, &mut Vec::new());
        step(&mut engine, JobsEvent::Loaded);
        let view = cluster([running("orders", "source"), running("sink", "sink")]);
        step(&mut engine, JobsEvent::View(Arc::clone(&view)));
        let report = TaskReport {
            phase: Some("STREAMING".into()),
            stream: Some(StreamReport { lag_bytes: Some(512), ..StreamReport::default() }),
            retention: Some(RetentionReport {
                wal_status: Some("lost".into()),
                retained_bytes: Some(7),
                lost: true,
                ..RetentionReport::default()
            }),
            ..TaskReport::default()
        };
        let id = TaskId { connector: "orders".into(), task: 0 };
        step(&mut engine, JobsEvent::Report(JobRecord::Task(id, Some(Box::new(report)))));
        let figures = engine.figures(1_000);
        let of_orders = JobFigures {
            job: "orders".into(),
            state: JobState::Running,
            lag_bytes: Some(512),
            lag_records: vec![],
            retained_bytes: Some(7),
            warnings: 1,
            recovery_attempts: 0,
        };
        assert_eq!(figures.iter().find(|of| of.job == "orders"), Some(&of_orders));
        assert_eq!(figures.len(), 2);
        let follower = ClusterView { is_leader: false, ..(*view).clone() };
        step(&mut engine, JobsEvent::View(Arc::new(follower)));
        assert_eq!(engine.figures(1_000), []);
    }
}
