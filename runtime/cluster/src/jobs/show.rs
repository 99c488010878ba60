//! What the API shows of a job, made when somebody asks.

use std::sync::Arc;

use connect_api::Phase;

use super::actions::listed;
use super::derive::Derived;
use super::engine::Engine;
use super::keep::{duration, exhausted_in_ms, warning};
use super::members::Members;
use super::options;
use super::record::{Recorded, RetentionReport, TaskReport};
use super::view::{
    Checkpoint, ConnectorSummary, JobKind, JobState, JobSummary, JobTask, JobView, PartState, RateView, RecoveryView,
    RetentionView, SinkLag, StreamingView, TableView,
};
use crate::herd::ConnectorView;

impl Engine {
    /// All jobs, by name.
    pub fn list(&self) -> Vec<JobSummary> {
        self.all_shown().map(|(name, shown)| self.summary(name, shown)).collect()
    }

    /// One line of the list.
    pub fn summary_of(&self, job: &str) -> Option<JobSummary> {
        self.shown(job).map(|shown| self.summary(job, shown))
    }

    fn summary(&self, job: &str, shown: &Derived) -> JobSummary {
        JobSummary {
            name: job.to_owned(),
            state: shown.state,
            phase: self.phase(job),
            kind: self.kind(job),
            updated_ms: Some(self.entry(job).recorded.updated_ms).filter(|at| *at > 0),
        }
    }

    fn kind(&self, job: &str) -> JobKind {
        let entry = self.log.entry(job);
        let pipeline = entry.and_then(|entry| entry.definition.as_ref()).is_some_and(|definition| definition.pipeline);
        if pipeline { JobKind::Pipeline } else { JobKind::Connector }
    }

    /// A job as it is at `now_ms`.
    pub fn view_of(&self, job: &str, now_ms: i64) -> Option<JobView> {
        let shown = self.shown(job)?;
        let entry = self.entry(job);
        let recorded = &entry.recorded;
        let members = self.members(job);
        let phase = self.phase(job);
        let source = members.source().map(|source| self.log.tasks_of(&source.info.name));
        let reports: Vec<&TaskReport> = source.into_iter().flatten().map(|(_, report)| &**report).collect();
        let report = reports.first().copied();
        let options = entry.definition.as_ref().map(|definition| options::shown(&definition.options));
        Some(JobView {
            name: job.to_owned(),
            kind: self.kind(job),
            state: shown.state,
            phase,
            phases: phases(shown.state, phase, report.is_some_and(snapshot_done)),
            reason: reason(shown, recorded),
            updated_ms: Some(recorded.updated_ms).filter(|at| *at > 0),
            uptime_ms: recorded
                .running_since_ms
                .filter(|_| shown.state == JobState::Running)
                .map(|since| u64::try_from(now_ms - since).unwrap_or(0)),
            actions: listed(shown.state, phase),
            tables: reports.iter().flat_map(|report| tables(report, shown.state)).collect(),
            streaming: self.streaming(&members, report, phase, shown.state),
            checkpoint: report.and_then(checkpoint),
            retention: report.and_then(|report| retention_view(report, shown.state)),
            recovery: self.recovery(shown, &members),
            error: shown.error.clone(),
            options: options.unwrap_or_default(),
            history: recorded.history.clone(),
            connectors: members.connectors.iter().map(connector_summary).collect(),
            waiting_for: self.waits_for(job),
        })
    }

    fn streaming(
        &self,
        members: &Members,
        report: Option<&TaskReport>,
        phase: Option<Phase>,
        state: JobState,
    ) -> Option<StreamingView> {
        if phase != Some(Phase::Streaming) {
            return None;
        }
        let stream = report.and_then(|report| report.stream.clone()).unwrap_or_default();
        // What a task said last is no rate of one that rests.
        let live = |rate: Option<f64>| if state == JobState::Running { rate.map(tenths) } else { rate.map(|_| 0.0) };
        let sinks = members.sinks().map(|sink| {
            let lags = self.log.tasks_of(&sink.info.name).map(|(_, report)| report.lag_records);
            // One that is not known makes the sum unknown.
            let lag_records = lags.reduce(|sum, lag| Some(sum? + lag?)).flatten();
            SinkLag { connector: sink.info.name.to_string(), lag_records }
        });
        Some(StreamingView {
            events_per_second: RateView {
                one_minute: live(report.and_then(|report| report.rate_one_minute)),
                five_minutes: live(report.and_then(|report| report.rate_five_minutes)),
            },
            last_commit_ms: stream.last_commit_ms,
            last_commit_lsn: stream.last_commit_position,
            lag_bytes: stream.lag_bytes,
            lag_ms: stream.lag_ms,
            sinks: sinks.collect(),
        })
    }

    fn recovery(&self, shown: &Derived, members: &Members) -> RecoveryView {
        let of_units = || {
            let all = members.connectors.iter().flat_map(|connector| self.log.recoveries_of(&connector.info.name));
            all.max_by_key(|recovery| recovery.attempt)
        };
        match shown.recovery.as_ref().or_else(of_units) {
            Some(recovery) => RecoveryView {
                attempt: recovery.attempt,
                attempts_max: recovery.attempts_max,
                first_failure_ms: Some(recovery.first_failure_ms),
                next_attempt_ms: recovery.next_attempt_ms,
                kind: Some(recovery.failure.cure.name()),
            },
            None => RecoveryView { attempts_max: self.attempts_max, ..RecoveryView::default() },
        }
    }

    /// What to know before a job is paused: how long the pause can last.
    pub fn pause_warning(&self, job: &str) -> Option<String> {
        let members = self.members(job);
        let source = members.source()?;
        let retention = self.log.task(&source.info.name, 0)?.retention.as_ref()?;
        Some(pause_warning(retention))
    }
}

fn pause_warning(retention: &RetentionReport) -> String {
    let slot = &retention.slot;
    let kept = format!("While the job is paused, the server keeps its log for replication slot \"{slot}\"");
    match (retention.safe_wal_size, exhausted_in_ms(retention)) {
        (None, _) => format!(
            "{kept}, without a limit (max_slot_wal_keep_size is not set): the pause can last as long as the server's disk \
             has room."
        ),
        (Some(_), Some(left)) => format!(
            "{kept}. At the present rate the pause can last for {}; after that changes are lost, and a new snapshot is \
             needed.",
            duration(left)
        ),
        (Some(safe), None) => format!(
            "{kept}, up to {safe} more bytes (max_slot_wal_keep_size); after that changes are lost, and a new snapshot is \
             needed."
        ),
    }
}

fn reason(shown: &Derived, recorded: &Recorded) -> String {
    if recorded.state == Some(shown.state) && !recorded.reason.is_empty() {
        recorded.reason.clone()
    } else {
        shown.cause.clone()
    }
}

/// All tables were read: a task that starts again has no snapshot to do.
fn snapshot_done(report: &TaskReport) -> bool {
    !report.tables.is_empty() && report.tables.iter().all(|table| table.done)
}

fn phases(state: JobState, phase: Option<Phase>, snapshot_done: bool) -> [(Phase, PartState); 3] {
    let now = match state {
        JobState::Completed => PartState::Completed,
        JobState::Cancelled => PartState::Cancelled,
        JobState::Failed => PartState::Failed,
        JobState::Paused | JobState::Stopped => PartState::Paused,
        _ => PartState::Running,
    };
    Phase::ALL.map(|of| {
        let state = match phase {
            _ if state == JobState::Completed => PartState::Completed,
            None => PartState::Pending,
            Some(phase) if of < phase => PartState::Completed,
            Some(phase) if of == phase => now,
            Some(_) if state == JobState::Cancelled => PartState::Cancelled,
            Some(_) if of == Phase::Snapshot && snapshot_done => PartState::Completed,
            Some(_) => PartState::Pending,
        };
        (of, state)
    })
}

fn tables(report: &TaskReport, state: JobState) -> impl Iterator<Item = TableView> + '_ {
    report.tables.iter().map(move |table| {
        let under_way = match state {
            JobState::Cancelled => PartState::Cancelled,
            JobState::Failed => PartState::Failed,
            JobState::Paused | JobState::Stopped => PartState::Paused,
            _ => PartState::Running,
        };
        let status = match (table.done, table.begun) {
            (true, _) => PartState::Completed,
            (false, true) => under_way,
            (false, false) if state == JobState::Cancelled => PartState::Cancelled,
            (false, false) => PartState::Pending,
        };
        let estimated = table.rows_estimated.filter(|rows| *rows > 0);
        let percent = match (table.done, estimated) {
            (true, _) => Some(100.0),
            // An estimate may be too low: 100 is for what is completed.
            (false, Some(estimated)) => Some(tenths(table.rows as f64 * 100.0 / estimated as f64).min(99.9)),
            (false, None) => None,
        };
        let rate = table.rows_per_second.filter(|_| status == PartState::Running);
        // An estimate that was too low says nothing of what is left.
        let left = estimated.and_then(|estimated| estimated.checked_sub(table.rows)).filter(|left| *left > 0);
        TableView {
            table: table.table.clone(),
            status,
            rows: table.rows,
            rows_estimated: table.rows_estimated,
            percent,
            rows_per_second: rate.map(tenths),
            time_left_ms: rate
                .filter(|rate| *rate > 0.0)
                .zip(left)
                .map(|(rate, left)| (left as f64 * 1_000.0 / rate) as u64),
        }
    })
}

fn tenths(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

fn checkpoint(report: &TaskReport) -> Option<Checkpoint> {
    let saved = report.checkpoint.as_ref()?;
    let reading = report.tables.iter().find(|table| table.begun && !table.done);
    Some(Checkpoint {
        lsn: saved.position.clone(),
        table: reading.map(|table| table.table.clone()),
        last_commit_ms: report.stream.as_ref().and_then(|stream| stream.last_commit_ms),
        saved_ms: saved.saved_ms,
    })
}

fn retention_view(report: &TaskReport, state: JobState) -> Option<RetentionView> {
    let retention = report.retention.as_ref()?;
    let goes_on = matches!(state, JobState::Running | JobState::Starting | JobState::Paused | JobState::Failed);
    let over = matches!(state, JobState::Completed | JobState::Cancelled | JobState::Deleted);
    if over || retention.wal_status.is_none() && !goes_on {
        // There is no slot, and there need be none.
        return None;
    }
    // A slot that is still to be made is not missed.
    let missed = retention.wal_status.is_some() || report.has_position();
    Some(RetentionView {
        slot: retention.slot.clone(),
        wal_status: retention.wal_status.clone(),
        retained_bytes: retention.retained_bytes,
        safe_wal_size: retention.safe_wal_size,
        wal_bytes_per_second: retention.bytes_per_second.map(tenths),
        exhausted_in_ms: exhausted_in_ms(retention),
        warning: warning(retention).filter(|_| goes_on && missed),
    })
}

fn connector_summary(connector: &Arc<ConnectorView>) -> ConnectorSummary {
    let status = connector.status.as_ref();
    ConnectorSummary {
        name: connector.info.name.to_string(),
        kind: connector.info.kind,
        state: status.map(|status| status.connector.state.name()),
        tasks: status
            .iter()
            .flat_map(|status| &status.tasks)
            .map(|(id, task)| JobTask { id: *id, state: task.state.name(), worker_id: task.worker_id.clone() })
            .collect(),
    }
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
